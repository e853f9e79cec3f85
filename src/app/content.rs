//! What the server shows: the rendered page, the exporter's own metrics, the status of all that is watched, and what a
//! counter is made of.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;

use super::series::Explainer;
use super::vitals::Vitals;
use crate::clock::{Clock, UnixMillis};
use crate::metrics::{Exposition, OwnMetrics};
use crate::server::{self, Readiness, SeriesAnswer, SeriesQuery, Status};

/// The families of the watched resources as last rendered.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) bytes: Bytes,
    pub(super) rendered: UnixMillis,
    /// Of the ledger's file and log, at that time.
    pub(super) ledger_bytes: u64,
    pub(super) ledger_sessions: u64,
}

/// See the module.
pub(super) struct Content {
    pub(super) page: Arc<ArcSwap<Page>>,
    pub(super) exposition: Arc<Exposition>,
    pub(super) own: Arc<OwnMetrics>,
    pub(super) readiness: Readiness,
    pub(super) clock: Clock,
    pub(super) vitals: Arc<Vitals>,
    pub(super) explainer: Explainer,
    pub(super) backups_enabled: bool,
}

impl server::Content for Content {
    fn metrics(&self) -> Vec<Bytes> {
        let page = self.page.load();
        let age = u64::try_from(self.clock.now().saturating_sub(page.rendered)).unwrap_or(0);
        let own = self.own.encode(page.ledger_sessions, page.ledger_bytes, Duration::from_millis(age));
        match own {
            Ok(own) => vec![page.bytes.clone(), own.into()],
            Err(error) => {
                tracing::error!(%error, "the exporter's own metrics could not be encoded");
                vec![page.bytes.clone()]
            }
        }
    }

    fn status(&self) -> Status {
        super::status::status(self)
    }

    fn series(&self, query: SeriesQuery) -> SeriesAnswer {
        self.explainer.answer(query)
    }

    fn on_refused_connection(&self) {
        self.own.refused_connection();
    }
}
