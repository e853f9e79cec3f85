//! A rendered page in all its forms. Invariant: readers see one state of the page in each of them; a compressed form is
//! made once, off the serving threads, and only where somebody asks for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::clock::UnixMillis;
use crate::metrics::{Body, Gzip};
use crate::model::Format;
use crate::server::NotRendered;

/// For so long after a request a compressed form is made with each page, before anybody asks for it again.
const DEMAND: Duration = Duration::from_secs(600);

/// The families of the watched resources as last rendered.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) body: Body,
    pub(super) rendered: UnixMillis,
    /// Of the ledger's file and log, at that time.
    pub(super) ledger_bytes: u64,
    pub(super) ledger_sessions: u64,
    pub(super) text: Compressed,
    pub(super) open_metrics: Compressed,
}

/// A compressed form, once it is made.
#[derive(Debug, Default)]
pub(super) struct Compressed {
    made: OnceLock<Gzip>,
    /// Held by whoever waits for it first.
    making: Mutex<()>,
}

impl Snapshot {
    /// The compressed page, if it is there.
    pub(super) fn ready(&self, format: Format) -> Option<&Gzip> {
        self.of(format).made.get()
    }

    /// The compressed page, which is made now where it is not there; who asks meanwhile waits for the same one.
    pub(super) async fn compressed(self: &Arc<Self>, format: Format) -> Result<&Gzip, NotRendered> {
        if self.ready(format).is_none() {
            let _first = self.of(format).making.lock().await;
            if self.ready(format).is_none() {
                let snapshot = Arc::clone(self);
                let made = tokio::task::spawn_blocking(move || snapshot.compress(format, None)).await;
                made.map_err(|error| {
                    tracing::error!(%error, "the page could not be compressed");
                    NotRendered
                })?;
            }
        }
        self.ready(format).ok_or(NotRendered)
    }

    /// What tells, form by form, whether somebody still reads it.
    pub(super) fn memory(&self) -> Vec<Weak<()>> {
        let compressed = Format::ALL.iter().filter_map(|format| self.ready(*format)).map(Gzip::memory);
        compressed.chain([self.body.memory()]).collect()
    }

    /// Makes a compressed form, of what an earlier page has where that is the same.
    pub(super) fn compress(&self, format: Format, before: Option<&Self>) {
        // A waiter that went away has left its work running: this waits for that instead of doing it twice.
        self.of(format).made.get_or_init(|| {
            Gzip::new(self.body.parts(format), before.and_then(|before| before.ready(format)))
        });
    }

    fn of(&self, format: Format) -> &Compressed {
        match format {
            Format::Text => &self.text,
            Format::OpenMetrics => &self.open_metrics,
        }
    }
}

/// When each compressed form was last asked for.
#[derive(Debug)]
pub(super) struct Demand {
    since: Instant,
    /// Milliseconds from `since`, plus one; 0 before the first request.
    text: AtomicU64,
    open_metrics: AtomicU64,
}

impl Demand {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, text: AtomicU64::new(0), open_metrics: AtomicU64::new(0) }
    }

    /// A form is asked for.
    pub(super) fn note(&self, format: Format, now: Instant) {
        self.of(format).fetch_max(self.moment(now), Ordering::Relaxed);
    }

    /// Whether it was, lately.
    pub(super) fn is_recent(&self, format: Format, now: Instant) -> bool {
        let asked = self.of(format).load(Ordering::Relaxed);
        asked > 0 && u128::from(self.moment(now) - asked.min(self.moment(now))) <= DEMAND.as_millis()
    }

    fn moment(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.since).as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn of(&self, format: Format) -> &AtomicU64 {
        match format {
            Format::Text => &self.text,
            Format::OpenMetrics => &self.open_metrics,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt;

    use super::*;
    use crate::metrics::Memory;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_compressed_form_is_made_once_for_all_who_ask() {
        let snapshot =
            Arc::new(Snapshot { body: Body::from("a 1\n".repeat(100_000)), ..Snapshot::default() });
        assert!(snapshot.ready(Format::Text).is_none());
        let asking: Vec<_> = (0..64)
            .map(|_| Arc::clone(&snapshot))
            .map(|snapshot| {
                let whole = async move {
                    snapshot
                        .compressed(Format::Text)
                        .await
                        .unwrap()
                        .with_end(&Bytes::new(), &Memory::default())
                };
                tokio::spawn(whole)
            })
            .collect();
        let made = |parts: &[bytes::Bytes]| parts[0].as_ptr();
        for asked in asking {
            let parts = asked.await.unwrap();
            assert_eq!(
                made(&parts),
                made(&snapshot.ready(Format::Text).unwrap().with_end(&Bytes::new(), &Memory::default()))
            );
        }
        assert!(snapshot.ready(Format::OpenMetrics).is_none(), "nobody asked");
    }

    #[test]
    fn it_is_known_who_is_behind() {
        let snapshot = Snapshot { body: Body::from("a 1\n".to_owned()), ..Snapshot::default() };
        snapshot.compress(Format::OpenMetrics, None);
        let held = |memory: &[Weak<()>]| memory.iter().filter(|form| form.strong_count() > 0).count();
        let memory = snapshot.memory();
        let (plain, gzip) = (
            snapshot.body.parts(Format::Text),
            snapshot.ready(Format::OpenMetrics).unwrap().with_end(&Bytes::new(), &Memory::default()),
        );
        assert_eq!((memory.len(), held(&memory)), (2, 2));
        drop(snapshot);
        assert_eq!(held(&memory), 2, "both are read");
        drop(plain);
        assert_eq!(held(&memory), 1);
        drop(gzip);
        assert_eq!(held(&memory), 0);
    }

    #[tokio::test]
    async fn who_goes_away_leaves_a_form_that_is_made_once() {
        let snapshot =
            Arc::new(Snapshot { body: Body::from("a 1\n".repeat(1_000_000)), ..Snapshot::default() });
        // Asks, and goes away: before there is an answer, unless the other thread was faster than this one.
        let _ = snapshot.compressed(Format::Text).now_or_never();
        assert!(snapshot.compressed(Format::Text).await.is_ok());
    }

    #[test]
    fn a_form_is_in_demand_for_ten_minutes() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let demand = Demand::new(start);
        assert!(!demand.is_recent(Format::Text, start));
        demand.note(Format::Text, start);
        assert!(demand.is_recent(Format::Text, at(600)) && !demand.is_recent(Format::Text, at(601)));
        assert!(!demand.is_recent(Format::OpenMetrics, start));
        demand.note(Format::OpenMetrics, at(900));
        assert!(
            demand.is_recent(Format::OpenMetrics, at(1_500)) && !demand.is_recent(Format::Text, at(1_500))
        );
    }
}
