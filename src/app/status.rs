//! The status of all that is watched, as the server shows it.

use std::collections::HashMap;

use super::content::Content;
use crate::build_info;
use crate::ledger::GatewayTotals;
use crate::metrics::{Failure, TargetStatus, View};
use crate::model::{ClusterState, GatewayId, SessionCounts, SessionState, Target, Usage, WorkspaceId};
use crate::server::{
    API_VERSION, ClusterRow, ConfigStatus, ConsumerRow, Consumers, CredentialsRow, FailureRow, LedgerRow,
    Place, ROWS_MAX, ScopeRow, SessionRow, Status, TargetRow, Watched,
};

/// The status now.
pub(super) fn status(content: &Content) -> Status {
    let now = content.clock.now();
    let facts = content.vitals.facts();
    let page = content.page.load();
    let ledger = LedgerRow {
        sessions: page.ledger_sessions,
        size_bytes: page.ledger_bytes,
        last_commit: facts.last_commit,
        commits_failing_since: facts.commits_failing_since,
        last_backup: content.own.ledger.last_backup(),
        backups_enabled: content.backup_interval.borrow().is_some(),
    };
    content.exposition.view(now, |view| {
        let names = Names::of(view);
        let scopes = view.board.scopes().iter();
        let mut scopes: Vec<ScopeRow> =
            scopes.map(|id| ScopeRow { account: id.account.clone(), region: id.region.clone() }).collect();
        scopes.sort();
        let mut accounts: Vec<&String> = scopes.iter().map(|scope| &scope.account).collect();
        accounts.dedup();
        let keys = |account: &String| CredentialsRow {
            account: account.clone(),
            held: facts.keys.contains_key(account),
            expires: facts.keys.get(account).copied().flatten(),
        };
        let credentials = accounts.into_iter().map(keys).collect();
        let failed = || view.clusters().filter(|(_, cluster)| cluster.state == ClusterState::Error);
        Status {
            api_version: API_VERSION,
            version: build_info::VERSION,
            stage: content.readiness.stage(),
            as_of: now,
            started: content.vitals.started,
            config: ConfigStatus::clone(&content.config.load()),
            watched: watched(view, scopes, failed().count()),
            ledger,
            credentials,
            consumers: consumers(view, &names),
            failed_clusters: failed()
                .take(ROWS_MAX)
                .map(|(id, cluster)| ClusterRow {
                    place: names.workspace(id),
                    session_cluster_id: cluster.session_cluster_id.clone(),
                    name: cluster.name.clone(),
                    kind: cluster.kind.as_str(),
                    code: cluster.reason_code.clone(),
                })
                .collect(),
            targets: view.board.targets().iter().map(|(id, status)| target(&names, id, status)).collect(),
        }
    })
}

fn watched(view: View<'_>, scopes: Vec<ScopeRow>, failed: usize) -> Watched {
    let states = || SessionState::ALL.iter().filter(|state| !state.is_ended());
    let active = |counts: &SessionCounts| -> u64 {
        counts.queues().flat_map(|queue| states().map(move |state| counts.get(queue, *state))).sum()
    };
    Watched {
        scopes,
        workspaces: view.workspaces().count(),
        session_clusters: view.clusters().count(),
        session_clusters_failed: failed,
        livy_gateways: view.gateways().count(),
        livy_sessions_active: view.sessions().map(|(_, sessions)| active(&sessions.counts)).sum(),
    }
}

/// Names of what is listed, by id.
struct Names<'a> {
    workspaces: HashMap<(&'a str, &'a str), &'a str>,
    gateways: HashMap<(&'a WorkspaceId, &'a str), &'a str>,
}

impl<'a> Names<'a> {
    fn of(view: View<'a>) -> Self {
        let workspaces = view.workspaces();
        let gateways = view.gateways();
        Self {
            workspaces: workspaces
                .map(|(scope, row)| ((&*scope.account, &*row.workspace_id), &*row.name))
                .collect(),
            gateways: gateways.map(|(id, row)| ((id, &*row.livy_compute_id), &*row.name)).collect(),
        }
    }

    fn workspace(&self, id: &WorkspaceId) -> Place {
        let name = self.workspaces.get(&(&*id.account, &*id.workspace_id));
        Place {
            account: id.account.clone(),
            workspace_id: id.workspace_id.clone(),
            workspace_name: name.copied().unwrap_or_default().to_owned(),
            ..Place::default()
        }
    }

    fn gateway(&self, id: &GatewayId) -> Place {
        let name = self.gateways.get(&(&id.workspace, &*id.livy_compute_id));
        Place {
            livy_compute_id: id.livy_compute_id.clone(),
            livy_gateway_name: name.copied().unwrap_or_default().to_owned(),
            ..self.workspace(&id.workspace)
        }
    }
}

fn target(names: &Names<'_>, target: &Target, status: &TargetStatus) -> TargetRow {
    let failure = |failure: &Failure| FailureRow {
        code: failure.code.clone(),
        request_id: failure.request_id.clone(),
        ..FailureRow::new(failure.at, failure.reason, failure.message.clone())
    };
    TargetRow {
        kind: target.kind.as_str(),
        place: names.gateway(&target.gateway()),
        region: target.scope.region.clone(),
        last_success: status.last_success,
        last_duration_seconds: status.last_duration.map(|took| took.as_secs_f64()),
        progress: status.progress,
        failing_since: status.failing_since,
        last_failure: status.last_failure.as_ref().map(failure),
    }
}

/// The largest counters and sessions.
fn consumers(view: View<'_>, names: &Names<'_>) -> Consumers {
    let shown = view.board.shown_gateways();
    let mut gateways: Vec<(Usage, &GatewayId)> = Vec::new();
    let mut queues: Vec<(Usage, &GatewayId, &String)> = Vec::new();
    let mut all = Usage::ZERO;
    for (id, gateway) in shown {
        let mut sum = Usage::ZERO;
        for (queue, usage) in counted(gateway) {
            queues.push((usage, id, queue));
            sum = plus(sum, usage);
        }
        gateways.push((sum, id));
        all = plus(all, sum);
    }
    gateways.sort_by_key(|(usage, _)| std::cmp::Reverse(usage.nano_cu_hours));
    queues.sort_by_key(|(usage, ..)| std::cmp::Reverse(usage.nano_cu_hours));
    let row = |usage: Usage, id: &GatewayId, queue: Option<String>| ConsumerRow {
        place: names.gateway(id),
        queue,
        cu_seconds: usage.cu_seconds(),
    };
    Consumers {
        cu_seconds: all.cu_seconds(),
        gateways_total: gateways.len(),
        queues_total: queues.len(),
        gateways: gateways.into_iter().take(ROWS_MAX).map(|(usage, id)| row(usage, id, None)).collect(),
        queues: queues
            .into_iter()
            .take(ROWS_MAX)
            .map(|(usage, id, queue)| row(usage, id, Some(queue.clone())))
            .collect(),
        sessions: sessions(view, names),
    }
}

/// What the counters of a gateway show, by queue.
fn counted(gateway: &GatewayTotals) -> impl Iterator<Item = (&String, Usage)> {
    let shown = |held: bool, usage: Usage| if held { Usage::ZERO } else { usage };
    gateway.series.iter().map(move |(queue, series)| (queue, shown(series.held, series.usage())))
}

/// A sum for people: held at the end of 64 bits.
fn plus(a: Usage, b: Usage) -> Usage {
    a.checked_add(b).unwrap_or(Usage { nano_cu_hours: i64::MAX, ..a })
}

fn sessions(view: View<'_>, names: &Names<'_>) -> Vec<SessionRow> {
    // Each gateway's are ordered already.
    let largest = view
        .sessions()
        .flat_map(|(id, sessions)| sessions.active.iter().take(ROWS_MAX).map(move |s| (id, s)));
    let mut largest: Vec<_> =
        largest.map(|(id, session)| (session.usage.or(Usage::ZERO), id, session)).collect();
    largest.sort_by_key(|(usage, ..)| std::cmp::Reverse(usage.nano_cu_hours));
    let row = |(usage, id, session): (Usage, &GatewayId, &crate::metrics::Active)| SessionRow {
        place: names.gateway(id),
        session_id: session.session_id.clone(),
        name: session.name.clone(),
        queue: session.queue.clone(),
        state: session.state.as_str(),
        cu_seconds: usage.cu_seconds(),
    };
    largest.into_iter().take(ROWS_MAX).map(row).collect()
}
