//! How far the service's clock is ahead of this machine's, from the `Date` of its answers. Requests are dated by it.
//! Invariant: a difference that a slow answer can explain changes nothing.

use std::sync::atomic::{AtomicI64, Ordering};

/// A difference of note: more than what latency and the whole seconds of `Date` make.
const NOTE_MS: i64 = 5_000;

/// Milliseconds that are added to the time of this machine where a request is dated.
#[derive(Debug, Default)]
pub(super) struct ClockOffset(AtomicI64);

impl ClockOffset {
    /// The offset in milliseconds; 0 where both clocks agree.
    pub(super) fn millis(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes a measurement in milliseconds; true where it changed the offset.
    pub(super) fn measured(&self, ahead: i64) -> bool {
        let before = self.millis();
        // As an answer that was long under way would say: the offset stays.
        if ahead.saturating_sub(before).saturating_abs() <= NOTE_MS {
            return false;
        }
        let offset = if ahead.saturating_abs() <= NOTE_MS { 0 } else { ahead };
        // Of two answers that say the same at the same time, one is told.
        self.0.compare_exchange(before, offset, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_follows_what_is_of_note_and_nothing_else() {
        let offset = ClockOffset::default();
        for (ahead, changed, expected) in [
            (499, false, 0),
            (-4_900, false, 0),
            (1_200_400, true, 1_200_400),
            (1_199_800, false, 1_200_400),
            (1_204_000, false, 1_200_400),
            (-1_200_000, true, -1_200_000),
            (300, true, 0),
        ] {
            assert_eq!((offset.measured(ahead), offset.millis()), (changed, expected), "{ahead}");
        }
        assert!(offset.measured(i64::MAX) && offset.measured(i64::MIN));
    }
}
