//! What the log is told of something that keeps failing. Invariant: of one reason at most one line in five minutes, with
//! the number of failures that were left out; and of what the log was told, also the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// From one line about a reason to the next.
const REPEAT: Duration = Duration::from_secs(300);

/// What the log knows of one thing that is tried again and again. The reasons are a closed set, `()` where there is one.
#[derive(Debug)]
pub struct Journal<R = ()> {
    told: BTreeMap<R, Told>,
    standing: Option<Standing>,
}

impl<R> Default for Journal<R> {
    fn default() -> Self {
        Self { told: BTreeMap::new(), standing: None }
    }
}

/// A reason that the log was told of.
#[derive(Debug)]
struct Told {
    at: Instant,
    /// Failures since then that were left out.
    left_out: u64,
}

/// Failures without a success in between.
#[derive(Debug)]
struct Standing {
    since: Instant,
    failures: u64,
    is_told: bool,
}

/// A failure that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// From the first failure to the first success.
    pub lasted: Duration,
    /// How often it failed.
    pub failures: u64,
}

impl<R: Ord> Journal<R> {
    /// It failed. Gives how many like it were left out since the line before, if there is to be a line.
    pub fn failed(&mut self, reason: R, now: Instant) -> Option<u64> {
        let standing = self.standing.get_or_insert(Standing { since: now, failures: 0, is_told: false });
        standing.failures += 1;
        match self.told.get_mut(&reason) {
            Some(told) if now.saturating_duration_since(told.at) < REPEAT => {
                told.left_out += 1;
                None
            }
            told => {
                standing.is_told = true;
                let left_out = told.map_or(0, |told| told.left_out);
                self.told.insert(reason, Told { at: now, left_out: 0 });
                Some(left_out)
            }
        }
    }

    /// It succeeded. Gives what is over by that, if the log was told of it.
    pub fn succeeded(&mut self, now: Instant) -> Option<Over> {
        let Standing { since, failures, is_told } = self.standing.take()?;
        is_told.then(|| Over { lasted: now.saturating_duration_since(since), failures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FailureReason;

    #[test]
    fn a_standing_failure_is_told_every_five_minutes_and_at_its_end() {
        let (mut journal, start) = (Journal::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let denied = FailureReason::Denied;
        let lines: Vec<_> =
            (0..=20).filter_map(|minute| Some((minute, journal.failed(denied, at(minute * 60))?))).collect();
        assert_eq!(lines, [(0, 0), (5, 4), (10, 4), (15, 4), (20, 4)]);
        // Another reason has a line of its own, and does not make the first one new.
        assert_eq!(journal.failed(FailureReason::Timeout, at(1_201)), Some(0));
        assert_eq!(journal.failed(denied, at(1_202)), None);
        let over = Over { lasted: Duration::from_secs(1_260), failures: 23 };
        assert_eq!((journal.succeeded(at(1_260)), journal.succeeded(at(1_261))), (Some(over), None));
    }

    #[test]
    fn one_that_comes_and_goes_is_told_no_more_often() {
        let (mut journal, start) = (Journal::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut lines = 0;
        for second in (0..600).step_by(2) {
            lines += usize::from(journal.failed(FailureReason::Timeout, at(second)).is_some());
            lines += usize::from(journal.succeeded(at(second + 1)).is_some());
        }
        assert_eq!(lines, 4, "twice in ten minutes that it fails, and that it is over");
    }
}
