//! The virtual clock of the simulated world: stands still, runs at a multiple of real time, or jumps ahead.
//! Invariant: it never goes back.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::{UnixMillis, millis};

/// The fastest pace: a virtual day in less than a real second.
pub const SPEED_MAX: f64 = 100_000.0;

/// A clock that starts at a given time and runs at `speed` × real time.
#[derive(Debug)]
pub struct VirtualClock(Mutex<Pace>);

#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Virtual time at `since`.
    base: UnixMillis,
    since: Instant,
    speed: f64,
}

impl Pace {
    #[expect(clippy::cast_possible_truncation, reason = "a float turned integer saturates")]
    fn now(&self) -> UnixMillis {
        let passed = self.since.elapsed().as_secs_f64() * 1_000.0 * self.speed;
        self.base.saturating_add(passed as i64)
    }
}

impl VirtualClock {
    /// A clock at `start`, running at `speed` × real time; 0 stands still. See [`VirtualClock::set_speed`].
    pub fn new(start: UnixMillis, speed: f64) -> Self {
        let clock = Self(Mutex::new(Pace { base: start, since: Instant::now(), speed: 0.0 }));
        clock.set_speed(speed);
        clock
    }

    /// The virtual time.
    pub fn now(&self) -> UnixMillis {
        self.lock().now()
    }

    /// Jumps ahead.
    pub fn advance(&self, by: Duration) {
        let mut pace = self.lock();
        pace.base = pace.base.saturating_add(millis(by));
    }

    /// Runs on at `speed` × real time, from 0 (stands still) to [`SPEED_MAX`]; anything else is brought into that range.
    pub fn set_speed(&self, speed: f64) {
        let mut pace = self.lock();
        let speed = if speed.is_nan() { 0.0 } else { speed.clamp(0.0, SPEED_MAX) };
        *pace = Pace { base: pace.now(), since: Instant::now(), speed };
    }

    /// The pace, in multiples of real time.
    pub fn speed(&self) -> f64 {
        self.lock().speed
    }

    /// Stands still until [`VirtualClock::set_speed`].
    pub fn freeze(&self) {
        self.set_speed(0.0);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_jumps_and_runs() {
        let clock = VirtualClock::new(1_000, 0.0);
        assert_eq!(clock.now(), 1_000);
        clock.advance(Duration::from_millis(500));
        assert_eq!(clock.now(), 1_500);
        clock.set_speed(1_000.0);
        std::thread::sleep(Duration::from_millis(20));
        assert!(clock.now() >= 21_500, "ran to {}", clock.now());
        clock.freeze();
        let stopped = clock.now();
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(clock.now(), stopped);
    }

    #[test]
    fn it_never_goes_back() {
        let clock = VirtualClock::new(1_000, f64::NAN);
        for speed in [-5.0, f64::INFINITY, 1.0] {
            let before = clock.now();
            clock.set_speed(speed);
            assert!(clock.now() >= before);
        }
    }
}
