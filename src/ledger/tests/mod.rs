//! The ledger against a real file.

mod clusters;
mod counting;
mod documentation;
mod explain;
mod memory;
mod opening;
mod oracle;
mod pruning;
mod safety;
mod take_over;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{CommitObserver, Discovered, GatewayTotals, Ledger, Options, Pass};
use crate::clock::UnixMillis;
use crate::model::{Baseline, GatewayId, ScopeId, SessionObservation, SessionState, Usage, WorkspaceId};

struct Unobserved;

impl CommitObserver for Unobserved {
    fn on_commit(&self, _: Duration, _: bool) {}
}

fn open(path: &Path) -> Ledger {
    open_as(path, Baseline::Include)
}

fn open_as(path: &Path, baseline: Baseline) -> Ledger {
    Ledger::open(&Options { path: path.to_owned(), baseline }, Arc::new(Unobserved)).unwrap()
}

fn refused(path: &Path) -> String {
    let options = Options { path: path.to_owned(), baseline: Baseline::Include };
    match Ledger::open(&options, Arc::new(Unobserved)) {
        Ok(_) => panic!("the ledger was opened"),
        Err(error) => error.to_string(),
    }
}

fn scope() -> ScopeId {
    ScopeId { account: "a".into(), region: "cn-hangzhou".into() }
}

fn workspace() -> WorkspaceId {
    WorkspaceId { account: "a".into(), workspace_id: "w-1".into() }
}

fn gateway(id: &str) -> GatewayId {
    GatewayId { workspace: workspace(), livy_compute_id: id.into() }
}

/// A gateway from before the watch.
fn old(id: &str) -> Discovered {
    Discovered { gateway: gateway(id), created: Some(0), watched_since: 1_000 }
}

fn usage(nano_cu_hours: i64, vcore_seconds: i64, mb_seconds: i64) -> Usage {
    Usage { nano_cu_hours, vcore_seconds, mb_seconds }
}

fn session(id: &str, created: UnixMillis, usage: Usage) -> SessionObservation {
    SessionObservation {
        session_id: id.into(),
        name: String::new(),
        queue: "root_queue".into(),
        state: SessionState::Running,
        created: Some(created),
        ended: None,
        usage: usage.into(),
    }
}

fn ended(mut session: SessionObservation, state: SessionState, at: UnixMillis) -> SessionObservation {
    session.state = state;
    session.ended = Some(at);
    session
}

/// A whole pass at `now` that sees these sessions.
async fn sweep(
    ledger: &Ledger,
    found: Discovered,
    now: UnixMillis,
    sessions: Vec<SessionObservation>,
) -> Pass {
    let pass = ledger.begin_pass(found, now).await.unwrap();
    ledger.apply_sessions(pass, sessions).await.unwrap();
    ledger.complete_pass(pass, None, now).await.unwrap();
    pass
}

fn totals(ledger: &Ledger, id: &str) -> Arc<GatewayTotals> {
    ledger.snapshot().gateways.get(&gateway(id)).unwrap().clone()
}

fn counted(ledger: &Ledger, id: &str) -> Usage {
    totals(ledger, id).series["root_queue"].usage()
}
