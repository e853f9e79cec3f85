//! Gateways, their baseline, and the passes over their history.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::places::OF_GATEWAY;
use super::store::Store;
use super::{GatewayTotals, Histogram, LedgerError, SeriesKey, SeriesTotals, row, seal};
use crate::clock::UnixMillis;
use crate::model::{Baseline, GatewayId, HistoryOrder, ScopeId};

/// A Livy gateway that a sweep is about to read.
#[derive(Clone, Debug)]
pub struct Discovered {
    /// Which one.
    pub gateway: GatewayId,
    /// `gmtCreate`, where known.
    pub created: Option<UnixMillis>,
    /// Since when its account and region are watched: from [`super::Ledger::watch_scope`].
    pub watched_since: UnixMillis,
}

/// One pass over a gateway's history: page by page, from its beginning until all of it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    pub(super) gateway_key: i64,
    pub(super) number: i64,
}

impl Pass {
    /// Finds the gateway of this pass for [`Store::edit_gateway`].
    pub(super) fn is_of(self) -> impl Fn(&GatewayId, &GatewayTotals) -> bool {
        move |_, gateway| gateway.key == self.gateway_key
    }
}

/// See [`super::Ledger::watch_scope`].
pub(super) fn watch_scope(
    store: &mut Store,
    scope: &ScopeId,
    now: UnixMillis,
) -> Result<UnixMillis, LedgerError> {
    let write = |store: &Store| -> rusqlite::Result<UnixMillis> {
        let known = store
            .connection
            .prepare_cached("SELECT watched_since FROM scope WHERE account = ? AND region = ?")?
            .query_row(params![scope.account, scope.region], |row| row.get(0))
            .optional()?;
        if let Some(since) = known {
            return Ok(since);
        }
        seal::SCOPE.put(&store.connection, params![scope.account, scope.region, now])?;
        Ok(now)
    };
    write(store).map_err(|source| store.error("noting a watched region", source))
}

/// See [`super::Ledger::begin_pass`].
pub(super) fn begin_pass(
    store: &mut Store,
    found: &Discovered,
    now: UnixMillis,
) -> Result<Pass, LedgerError> {
    if !store.totals.gateways.contains_key(&found.gateway) {
        register(store, found, now).map_err(|source| store.error("registering a gateway", source))?;
    }
    let is_it = |id: &GatewayId, _: &GatewayTotals| *id == found.gateway;
    store.edit_gateway("beginning a pass", is_it, |connection, id, gateway| {
        gateway.pass += 1;
        put(connection, id, gateway)?;
        Ok(Ok(Pass { gateway_key: gateway.key, number: gateway.pass }))
    })
}

fn register(store: &mut Store, found: &Discovered, now: UnixMillis) -> rusqlite::Result<()> {
    let born_watched = found.created.is_some_and(|created| created >= found.watched_since);
    let key = "SELECT coalesce(max(gateway_key), 0) + 1 FROM gateway";
    let totals = GatewayTotals {
        key: store.connection.query_row(key, [], |row| row.get(0))?,
        baseline: store.baseline,
        // All sessions of a gateway that was born under watch are usage; else the baseline ends where this pass begins.
        baseline_cut: if born_watched { i64::MIN } else { now },
        baseline_complete: None,
        born_watched,
        pass: 0,
        complete_pass: 0,
        full_pass_at: None,
        history_order: None,
        pruned_through: None,
        resweep: false,
        series: BTreeMap::new(),
        durations: Histogram::of_sessions(),
    };
    put(&store.connection, &found.gateway, &totals)?;
    store.totals.gateways.insert(found.gateway.clone(), Arc::new(totals));
    Ok(())
}

/// Writes a gateway's own row.
pub(super) fn put(connection: &Connection, id: &GatewayId, gateway: &GatewayTotals) -> rusqlite::Result<()> {
    let baseline = match gateway.baseline {
        Baseline::Include => "include",
        Baseline::Exclude => "exclude",
    };
    let row = params![
        gateway.key,
        id.workspace.account,
        id.workspace.workspace_id,
        id.livy_compute_id,
        baseline,
        gateway.baseline_cut,
        gateway.baseline_complete,
        gateway.born_watched,
        gateway.pass,
        gateway.complete_pass,
        gateway.full_pass_at,
        gateway.history_order.map(HistoryOrder::as_str),
        gateway.pruned_through,
        gateway.resweep,
    ];
    seal::GATEWAY.put(connection, row)
}

/// See [`super::Ledger::complete_pass`].
pub(super) fn complete_pass(
    store: &mut Store,
    pass: Pass,
    order: Option<HistoryOrder>,
    now: UnixMillis,
) -> Result<(), LedgerError> {
    let appeared = store.edit_gateway("completing a pass", pass.is_of(), |connection, id, gateway| {
        let appeared = gateway.baseline_complete.is_none() || gateway.resweep;
        gateway.resweep = false;
        gateway.baseline_complete.get_or_insert(now);
        gateway.complete_pass = pass.number;
        gateway.full_pass_at = Some(now);
        gateway.history_order = order;
        put(connection, id, gateway)?;
        Ok(Ok(appeared))
    })?;
    if appeared {
        store.mark_changed();
    }
    Ok(())
}

/// See [`super::Ledger::unseen`].
pub(super) fn unseen(
    store: &mut Store,
    pass: Pass,
    since: Option<Pass>,
    oldest: Option<UnixMillis>,
) -> Result<u64, LedgerError> {
    store.edit_gateway("looking for sessions that are gone", pass.is_of(), |connection, _, gateway| {
        let since = since.map_or(gateway.complete_pass.max(1), |since| since.number);
        let count: i64 = connection
            .prepare_cached(&format!(
                "SELECT count(*) FROM session WHERE {OF_GATEWAY} AND pass < ?2 AND pass >= ?3
                    AND (created IS NULL OR created >= ?4)"
            ))?
            .query_row(params![pass.gateway_key, pass.number, since, oldest.unwrap_or(i64::MIN)], |row| {
                row.get(0)
            })?;
        Ok(Ok(count.cast_unsigned()))
    })
}

/// See [`super::Ledger::release`].
pub(super) fn release(store: &mut Store, keys: &[SeriesKey]) -> Result<(), LedgerError> {
    let concerned = |series: &SeriesTotals| series.held && keys.contains(&series.key);
    let mut released = Ok(());
    for gateway in store.totals.gateways.values_mut() {
        if !gateway.series.values().any(concerned) {
            continue;
        }
        let GatewayTotals { key, series, .. } = Arc::make_mut(gateway);
        for (queue, series) in series.iter_mut().filter(|(_, series)| concerned(series)) {
            series.held = false;
            released = released.and_then(|()| row::put_series(&store.connection, *key, queue, series));
        }
    }
    store.mark_changed();
    released.map_err(|source| store.error("releasing a series", source))
}
