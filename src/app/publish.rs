//! Renders the page when something has changed, or when time alone changes it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::snapshot::{Demand, Snapshot};
use crate::clock::Clock;
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::metrics::Exposition;
use crate::model::Format;
use crate::scheduler::FirstPass;
use crate::server::Readiness;

/// The least time between two renderings: a sweep changes something with every page it reads.
const GAP: Duration = Duration::from_millis(100);
/// How much longer that is for each megabyte of a page: all renderings together are to take a tenth of a core at most.
const GAP_PER_MEGABYTE: Duration = Duration::from_millis(50);
/// How much longer for each form of an earlier page that somebody still reads: slow readers cannot have page after page held.
const GAP_PER_READ: Duration = Duration::from_secs(1);
/// Until a rendering that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What the rendering needs.
pub(super) struct Publisher {
    pub(super) exposition: Arc<Exposition>,
    pub(super) ledger: Ledger,
    pub(super) page: Arc<ArcSwap<Snapshot>>,
    /// Which compressed forms are asked for.
    pub(super) demand: Arc<Demand>,
    pub(super) clock: Clock,
    pub(super) first_pass: FirstPass,
    pub(super) readiness: Readiness,
    /// Of releases that the ledger does not take.
    pub(super) releases: Journal,
    /// Of earlier pages, what somebody still reads.
    pub(super) read: Vec<Weak<()>>,
}

impl Publisher {
    /// Renders once. Returns how long the page holds if nothing changes.
    pub(super) async fn publish(&mut self) -> Option<Duration> {
        let totals = self.ledger.snapshot();
        let ledger_sessions = totals.sessions;
        self.exposition.update_quietly(|board| board.set_ledger(totals));
        let now = self.clock.now();
        let (exposition, demand, before) =
            (Arc::clone(&self.exposition), Arc::clone(&self.demand), self.page.load_full());
        let ledger = self.ledger.clone();
        // Off the threads that serve: a scrape does not wait for a page, however large, nor for a disk.
        let rendering = tokio::task::spawn_blocking(move || {
            let ledger_bytes = ledger.size_bytes();
            let rendered = exposition.render(now);
            let body = rendered.body;
            let snapshot =
                Snapshot { body, rendered: now, ledger_bytes, ledger_sessions, ..Snapshot::default() };
            for format in Format::ALL.into_iter().filter(|format| demand.is_recent(*format, Instant::now())) {
                snapshot.compress(format, Some(&before));
            }
            (snapshot, rendered.next_change, rendered.released)
        });
        let (snapshot, next_change, released) = match rendering.await {
            Ok(rendered) => rendered,
            Err(error) => {
                tracing::error!(%error, "the metrics could not be rendered: the page stays as it was");
                return Some(RETRY);
            }
        };
        let before = self.page.swap(Arc::new(snapshot));
        self.read.extend(before.memory());
        drop(before);
        self.read.retain(|form| form.strong_count() > 0);
        if !released.is_empty() {
            let (released, now) = (self.ledger.release(released).await, Instant::now());
            if let Err(error) = released {
                if let Some(left_out) = self.releases.failed((), now) {
                    tracing::warn!(%error, left_out, "series stay at zero until the ledger takes their release");
                }
                return Some(GAP);
            }
            if let Some(over) = self.releases.succeeded(now) {
                let lasted_seconds = over.lasted.as_secs_f64();
                tracing::info!(lasted_seconds, "the ledger takes the release of series again");
            }
        }
        let wait = next_change?.saturating_sub(now);
        Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
    }

    /// Renders until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut totals = self.ledger.subscribe();
        let mut first_pass = self.first_pass.subscribe();
        loop {
            totals.mark_unchanged();
            let waiting = *first_pass.borrow_and_update();
            let holds = self.publish().await;
            let gap = gap(self.page.load().body.size_bytes(), self.read.len());
            // Only now does the page show what those targets had to tell.
            self.readiness.waiting(waiting);
            let passed = async {
                match holds {
                    Some(holds) => tokio::time::sleep(holds).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.exposition.changed() => {}
                changed = totals.changed() => if changed.is_err() { break },
                changed = first_pass.changed() => if changed.is_err() { break },
                () = passed => {}
                () = stop.cancelled() => break,
            }
            tokio::select! {
                () = tokio::time::sleep(gap) => {}
                () = stop.cancelled() => break,
            }
        }
    }
}

/// The least time from a rendering of so many bytes to the next one, while so many forms of earlier ones are read.
fn gap(bytes: usize, read: usize) -> Duration {
    let count = |count: usize| u32::try_from(count).unwrap_or(1_000).min(1_000);
    GAP + GAP_PER_MEGABYTE * count(bytes / 1_000_000) + GAP_PER_READ * count(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::common::Common;
    use crate::app::exporter::tests::settings;
    use crate::app::vitals::Vitals;
    use crate::metrics::OwnMetrics;

    #[tokio::test]
    async fn earlier_pages_count_for_as_long_as_they_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let own = Arc::new(OwnMetrics::new([].into_iter(), &[]).unwrap());
        let vitals = Arc::new(Vitals::new(0));
        let common = Common::open(&settings(directory.path()), own, vitals, Clock::System).unwrap();
        let mut publisher = common.publisher();
        publisher.publish().await;
        let reading = publisher.page.load().body.parts(Format::Text);
        assert!(!reading.is_empty());
        for _ in 0..3 {
            publisher.publish().await;
            assert_eq!(publisher.read.len(), 1, "the one that is read, and no other");
        }
        drop(reading);
        publisher.publish().await;
        assert_eq!(publisher.read.len(), 0);
    }

    #[test]
    fn large_pages_and_slow_readers_make_renderings_rarer() {
        let millis = |bytes, read| gap(bytes, read).as_millis();
        assert_eq!(
            [millis(0, 0), millis(18_000_000, 0), millis(0, 3), millis(18_000_000, 3)],
            [100, 1_000, 3_100, 4_000]
        );
        assert_eq!(gap(usize::MAX, usize::MAX), gap(1_000_000_000, 1_000));
    }
}
