//! Gateways, their baseline, and the passes over their history.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::store::Store;
use super::{GatewayTotals, Histogram, LedgerError, SeriesKey, SeriesTotals};
use crate::clock::UnixMillis;
use crate::model::{Baseline, GatewayId, ScopeId};

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
        store
            .connection
            .prepare_cached("INSERT INTO scope (account, region, watched_since) VALUES (?, ?, ?)")?
            .execute(params![scope.account, scope.region, now])?;
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
    store.edit_gateway(
        "beginning a pass",
        |id, _| id == &found.gateway,
        |connection, gateway| {
            gateway.pass += 1;
            let pass = Pass { gateway_key: gateway.key, number: gateway.pass };
            connection
                .prepare_cached("UPDATE gateway SET pass = ? WHERE gateway_key = ?")?
                .execute(params![pass.number, pass.gateway_key])?;
            Ok(Ok(pass))
        },
    )
}

fn register(store: &mut Store, found: &Discovered, now: UnixMillis) -> rusqlite::Result<()> {
    let GatewayId { workspace, livy_compute_id } = &found.gateway;
    let born_watched = found.created.is_some_and(|created| created >= found.watched_since);
    // All sessions of a gateway that was born under watch are usage; else the baseline ends where this first pass begins.
    let baseline_cut = if born_watched { i64::MIN } else { now };
    let baseline = match store.baseline {
        Baseline::Include => "include",
        Baseline::Exclude => "exclude",
    };
    store.connection.execute(
        "INSERT INTO gateway (account, workspace_id, livy_compute_id, baseline, baseline_cut, born_watched, pass,
             complete_pass)
         VALUES (?, ?, ?, ?, ?, ?, 0, 0)",
        params![
            workspace.account,
            workspace.workspace_id,
            livy_compute_id,
            baseline,
            baseline_cut,
            born_watched
        ],
    )?;
    let totals = GatewayTotals {
        key: store.connection.last_insert_rowid(),
        baseline: store.baseline,
        baseline_cut,
        baseline_complete: None,
        born_watched,
        pass: 0,
        complete_pass: 0,
        series: BTreeMap::new(),
        durations: Histogram::of_sessions(),
    };
    store.totals.gateways.insert(found.gateway.clone(), Arc::new(totals));
    Ok(())
}

/// See [`super::Ledger::complete_pass`].
pub(super) fn complete_pass(store: &mut Store, pass: Pass, now: UnixMillis) -> Result<(), LedgerError> {
    let appeared = store.edit_gateway("completing a pass", pass.is_of(), |connection, gateway| {
        let appeared = gateway.baseline_complete.is_none();
        gateway.baseline_complete.get_or_insert(now);
        gateway.complete_pass = pass.number;
        connection
            .prepare_cached(
                "UPDATE gateway SET baseline_complete = ?, complete_pass = ? WHERE gateway_key = ?",
            )?
            .execute(params![gateway.baseline_complete, pass.number, pass.gateway_key])?;
        Ok(Ok(appeared))
    })?;
    if appeared {
        store.mark_changed();
    }
    Ok(())
}

/// See [`super::Ledger::unseen`].
pub(super) fn unseen(store: &mut Store, pass: Pass) -> Result<u64, LedgerError> {
    store.edit_gateway("looking for sessions that are gone", pass.is_of(), |connection, gateway| {
        let count: i64 = connection
            .prepare_cached("SELECT count(*) FROM session WHERE gateway_key = ? AND pass < ? AND pass >= ?")?
            .query_row(params![pass.gateway_key, pass.number, gateway.complete_pass.max(1)], |row| {
                row.get(0)
            })?;
        Ok(Ok(count.cast_unsigned()))
    })
}

/// See [`super::Ledger::release`].
pub(super) fn release(store: &mut Store, keys: &[SeriesKey]) -> Result<(), LedgerError> {
    let write = |store: &Store| -> rusqlite::Result<()> {
        let mut update =
            store.connection.prepare_cached("UPDATE series SET held = 0 WHERE series_key = ?")?;
        keys.iter().try_for_each(|key| update.execute([key.0]).map(drop))
    };
    write(store).map_err(|source| store.error("releasing a series", source))?;
    for gateway in store.totals.gateways.values_mut() {
        let concerned = |series: &SeriesTotals| series.held && keys.contains(&series.key);
        if gateway.series.values().any(concerned) {
            for series in Arc::make_mut(gateway).series.values_mut().filter(|series| concerned(series)) {
                series.held = false;
            }
        }
    }
    store.mark_changed();
    Ok(())
}
