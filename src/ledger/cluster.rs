//! Session clusters: their changes of state and how long they took to start. Invariant: a change that happened while
//! nobody looked counts once, at the sweep that finds it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::store::Store;
use super::{Histogram, LedgerError, WorkspaceTotals, seal};
use crate::clock::UnixMillis;
use crate::model::{ClusterKind, ClusterState, WorkspaceId};

/// What one sweep saw of a workspace's session clusters.
#[derive(Clone, Debug)]
pub struct ClusterSweep {
    /// Whose clusters.
    pub workspace: WorkspaceId,
    /// Those seen: id, kind and state.
    pub seen: Vec<(String, ClusterKind, ClusterState)>,
    /// Whether these are all there are: then the others are forgotten.
    pub complete: bool,
    /// When.
    pub at: UnixMillis,
}

/// A cluster as the ledger holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    kind: ClusterKind,
    state: ClusterState,
    starting_since: Option<UnixMillis>,
}

/// See [`super::Ledger::apply_clusters`].
pub(super) fn apply(store: &mut Store, sweep: &ClusterSweep) -> Result<(), LedgerError> {
    let known = store.totals.workspaces.get(&sweep.workspace).cloned();
    let totals = match known {
        Some(totals) => WorkspaceTotals::clone(&totals),
        None => register(&store.connection, &sweep.workspace)
            .map_err(|source| store.error("registering a workspace", source))?,
    };
    let totals = count(&store.connection, sweep, totals)
        .map_err(|source| store.error("counting changes of session clusters", source))?;
    store.totals.workspaces.insert(sweep.workspace.clone(), Arc::new(totals));
    store.mark_changed();
    Ok(())
}

fn register(connection: &Connection, id: &WorkspaceId) -> rusqlite::Result<WorkspaceTotals> {
    let key = "SELECT coalesce(max(workspace_key), 0) + 1 FROM workspace";
    let key: i64 = connection.query_row(key, [], |row| row.get(0))?;
    let totals = WorkspaceTotals { key, ..WorkspaceTotals::default() };
    put(connection, id, &totals)?;
    Ok(totals)
}

/// Writes a workspace's own row.
pub(super) fn put(
    connection: &Connection,
    id: &WorkspaceId,
    workspace: &WorkspaceTotals,
) -> rusqlite::Result<()> {
    let row = params![workspace.key, id.account, id.workspace_id, workspace.clusters_complete];
    seal::WORKSPACE.put(connection, row)
}

fn count(
    connection: &Connection,
    sweep: &ClusterSweep,
    mut totals: WorkspaceTotals,
) -> rusqlite::Result<WorkspaceTotals> {
    let mut known = clusters_of(connection, totals.key)?;
    for (id, kind, state) in &sweep.seen {
        let before = known.remove(id);
        totals.start_durations.entry(*kind).or_insert_with(Histogram::of_starts);
        // What is there when a workspace is first seen has not changed into anything.
        let changed = match before {
            Some(before) => before.state != *state,
            None => totals.clusters_complete.is_some(),
        };
        if changed {
            let changes = totals.changes.entry((*kind, *state)).or_default();
            *changes += 1;
            let row = params![totals.key, kind.as_str(), state.as_str(), changes.cast_signed()];
            seal::CLUSTER_CHANGE.put(connection, row)?;
        }
        if let (true, ClusterState::Running, Some(since)) =
            (changed, state, before.and_then(|b| b.starting_since))
        {
            observe_start(connection, &mut totals, *kind, id, since..sweep.at)?;
        }
        let starting_since = match (state, before) {
            (ClusterState::Starting, Some(before)) if !changed => before.starting_since,
            (ClusterState::Starting, _) if changed => Some(sweep.at),
            _ => None,
        };
        let after = Held { kind: *kind, state: *state, starting_since };
        if before != Some(after) {
            let row = params![totals.key, id, kind.as_str(), state.as_str(), starting_since];
            seal::CLUSTER.put(connection, row)?;
        }
    }
    if sweep.complete {
        for id in known.keys() {
            connection
                .prepare_cached("DELETE FROM cluster WHERE workspace_key = ? AND session_cluster_id = ?")?
                .execute(params![totals.key, id])?;
        }
        if totals.clusters_complete.is_none() {
            totals.clusters_complete = Some(sweep.at);
            put(connection, &sweep.workspace, &totals)?;
        }
    }
    Ok(totals)
}

fn observe_start(
    connection: &Connection,
    totals: &mut WorkspaceTotals,
    kind: ClusterKind,
    id: &str,
    starting: Range<UnixMillis>,
) -> rusqlite::Result<()> {
    let duration_ms = starting.end.saturating_sub(starting.start).max(0);
    let histogram = totals.start_durations.entry(kind).or_insert_with(Histogram::of_starts);
    let bucket = histogram.observe(duration_ms, id, starting.end);
    let row = params![totals.key, kind.as_str(), bucket.bound_ms, bucket.count.cast_signed(), bucket.sum_ms];
    seal::START_DURATION.put(connection, row)
}

fn clusters_of(connection: &Connection, workspace_key: i64) -> rusqlite::Result<BTreeMap<String, Held>> {
    let mut select = connection.prepare_cached(
        "SELECT session_cluster_id, state, starting_since, kind FROM cluster WHERE workspace_key = ?",
    )?;
    let rows = select.query_map([workspace_key], |row| {
        let state = ClusterState::from_api(row.get_ref(1)?.as_str()?).unwrap_or(ClusterState::Unknown);
        let kind = ClusterKind::from_api(row.get_ref(3)?.as_str()?).unwrap_or(ClusterKind::Unknown);
        Ok((row.get(0)?, Held { kind, state, starting_since: row.get(2)? }))
    })?;
    rows.collect()
}
