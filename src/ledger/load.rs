//! The totals from disk into memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, Row};

use super::row::usage;
use super::{GatewayTotals, Histogram, LedgerSnapshot, SeriesKey, SeriesTotals, WorkspaceTotals};
use crate::model::{Baseline, ClusterKind, ClusterState, GatewayId, HistoryOrder, WorkspaceId};

/// Reads all totals, of so many sessions: who needs them has counted these already.
pub(super) fn totals(connection: &Connection, sessions: u64) -> rusqlite::Result<LedgerSnapshot> {
    Ok(LedgerSnapshot { gateways: gateways(connection)?, workspaces: workspaces(connection)?, sessions })
}

fn gateways(connection: &Connection) -> rusqlite::Result<BTreeMap<GatewayId, Arc<GatewayTotals>>> {
    let mut select = connection.prepare(
        "SELECT account, workspace_id, livy_compute_id, gateway_key, baseline, baseline_cut, baseline_complete,
                born_watched, pass, complete_pass, full_pass_at, history_order,
                pruned_through, resweep FROM gateway",
    )?;
    let rows = select.query_map([], |row| {
        let workspace = WorkspaceId { account: row.get(0)?, workspace_id: row.get(1)? };
        let id = GatewayId { workspace, livy_compute_id: row.get(2)? };
        let baseline = match row.get_ref(4)?.as_str()? {
            "exclude" => Baseline::Exclude,
            _ => Baseline::Include,
        };
        let totals = GatewayTotals {
            key: row.get(3)?,
            baseline,
            baseline_cut: row.get(5)?,
            baseline_complete: row.get(6)?,
            born_watched: row.get(7)?,
            pass: row.get(8)?,
            complete_pass: row.get(9)?,
            full_pass_at: row.get(10)?,
            history_order: row.get::<_, Option<String>>(11)?.and_then(|text| HistoryOrder::from_text(&text)),
            pruned_through: row.get(12)?,
            resweep: row.get(13)?,
            series: BTreeMap::new(),
            durations: Histogram::of_sessions(),
        };
        Ok((id, totals))
    })?;
    let mut gateways = BTreeMap::new();
    for row in rows {
        let (id, mut totals) = row?;
        totals.series = series(connection, totals.key)?;
        let buckets = "SELECT bucket, count, sum FROM session_duration WHERE gateway_key = ?";
        connection.prepare_cached(buckets)?.query_map([totals.key], bucket)?.try_for_each(|bucket| {
            let (bound, count, sum) = bucket?;
            totals.durations.add(bound, count, sum);
            Ok::<_, rusqlite::Error>(())
        })?;
        gateways.insert(id, Arc::new(totals));
    }
    Ok(gateways)
}

fn series(connection: &Connection, gateway_key: i64) -> rusqlite::Result<BTreeMap<String, SeriesTotals>> {
    let mut select = connection.prepare_cached(
        "SELECT queue, series_key, held, nano_cu_hours, vcore_seconds, mb_seconds,
                base_nano_cu_hours, base_vcore_seconds, base_mb_seconds,
                over_nano_cu_hours, over_vcore_seconds, over_mb_seconds, created, terminated, error
         FROM series WHERE gateway_key = ?",
    )?;
    let rows = select.query_map([gateway_key], |row| {
        let series = SeriesTotals {
            key: SeriesKey(row.get(1)?),
            held: row.get(2)?,
            highest: usage(row, 3)?,
            base: usage(row, 6)?,
            over: usage(row, 9)?,
            created: unsigned(row, 12)?,
            terminated: unsigned(row, 13)?,
            error: unsigned(row, 14)?,
        };
        Ok((row.get(0)?, series))
    })?;
    rows.collect()
}

fn workspaces(connection: &Connection) -> rusqlite::Result<BTreeMap<WorkspaceId, Arc<WorkspaceTotals>>> {
    let mut select = connection
        .prepare("SELECT account, workspace_id, workspace_key, clusters_complete FROM workspace")?;
    let rows = select.query_map([], |row| {
        let id = WorkspaceId { account: row.get(0)?, workspace_id: row.get(1)? };
        let key = row.get(2)?;
        Ok((id, WorkspaceTotals { key, clusters_complete: row.get(3)?, ..WorkspaceTotals::default() }))
    })?;
    let mut workspaces = BTreeMap::new();
    for row in rows {
        let (id, mut totals) = row?;
        load_changes(connection, &mut totals)?;
        load_starts(connection, &mut totals)?;
        workspaces.insert(id, Arc::new(totals));
    }
    Ok(workspaces)
}

fn load_changes(connection: &Connection, totals: &mut WorkspaceTotals) -> rusqlite::Result<()> {
    let mut select = connection
        .prepare_cached("SELECT kind, state, changes FROM cluster_change WHERE workspace_key = ?")?;
    let rows = select.query_map([totals.key], |row| {
        let state = ClusterState::from_api(row.get_ref(1)?.as_str()?).unwrap_or(ClusterState::Unknown);
        Ok(((kind(row, 0)?, state), unsigned(row, 2)?))
    })?;
    totals.changes = rows.collect::<rusqlite::Result<_>>()?;
    Ok(())
}

fn load_starts(connection: &Connection, totals: &mut WorkspaceTotals) -> rusqlite::Result<()> {
    let mut seen = connection.prepare_cached("SELECT DISTINCT kind FROM cluster WHERE workspace_key = ?")?;
    for kind in seen.query_map([totals.key], |row| kind(row, 0))? {
        totals.start_durations.insert(kind?, Histogram::of_starts());
    }
    let mut select = connection
        .prepare_cached("SELECT bucket, count, sum, kind FROM start_duration WHERE workspace_key = ?")?;
    for row in select.query_map([totals.key], |row| Ok((bucket(row)?, kind(row, 3)?)))? {
        let ((bound, count, sum), kind) = row?;
        let histogram = totals.start_durations.entry(kind).or_insert_with(Histogram::of_starts);
        histogram.add(bound, count, sum);
    }
    Ok(())
}

fn bucket(row: &Row<'_>) -> rusqlite::Result<(i64, u64, i64)> {
    Ok((row.get(0)?, unsigned(row, 1)?, row.get(2)?))
}

fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<ClusterKind> {
    Ok(ClusterKind::from_api(row.get_ref(column)?.as_str()?).unwrap_or(ClusterKind::Unknown))
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}
