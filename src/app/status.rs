//! The status of all that is watched, as the server shows it. Invariant: what is too old for the metrics is told with its
//! age; only what was never known is left out.

use std::collections::HashMap;

use super::content::Content;
use crate::build_info;
use crate::ledger::GatewayTotals;
use crate::metrics::{Failure, LARGEST_MAX, Listing, TargetStatus, View};
use crate::model::{
    ClusterState, GatewayId, SessionCounts, SessionObservation, SessionState, Target, TargetKind, Usage,
    WorkspaceId,
};
use crate::server::{
    API_VERSION, ClusterRow, ConfigStatus, ConsumerRow, Consumers, CredentialsRow, FailureRow, LedgerRow,
    Place, ROWS_MAX, ScopeRow, SessionRow, Stage, Status, TargetRow, Watched,
};

/// The status now.
pub(super) fn status(content: &Content) -> Status {
    let now = content.clock.now();
    let facts = content.vitals.facts();
    let page = content.page.load();
    let backups_enabled = content.backup_interval.borrow().is_some();
    // Of copies that are no longer made, the end of the failure would never come.
    let (backups_failing_since, backup_error) = facts.backups_failing.filter(|_| backups_enabled).unzip();
    let ledger = LedgerRow {
        sessions: page.ledger_sessions,
        size_bytes: page.ledger_bytes,
        last_commit: facts.last_commit,
        commits_failing_since: facts.commits_failing_since,
        last_backup: content.own.ledger.last_backup(),
        backups_enabled,
        backups_failing_since,
        backup_error,
    };
    content.exposition.view(now, |metrics| {
        let view = metrics.of_any_age();
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
            temporary: facts.keys.get(account).is_some_and(|keys| keys.is_temporary),
            expires: facts.keys.get(account).and_then(|keys| keys.expires),
        };
        let credentials = accounts.into_iter().map(keys).collect();
        let failed = || view.clusters().filter(|(_, cluster)| cluster.state == ClusterState::Error);
        let stage = content.readiness.stage();
        let targets = view.board.targets();
        let is_waiting =
            |status: &&TargetStatus| status.last_success.is_none() && status.last_failure.is_none();
        Status {
            api_version: API_VERSION,
            version: build_info::VERSION,
            stage,
            waiting: match stage {
                // Those included that are still to be found.
                Stage::Starting { waiting } => waiting,
                Stage::Ready | Stage::Draining => targets.values().filter(is_waiting).count(),
            },
            as_of: now,
            started: content.vitals.started,
            config: ConfigStatus::clone(&content.config.load()),
            watched: watched(metrics, scopes, &facts.polled),
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
            targets: targets.iter().map(|(id, status)| target(&names, id, status)).collect(),
        }
    })
}

/// Counts of what the latest complete lists have, and how these stand; `polled` is what the settings have polled.
fn watched(metrics: View<'_>, scopes: Vec<ScopeRow>, polled: &[TargetKind]) -> Watched {
    let view = metrics.of_any_age();
    let states = || SessionState::ALL.iter().filter(|state| !state.is_ended());
    let active = |counts: &SessionCounts| -> u64 {
        counts.queues().flat_map(|queue| states().map(move |state| counts.get(queue, *state))).sum()
    };
    let mut watched = Watched { scopes, ..Watched::default() };
    let lists = &mut watched.lists;
    for (kind, list) in [
        (TargetKind::Workspaces, &mut lists.workspaces),
        (TargetKind::SessionClusters, &mut lists.session_clusters),
        (TargetKind::LivyGateways, &mut lists.livy_gateways),
        (TargetKind::LivySessions, &mut lists.livy_sessions),
    ] {
        let Listing { known, missing, as_of, stale } = metrics.listing(kind);
        list.enabled = polled.contains(&kind);
        (list.complete, list.missing, list.as_of, list.stale) = (known, missing, as_of, stale);
    }
    // Beneath an empty list, there is nothing to be listed.
    let is_known = |kind, above: Option<usize>| metrics.listing(kind).known > 0 || above == Some(0);
    let is_told = |kind, above| polled.contains(&kind) && is_known(kind, above);
    watched.workspaces = is_told(TargetKind::Workspaces, None).then(|| view.workspaces().count());
    if is_told(TargetKind::SessionClusters, watched.workspaces) {
        let failed = view.clusters().filter(|(_, cluster)| cluster.state == ClusterState::Error);
        watched.session_clusters_failed = Some(failed.count());
        watched.session_clusters = Some(view.clusters().count());
    }
    if is_told(TargetKind::LivyGateways, watched.workspaces) {
        watched.livy_gateways = Some(view.gateways().count());
    }
    if is_told(TargetKind::LivySessions, watched.livy_gateways) {
        let active = view.sessions().map(|(_, sessions)| active(&sessions.counts)).sum();
        watched.livy_sessions_active = Some(active);
    }
    watched
}

/// Names of what is listed, by id.
pub(super) struct Names<'a> {
    workspaces: HashMap<(&'a str, &'a str), &'a str>,
    gateways: HashMap<(&'a WorkspaceId, &'a str), &'a str>,
}

impl<'a> Names<'a> {
    pub(super) fn of(view: View<'a>) -> Self {
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

    pub(super) fn gateway(&self, id: &GatewayId) -> Place {
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
    const { assert!(LARGEST_MAX >= ROWS_MAX, "all of them might be of one gateway") };
    let largest =
        view.sessions().flat_map(|(id, sessions)| sessions.largest.iter().map(move |session| (id, session)));
    let mut largest: Vec<_> =
        largest.map(|(id, session)| (session.usage.or(Usage::ZERO), id, session)).collect();
    largest.sort_by_key(|(usage, ..)| std::cmp::Reverse(usage.nano_cu_hours));
    let row = |(usage, id, session): (Usage, &GatewayId, &SessionObservation)| SessionRow {
        place: names.gateway(id),
        session_id: session.session_id.clone(),
        name: session.name.clone(),
        queue: session.queue.clone(),
        state: session.state.as_str(),
        cu_seconds: usage.cu_seconds(),
    };
    largest.into_iter().take(ROWS_MAX).map(row).collect()
}
