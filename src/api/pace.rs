//! How fast requests may start: a token bucket that one throttled answer slows down for the whole client, and that good
//! answers bring back step by step (additive increase, multiplicative decrease).
//! Invariant: never faster than the settings say; nothing starts while the service has asked for a pause.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The longest pause that the service can ask for.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(60);
/// What is left of the rate after a throttled answer.
const DECREASE: f64 = 0.5;
/// From one decrease to the next: what a rate is takes as long to tell.
const DECREASE_INTERVAL: Duration = Duration::from_secs(1);
/// Requests a second that each good answer adds: a tenth of the rate in a second, whatever the rate.
const INCREASE: f64 = 0.1;
/// Requests a second below which throttled answers do not bring the rate: else it would take hours to come back.
const RATE_MIN: f64 = 0.1;

/// The bucket.
#[derive(Debug)]
pub(super) struct Pace {
    state: Mutex<State>,
    /// Tells those who wait that the settings have changed.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    rate_max: f64,
    burst_max: f64,
    /// Requests a second.
    rate: f64,
    /// When a bucket that holds no burst would have filled up for the next request.
    due: Instant,
    /// When the pause that the service asked for is over.
    resume: Instant,
    /// How often the rate was lowered.
    cuts: u64,
    cut_at: Option<Instant>,
}

/// The permission to send one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// How often the rate had been lowered.
    cuts: u64,
}

/// A wait that would end after the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLate {
    pub(super) wait: Duration,
    /// Whether the service's throttling makes it so long, or the settings alone.
    pub(super) is_throttled: bool,
}

impl Pace {
    /// At most `rate_max` requests a second, and of these `burst_max`, but no more than a second's worth, at a time.
    pub(super) fn new(rate_max: f64, burst_max: usize) -> Self {
        let now = Instant::now();
        let (rate_max, burst_max) = bounds(rate_max, burst_max);
        let state =
            State { rate_max, burst_max, rate: rate_max, due: now, resume: now, cuts: 0, cut_at: None };
        Self { state: Mutex::new(state), changed: watch::Sender::new(()) }
    }

    /// Other settings, from now on. A rate that the service has lowered stays, but for the new bound.
    pub(super) fn limit(&self, rate_max: f64, burst_max: usize) {
        let (rate_max, burst_max) = bounds(rate_max, burst_max);
        let mut state = self.lock();
        if (state.rate_max, state.burst_max) == (rate_max, burst_max) {
            return;
        }
        let (now, before) = (Instant::now(), state.rate);
        let is_lowered = before < state.rate_max;
        state.rate = if is_lowered { before.min(rate_max) } else { rate_max };
        (state.rate_max, state.burst_max) = (rate_max, burst_max);
        // What had been let in counts as much as it would have at the new rate.
        let backlog = state.due.saturating_duration_since(now);
        state.due = now + backlog.mul_f64(before / state.rate);
        drop(state);
        self.changed.send_replace(());
    }

    /// Requests a second that are allowed now.
    pub(super) fn rate(&self) -> f64 {
        self.lock().rate
    }

    /// Waits for a turn, or says at once that it would come too late.
    pub(super) async fn turn(&self, deadline: Option<Instant>) -> Result<Turn, TooLate> {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let now = Instant::now();
            let until = match self.take(now) {
                Ok(turn) => return Ok(turn),
                Err(until) => until,
            };
            if deadline.is_some_and(|deadline| until >= deadline) {
                let state = self.lock();
                let is_throttled = state.rate < state.rate_max || now < state.resume;
                return Err(TooLate { wait: until - now, is_throttled });
            }
            // Whoever else waits may be first, or a pause may have begun meanwhile: then once more.
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                // The sender lives as long as the bucket.
                _ = changed.changed() => {}
            }
        }
    }

    fn take(&self, now: Instant) -> Result<Turn, Instant> {
        let mut state = self.lock();
        if now < state.resume {
            return Err(state.resume);
        }
        let early = state.early();
        if now + early < state.due {
            return Err(state.due - early);
        }
        state.due = state.due.max(now) + Duration::from_secs_f64(1.0 / state.rate);
        Ok(Turn { cuts: state.cuts })
    }

    /// A request was throttled, and the service asks for this pause: nothing starts before it is over. The rate is halved,
    /// once a second at most, and once for all the requests that had started at the same rate.
    pub(super) fn throttled(&self, turn: Turn, pause: Duration) {
        let mut state = self.lock();
        let now = Instant::now();
        state.resume = state.resume.max(now + pause.min(PAUSE_MAX));
        let is_early = state.cut_at.is_some_and(|at| now < at + DECREASE_INTERVAL);
        if turn.cuts == state.cuts && !is_early {
            state.cuts += 1;
            state.cut_at = Some(now);
            state.rate = (state.rate * DECREASE).max(RATE_MIN.min(state.rate_max));
            // Without a burst: they would come all at once after the pause.
            let next = state.resume.max(now + Duration::from_secs_f64(1.0 / state.rate));
            state.due = next + state.early();
        }
    }

    /// A request was answered without a plea to slow down.
    pub(super) fn answered(&self, turn: Turn) {
        let mut state = self.lock();
        if turn.cuts == state.cuts {
            state.rate = (state.rate + INCREASE).min(state.rate_max);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held leaves a bucket that is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How long before it is due a request may start: a burst without its first.
    fn early(&self) -> Duration {
        let burst = self.burst_max.min(self.rate).floor().max(1.0);
        Duration::from_secs_f64((burst - 1.0) / self.rate)
    }
}

fn bounds(rate_max: f64, burst_max: usize) -> (f64, f64) {
    (rate_max.clamp(0.001, 1e6), f64::from(u32::try_from(burst_max).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Turns that are taken within a time.
    async fn turns(pace: &Pace, within: Duration) -> usize {
        let (mut count, end) = (0, Instant::now() + within);
        while pace.turn(Some(end)).await.is_ok() {
            count += 1;
        }
        tokio::time::sleep_until(end).await;
        count
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_then_the_rate() {
        let pace = Pace::new(10.0, 4);
        assert_eq!(turns(&pace, SECOND).await, 4 + 9);
        assert_eq!(turns(&pace, 10 * SECOND).await, 100);
        // An idle minute saves up no more than the burst.
        tokio::time::sleep(60 * SECOND).await;
        assert_eq!(turns(&pace, SECOND).await, 4 + 9);
        assert_eq!(
            turns(&Pace::new(0.5, 4), 10 * SECOND).await,
            5,
            "a burst of one where the rate is below it"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn one_throttled_answer_slows_all_down_and_good_ones_bring_the_rate_back() {
        let pace = Pace::new(10.0, 4);
        let (first, second) = (pace.turn(None).await.unwrap(), pace.turn(None).await.unwrap());
        pace.throttled(first, 3 * SECOND);
        pace.throttled(second, SECOND);
        assert_eq!(pace.rate(), 5.0, "both started at the same rate: it is lowered once");
        assert_eq!(turns(&pace, 3 * SECOND).await, 0);
        assert_eq!(turns(&pace, SECOND).await, 5, "no burst after a pause");

        pace.answered(first);
        assert_eq!(pace.rate(), 5.0, "what had started before says nothing");
        let turn = pace.turn(None).await.unwrap();
        let mut before = pace.rate();
        for _ in 0..50 {
            pace.answered(turn);
            assert!(pace.rate() > before && pace.rate() - before < 0.11);
            before = pace.rate();
        }
        pace.answered(turn);
        assert_eq!(pace.rate(), 10.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_of_pleas_halves_the_rate_once() {
        let pace = Pace::new(100.0, 4);
        let (begun, mut rates) = (Instant::now(), Vec::new());
        while begun.elapsed() < 3 * SECOND {
            let turn = pace.turn(None).await.unwrap();
            pace.throttled(turn, Duration::ZERO);
            rates.push(pace.rate());
        }
        rates.dedup();
        assert_eq!(rates[..3], [50.0, 25.0, 12.5]);
        assert!(rates.len() <= 4, "{rates:?}");
        let turn = pace.turn(None).await.unwrap();
        tokio::time::sleep(SECOND).await;
        let cut = Instant::now();
        pace.throttled(turn, Duration::ZERO);
        pace.turn(None).await.unwrap();
        assert!(cut.elapsed().as_secs_f64() >= 1.0 / pace.rate(), "not one more at once");
    }

    #[tokio::test(start_paused = true)]
    async fn rate_and_pause_have_their_bounds() {
        let pace = Pace::new(10.0, 4);
        for _ in 0..20 {
            let turn = pace.turn(None).await.unwrap();
            pace.throttled(turn, Duration::MAX.min(3_600 * SECOND));
        }
        assert_eq!(pace.rate(), RATE_MIN);
        let begun = Instant::now();
        pace.turn(None).await.unwrap();
        assert_eq!(begun.elapsed(), PAUSE_MAX);
        assert_eq!(Pace::new(0.05, 1).rate(), 0.05);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_beyond_the_deadline_ends_at_once() {
        let pace = Pace::new(10.0, 1);
        let turn = pace.turn(None).await.unwrap();
        let begun = Instant::now();
        let soon = Some(begun + SECOND / 20);
        let late = pace.turn(soon).await.unwrap_err();
        assert_eq!(late, TooLate { wait: SECOND / 10, is_throttled: false });
        pace.throttled(turn, 30 * SECOND);
        let late = pace.turn(Some(begun + 20 * SECOND)).await.unwrap_err();
        assert_eq!(late, TooLate { wait: 30 * SECOND, is_throttled: true });
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn other_settings_hold_at_once_for_those_who_wait_too_and_leave_a_lowered_rate() {
        let pace = Pace::new(0.1, 1);
        pace.turn(None).await.unwrap();
        let begun = Instant::now();
        let waits = async { pace.turn(None).await.unwrap() };
        let turn = tokio::join!(waits, async { pace.limit(10.0, 4) }).0;
        assert!(begun.elapsed() <= SECOND, "it would have been ten seconds: {:?}", begun.elapsed());
        assert_eq!(pace.rate(), 10.0);

        pace.throttled(turn, Duration::ZERO);
        pace.limit(100.0, 4);
        assert_eq!(pace.rate(), 5.0, "what was learned stays");
        pace.limit(2.0, 4);
        assert_eq!(pace.rate(), 2.0, "never faster than the settings say");
        pace.limit(4.0, 4);
        assert_eq!(pace.rate(), 4.0, "at the settings' rate, it was no longer lowered");
    }
}
