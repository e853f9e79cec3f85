//! Durable histograms of durations, in integer milliseconds. Their exemplars count for nothing and live in memory only.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixMillis;

/// Upper bounds of a Livy session's duration, in seconds: a minute to a week.
const SESSION_BOUNDS: &[i64] = &[60, 300, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400, 259_200, 604_800];

/// Upper bounds of a session cluster's start, in seconds.
const START_BOUNDS: &[i64] = &[5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1_200];

/// Counts of durations by upper bound.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds: &'static [i64],
    /// One a bound, and one for the open end.
    buckets: Vec<Bucket>,
    /// The latest of each bucket since the program started.
    exemplars: Vec<Option<Exemplar>>,
}

/// One of the durations of a bucket, and what it was the duration of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemplar {
    /// Of the session or session cluster.
    pub id: Arc<str>,
    /// How long it took.
    pub duration: Duration,
    /// When it was over.
    pub at: UnixMillis,
}

/// Durations above the bound before, up to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    /// Upper bound in ms; `i64::MAX` for the open end.
    pub(super) bound_ms: i64,
    /// How many.
    pub(super) count: u64,
    /// Their sum, in ms.
    pub(super) sum_ms: i64,
}

/// Two are the same if they count the same.
impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        (self.bounds, &self.buckets) == (other.bounds, &other.buckets)
    }
}

impl Histogram {
    /// For durations of Livy sessions.
    pub(super) fn of_sessions() -> Self {
        Self::new(SESSION_BOUNDS)
    }

    /// For starts of session clusters.
    pub(super) fn of_starts() -> Self {
        Self::new(START_BOUNDS)
    }

    /// The same bounds without any count.
    pub fn emptied(&self) -> Self {
        Self::new(self.bounds)
    }

    fn new(bounds: &'static [i64]) -> Self {
        let bounds_ms = bounds.iter().map(|bound| bound * 1_000).chain([i64::MAX]);
        let buckets = bounds_ms.map(|bound_ms| Bucket { bound_ms, count: 0, sum_ms: 0 }).collect();
        Self { bounds, buckets, exemplars: vec![None; bounds.len() + 1] }
    }

    /// Counts the duration of `id`, which was over `at`, and returns its bucket, to be stored.
    pub(super) fn observe(&mut self, duration_ms: i64, id: &str, at: UnixMillis) -> Bucket {
        let exemplar = &mut self.exemplars[self.buckets.partition_point(|b| b.bound_ms < duration_ms)];
        // In a history that is read from its young end, the first is the latest: Prometheus wants no earlier one after it.
        if exemplar.as_ref().is_none_or(|known| known.at < at) {
            let duration = Duration::from_millis(u64::try_from(duration_ms).unwrap_or(0));
            *exemplar = Some(Exemplar { id: id.into(), duration, at });
        }
        self.add(duration_ms, 1, duration_ms)
    }

    /// Adds what is stored under an upper bound; one that is not (any longer) used goes to the next larger one.
    pub(super) fn add(&mut self, bound_ms: i64, count: u64, sum_ms: i64) -> Bucket {
        let index = self.buckets.partition_point(|bucket| bucket.bound_ms < bound_ms);
        let bucket = &mut self.buckets[index];
        bucket.count += count;
        bucket.sum_ms = bucket.sum_ms.saturating_add(sum_ms);
        *bucket
    }

    /// Upper bounds in seconds, the open end as `None`; each with the count of durations up to it, and an exemplar of
    /// those above the bound before.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<i64>, u64, Option<&Exemplar>)> {
        let mut sum = 0;
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        bounds.zip(&self.buckets).zip(&self.exemplars).map(move |((bound, bucket), exemplar)| {
            sum += bucket.count;
            (bound, sum, exemplar.as_ref())
        })
    }

    /// Each bucket by itself, to be stored.
    pub(super) fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        self.buckets.iter().copied()
    }

    /// Durations counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.count).sum()
    }

    /// Their sum.
    pub fn sum(&self) -> Duration {
        let sum_ms = self.buckets.iter().fold(0_i64, |sum, bucket| sum.saturating_add(bucket.sum_ms));
        Duration::from_millis(u64::try_from(sum_ms).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_every_bound_that_holds_it() {
        let mut histogram = Histogram::of_starts();
        assert_eq!(histogram.observe(5_000, "a", 1), Bucket { bound_ms: 5_000, count: 1, sum_ms: 5_000 });
        assert_eq!(histogram.observe(4_000, "b", 2), Bucket { bound_ms: 5_000, count: 2, sum_ms: 9_000 });
        assert_eq!(histogram.observe(5_001, "c", 3), Bucket { bound_ms: 10_000, count: 1, sum_ms: 5_001 });
        assert_eq!(histogram.observe(9_000_000, "d", 4).bound_ms, i64::MAX);
        let cumulative: Vec<_> = histogram.cumulative().map(|(bound, count, _)| (bound, count)).collect();
        assert_eq!(cumulative[..3], [(Some(5), 2), (Some(10), 3), (Some(20), 3)]);
        assert_eq!(cumulative.last(), Some(&(None, 4)));
        assert_eq!(histogram.count(), 4);
        assert_eq!(histogram.sum(), Duration::from_millis(9_014_001));
    }

    #[test]
    fn a_stored_bound_that_is_no_longer_used_keeps_its_count() {
        let mut histogram = Histogram::of_starts();
        histogram.add(7_000, 2, 13_000);
        assert_eq!(histogram.cumulative().nth(1), Some((Some(10), 2, None)));
    }

    #[test]
    fn the_exemplar_of_a_bucket_is_what_was_over_last() {
        let mut histogram = Histogram::of_starts();
        for (duration_ms, id, at) in [(4_000, "b", 20), (5_000, "a", 10), (5_001, "c", 5), (i64::MAX, "d", 1)]
        {
            histogram.observe(duration_ms, id, at);
        }
        let exemplars: Vec<_> =
            histogram.cumulative().filter_map(|(bound, _, e)| Some((bound, e?.id.to_string()))).collect();
        assert_eq!(exemplars, [(Some(5), "b".into()), (Some(10), "c".into()), (None, "d".into())]);
        let latest = Exemplar { id: "b".into(), duration: Duration::from_secs(4), at: 20 };
        assert_eq!(histogram.cumulative().next(), Some((Some(5), 2, Some(&latest))));
        assert!(
            histogram.emptied().cumulative().all(|(_, count, exemplar)| count == 0 && exemplar.is_none())
        );
    }
}
