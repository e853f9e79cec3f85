//! Changes of state of session clusters.

use super::*;
use crate::ledger::ClusterSweep;
use crate::model::{ClusterKind, ClusterState};

async fn see(ledger: &Ledger, at: UnixMillis, complete: bool, seen: &[(&str, ClusterState)]) {
    let seen = seen.iter().map(|(id, state)| ((*id).into(), ClusterKind::Sql, *state)).collect();
    ledger.apply_clusters(ClusterSweep { workspace: workspace(), seen, complete, at }).await.unwrap();
}

fn changes(ledger: &Ledger, state: ClusterState) -> u64 {
    let snapshot = ledger.snapshot();
    snapshot.workspaces[&workspace()].changes.get(&(ClusterKind::Sql, state)).copied().unwrap_or(0)
}

#[tokio::test]
async fn what_is_there_at_first_has_not_changed_and_what_comes_later_has() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = open(&path);
    see(&ledger, 1_000, true, &[("a", ClusterState::Running), ("b", ClusterState::Error)]).await;
    assert_eq!((changes(&ledger, ClusterState::Running), changes(&ledger, ClusterState::Error)), (0, 0));
    see(&ledger, 2_000, true, &[("a", ClusterState::Error), ("b", ClusterState::Error)]).await;
    see(&ledger, 3_000, true, &[("a", ClusterState::Error), ("c", ClusterState::Starting)]).await;
    assert_eq!((changes(&ledger, ClusterState::Error), changes(&ledger, ClusterState::Starting)), (1, 1));
    drop(ledger);
    // A change during an outage of the exporter counts at the first sweep after.
    let ledger = open(&path);
    see(&ledger, 63_000, true, &[("a", ClusterState::Running), ("c", ClusterState::Running)]).await;
    assert_eq!(changes(&ledger, ClusterState::Running), 2);
}

#[tokio::test]
async fn a_start_lasts_from_the_first_sight_of_starting_to_that_of_running() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = open(&path);
    // Seen starting in the first sweep: since when, nobody knows.
    see(&ledger, 1_000, true, &[("a", ClusterState::Starting), ("b", ClusterState::Stopped)]).await;
    see(&ledger, 31_000, true, &[("a", ClusterState::Running), ("b", ClusterState::Starting)]).await;
    see(&ledger, 61_000, true, &[("a", ClusterState::Running), ("b", ClusterState::Starting)]).await;
    drop(ledger);
    let ledger = open(&path);
    see(&ledger, 76_000, true, &[("a", ClusterState::Running), ("b", ClusterState::Running)]).await;
    let snapshot = ledger.snapshot();
    let starts = &snapshot.workspaces[&workspace()].start_durations[&ClusterKind::Sql];
    assert_eq!((starts.count(), starts.sum()), (1, Duration::from_secs(45)));
    let exemplars: Vec<_> = starts.cumulative().filter_map(|(_, _, exemplar)| exemplar).collect();
    assert_eq!((exemplars.len(), &*exemplars[0].id, exemplars[0].at), (1, "b", 76_000));
}

#[tokio::test]
async fn only_a_complete_sweep_forgets() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("l.db"));
    see(&ledger, 1_000, true, &[("a", ClusterState::Running), ("b", ClusterState::Running)]).await;
    see(&ledger, 2_000, false, &[("a", ClusterState::Running)]).await;
    see(&ledger, 3_000, true, &[("a", ClusterState::Running), ("b", ClusterState::Running)]).await;
    assert_eq!(changes(&ledger, ClusterState::Running), 0);
    see(&ledger, 4_000, true, &[("a", ClusterState::Running)]).await;
    see(&ledger, 5_000, true, &[("a", ClusterState::Running), ("b", ClusterState::Running)]).await;
    assert_eq!(changes(&ledger, ClusterState::Running), 1);
}
