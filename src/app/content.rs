//! What the server shows: the rendered page, the exporter's own metrics, the status of all that is watched, and what a
//! counter is made of.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::process::Process;
use super::series::Explainer;
use super::snapshot::{Demand, Snapshot};
use super::vitals::Vitals;
use crate::clock::Clock;
use crate::metrics::{Exposition, Memory, OwnMetrics, Scrape};
use crate::model::Format;
use crate::server::{self, ConfigStatus, NotRendered, Readiness, SeriesAnswer, SeriesQuery, Status};

/// See the module.
pub(super) struct Content {
    pub(super) page: Arc<ArcSwap<Snapshot>>,
    pub(super) demand: Arc<Demand>,
    pub(super) exposition: Arc<Exposition>,
    pub(super) own: Arc<OwnMetrics>,
    pub(super) process: Arc<Process>,
    /// For what each scrape writes.
    pub(super) memory: Memory,
    pub(super) readiness: Readiness,
    pub(super) config: Arc<ArcSwap<ConfigStatus>>,
    pub(super) clock: Clock,
    pub(super) vitals: Arc<Vitals>,
    pub(super) explainer: Explainer,
    /// How often the ledger is copied, if it is.
    pub(super) backup_interval: watch::Receiver<Option<Duration>>,
}

impl server::Content for Content {
    fn metrics(&self, format: Format, gzip: bool) -> BoxFuture<'static, Result<Vec<Bytes>, NotRendered>> {
        if gzip {
            self.demand.note(format, Instant::now());
        }
        let (snapshot, clock) = (self.page.load_full(), self.clock.clone());
        let (own, process, memory) = (Arc::clone(&self.own), Arc::clone(&self.process), self.memory.clone());
        Box::pin(async move {
            let gzip = if gzip { Some(snapshot.compressed(format).await?) } else { None };
            let age = u64::try_from(clock.now().saturating_sub(snapshot.rendered)).unwrap_or(0);
            let scrape = Scrape {
                ledger_sessions: snapshot.ledger_sessions,
                ledger_bytes: snapshot.ledger_bytes,
                snapshot_age: Duration::from_millis(age),
                process: process.figures(),
            };
            let own = own.encode(format, &scrape, &memory);
            Ok(match gzip {
                Some(gzip) => gzip.with_end(&Bytes::from_owner(own), &memory),
                None => snapshot.body.parts(format).into_iter().chain([Bytes::from_owner(own)]).collect(),
            })
        })
    }

    fn status(&self) -> Status {
        super::status::status(self)
    }

    fn series(&self, query: SeriesQuery) -> SeriesAnswer {
        self.explainer.answer(&query)
    }
}
