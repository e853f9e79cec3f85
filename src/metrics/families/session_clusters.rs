//! Session clusters, from ListSessionClusters; their changes from the ledger.

use std::collections::BTreeMap;

use crate::metrics::Family;
use crate::metrics::board::View;
use crate::metrics::labels::LabelTable;
use crate::metrics::lines::{float, seconds};
use crate::metrics::page::Page;
use crate::model::{ClusterKind, ClusterObservation, ClusterState};

const CLUSTER: &[&str] = &["workspace_id", "session_cluster_id"];

const INFO: Family = Family::gauge(
    "session_cluster_info",
    &[
        "workspace_id",
        "session_cluster_id",
        "name",
        "kind",
        "queue",
        "release_version",
        "fusion",
        "user_name",
    ],
    "A session cluster (SQL, NOTEBOOK or THRIFT session) and its attributes; always 1, to be joined on \
     session_cluster_id. Polled: as of the last complete ListSessionClusters.",
);
const STATE: Family = Family::gauge(
    "session_cluster_state",
    &["workspace_id", "session_cluster_id", "state"],
    "Whether a session cluster is in this state: 1 for the state it is in, 0 for the others. \
     Polled: as of the last complete ListSessionClusters.",
);
const COUNT: Family = Family::gauge(
    "session_clusters",
    &["workspace_id", "queue", "kind", "state"],
    "Session clusters in this state. Polled: as of the last complete ListSessionClusters.",
);
const CREATED: Family = Family::gauge(
    "session_cluster_created_timestamp_seconds",
    CLUSTER,
    "When a session cluster was created (gmtCreate), in Unix seconds. Polled with ListSessionClusters.",
);
const STARTED: Family = Family::gauge(
    "session_cluster_start_timestamp_seconds",
    CLUSTER,
    "When a session cluster was last started (startTime), in Unix seconds; absent if it never was. \
     Polled with ListSessionClusters.",
);
const AUTO_STOP: Family = Family::gauge(
    "session_cluster_auto_stop_timeout_seconds",
    CLUSTER,
    "Idle time after which a session cluster stops by itself, in seconds; absent where auto-stop is off. \
     Polled with ListSessionClusters.",
);
const AUTO_START: Family = Family::gauge(
    "session_cluster_auto_start_enabled",
    CLUSTER,
    "Whether a session cluster starts by itself on use (1) or not (0). Polled with ListSessionClusters.",
);
const PUBLIC: Family = Family::gauge(
    "session_cluster_public_endpoint_enabled",
    CLUSTER,
    "Whether a session cluster is reachable from the Internet (1) or not (0). Polled with ListSessionClusters.",
);
const FAILURE: Family = Family::gauge(
    "session_cluster_failure_info",
    &["workspace_id", "session_cluster_id", "code"],
    "The code of stateChangeReason of a session cluster in state Error; always 1. Polled with ListSessionClusters.",
);
const CHANGES: Family = Family::counter(
    "session_cluster_state_changes_total",
    &["workspace_id", "kind", "state"],
    "Changes of session clusters into this state, as two successive polls saw them; kept in the ledger across \
     restarts.",
);
const STARTS: Family = Family::histogram(
    "session_cluster_start_duration_seconds",
    &["workspace_id", "kind"],
    "Time from the poll that first saw a session cluster Starting to the one that first saw it Running, in seconds; \
     as fine as the polling interval, kept in the ledger across restarts.",
);

pub(super) const FAMILIES: &[&Family] = &[
    &INFO,
    &STATE,
    &COUNT,
    &CREATED,
    &STARTED,
    &AUTO_STOP,
    &AUTO_START,
    &PUBLIC,
    &FAILURE,
    &CHANGES,
    &STARTS,
];

pub(super) fn render(view: View<'_>, page: &mut Page) {
    let mut labels = LabelTable::default();
    for (id, row) in view.clusters() {
        labels.push(&[], CLUSTER, &[&id.workspace_id, &row.session_cluster_id]);
    }
    let labels = &labels;
    info(view, labels, page);
    page.family(&STATE, |page| {
        for ((_, row), labels) in view.clusters().zip(labels.iter()) {
            for state in ClusterState::ALL {
                page.sample_of(&STATE, labels, &[state.as_str()], f64::from(*state == row.state));
            }
        }
    });
    counts(view, page);
    attribute(view, labels, page, &CREATED, |row| row.created.map(seconds));
    attribute(view, labels, page, &STARTED, |row| row.started.map(seconds));
    attribute(view, labels, page, &AUTO_STOP, |row| row.auto_stop_timeout_seconds.map(float));
    attribute(view, labels, page, &AUTO_START, |row| row.auto_start.map(f64::from));
    attribute(view, labels, page, &PUBLIC, |row| row.public_endpoint.map(f64::from));
    page.family(&FAILURE, |page| {
        for ((_, row), labels) in view.clusters().zip(labels.iter()) {
            if row.state == ClusterState::Error {
                page.sample_of(&FAILURE, labels, &[&row.reason_code], 1.0);
            }
        }
    });
    changes(view, page);
}

fn info(view: View<'_>, labels: &LabelTable, page: &mut Page) {
    page.family(&INFO, |page| {
        for ((_, row), labels) in view.clusters().zip(labels.iter()) {
            let more = [
                row.name.as_str(),
                row.kind.as_str(),
                &row.queue,
                &row.release_version,
                if row.fusion { "true" } else { "false" },
                &row.user_name,
            ];
            page.sample_of(&INFO, labels, &more, 1.0);
        }
    });
}

fn counts(view: View<'_>, page: &mut Page) {
    page.family(&COUNT, |page| {
        for (id, rows) in view.cluster_lists() {
            let mut counts: BTreeMap<(&str, ClusterKind), Vec<ClusterState>> = BTreeMap::new();
            for row in rows {
                counts.entry((&row.queue, row.kind)).or_default().push(row.state);
            }
            for ((queue, kind), found) in counts {
                for state in ClusterState::ALL {
                    let count = found.iter().filter(|found| *found == state).count();
                    let labels = [id.workspace_id.as_str(), queue, kind.as_str(), state.as_str()];
                    page.sample(&COUNT, &labels, float(count as u64));
                }
            }
        }
    });
}

fn attribute(
    view: View<'_>,
    labels: &LabelTable,
    page: &mut Page,
    family: &Family,
    of: impl Fn(&ClusterObservation) -> Option<f64>,
) {
    page.family(family, |page| {
        for ((_, row), labels) in view.clusters().zip(labels.iter()) {
            if let Some(value) = of(row) {
                page.sample_with(labels, value);
            }
        }
    });
}

fn changes(view: View<'_>, page: &mut Page) {
    let shown = || {
        view.board
            .ledger
            .workspaces
            .iter()
            .filter(|(id, totals)| totals.clusters_complete.is_some() && view.board.shows_workspace(id))
    };
    page.family(&CHANGES, |page| {
        for (id, totals) in shown() {
            for kind in ClusterKind::ALL {
                for state in ClusterState::ALL {
                    let count = totals.changes.get(&(*kind, *state)).copied().unwrap_or(0);
                    let labels = [id.workspace_id.as_str(), kind.as_str(), state.as_str()];
                    page.sample(&CHANGES, &labels, float(count));
                    page.created(&CHANGES, &labels, totals.clusters_complete);
                }
            }
        }
    });
    page.family(&STARTS, |page| {
        for (id, totals) in shown() {
            for (kind, histogram) in &totals.start_durations {
                let labels = [id.workspace_id.as_str(), kind.as_str()];
                page.durations(&STARTS, &labels, histogram, "session_cluster_id");
                page.created(&STARTS, &labels, totals.clusters_complete);
            }
        }
    });
}
