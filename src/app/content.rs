//! What the server shows: the rendered page, the exporter's own metrics, and the status of the targets.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::build_info;
use crate::clock::{Clock, UnixMillis};
use crate::metrics::{Exposition, Failure, OwnMetrics, TargetStatus};
use crate::model::Target;
use crate::server::{self, FailureRow, Readiness, Status, TargetRow};

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
        let targets = self.exposition.read(|board| board.targets().iter().map(row).collect());
        let ledger_sessions = self.page.load().ledger_sessions;
        Status { version: build_info::VERSION, stage: self.readiness.stage(), ledger_sessions, targets }
    }

    fn on_refused_connection(&self) {
        self.own.refused_connection();
    }
}

fn row((target, status): (&Target, &TargetStatus)) -> TargetRow {
    let failure = |failure: &Failure| FailureRow {
        at: rfc3339(failure.at),
        reason: failure.reason.as_str(),
        code: failure.code.clone(),
        request_id: failure.request_id.clone(),
        message: failure.message.clone(),
    };
    TargetRow {
        kind: target.kind.as_str(),
        account: target.scope.account.clone(),
        region: target.scope.region.clone(),
        workspace_id: target.workspace_id.clone(),
        livy_compute_id: target.livy_compute_id.clone(),
        last_success: status.last_success.and_then(rfc3339),
        failing_since: status.failing_since.and_then(rfc3339),
        last_failure: status.last_failure.as_ref().map(failure),
        progress: status.progress,
    }
}

/// A moment as people and programs read it, to the second.
fn rfc3339(moment: UnixMillis) -> Option<String> {
    let second = jiff::Timestamp::from_second(moment.div_euclid(1_000)).ok()?;
    Some(second.to_string())
}
