//! What the server shows: the rendered page, the exporter's own metrics, and the status of the targets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::snapshot::{Demand, Snapshot};
use crate::clock::{Clock, UnixMillis};
use crate::metrics::{Exposition, Failure, OwnMetrics, TargetStatus};
use crate::model::{Format, Target};
use crate::server::{self, ConfigStatus, FailureRow, NotRendered, Readiness, Status, TargetRow};

/// See the module.
pub(super) struct Content {
    pub(super) page: Arc<ArcSwap<Snapshot>>,
    pub(super) demand: Arc<Demand>,
    pub(super) exposition: Arc<Exposition>,
    pub(super) own: Arc<OwnMetrics>,
    pub(super) readiness: Readiness,
    pub(super) config: Arc<ArcSwap<ConfigStatus>>,
    pub(super) clock: Clock,
}

impl server::Content for Content {
    fn metrics(&self, format: Format, gzip: bool) -> BoxFuture<'static, Result<Vec<Bytes>, NotRendered>> {
        if gzip {
            self.demand.note(format, Instant::now());
        }
        let (snapshot, own, clock) = (self.page.load_full(), Arc::clone(&self.own), self.clock.clone());
        Box::pin(async move {
            let gzip = if gzip { Some(snapshot.compressed(format).await?) } else { None };
            let age = u64::try_from(clock.now().saturating_sub(snapshot.rendered)).unwrap_or(0);
            let age = Duration::from_millis(age);
            let own = own.encode(format, snapshot.ledger_sessions, snapshot.ledger_bytes, age);
            Ok(match gzip {
                Some(gzip) => gzip.with_end(&own),
                None => snapshot.body.parts(format).into_iter().chain([own.into()]).collect(),
            })
        })
    }

    fn status(&self) -> Status {
        let targets = self.exposition.read(|board| board.targets().iter().map(row).collect());
        let ledger_sessions = self.page.load().ledger_sessions;
        let (stage, config) = (self.readiness.stage(), ConfigStatus::clone(&self.config.load()));
        Status { version: env!("CARGO_PKG_VERSION"), stage, ledger_sessions, config, targets }
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
pub(super) fn rfc3339(moment: UnixMillis) -> Option<String> {
    let second = jiff::Timestamp::from_second(moment.div_euclid(1_000)).ok()?;
    Some(second.to_string())
}
