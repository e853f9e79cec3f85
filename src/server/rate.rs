//! How many requests are answered. Invariant: whoever asks, one bucket for all, as in the exporter-toolkit.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::config::RateLimit;

/// A bucket that holds `burst` requests and gains one each `interval`.
#[derive(Debug)]
pub(super) struct Bucket {
    limit: RateLimit,
    /// When it will be full again.
    full_at: Mutex<Instant>,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(limit: RateLimit) -> Self {
        Self { limit, full_at: Mutex::new(Instant::now()) }
    }

    /// What it was made of.
    pub(super) fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Takes one request out, if there is one.
    pub(super) fn take(&self) -> bool {
        let now = Instant::now();
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        // Beyond what the clock can tell there is nothing to take.
        let Some(after) = (*full_at).max(now).checked_add(self.limit.interval) else { return false };
        let is_there = after.duration_since(now) <= self.limit.interval.saturating_mul(self.limit.burst);
        if is_there {
            *full_at = after;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_then_one_each_interval() {
        let bucket = Bucket::new(RateLimit { interval: Duration::from_secs(1), burst: 3 });
        let taken = || (0..5).filter(|_| bucket.take()).count();
        assert_eq!(taken(), 3);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(taken(), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(taken(), 1);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(taken(), 3);
    }

    #[test]
    fn no_limit_is_beyond_the_clock() {
        for interval in [Duration::from_nanos(i64::MAX.unsigned_abs()), Duration::MAX] {
            let bucket = Bucket::new(RateLimit { interval, burst: u32::MAX });
            assert_eq!(bucket.take(), interval != Duration::MAX);
        }
    }
}
