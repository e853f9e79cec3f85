//! What the ledger remembers of a history, so that a restart need not sweep the whole of it again. Invariant: read-only.

use rusqlite::{Connection, params};

use super::gateway::Pass;
use super::places::OF_GATEWAY;
use super::row::usage;
use super::store::Store;
use super::{GatewayTotals, LedgerError};
use crate::clock::UnixMillis;
use crate::model::{GatewayId, HistoryOrder, SessionCounts, SessionObservation, SessionState};

/// What is known of a history from the latest pass over the whole of it, and from the polls since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The proven order.
    pub order: HistoryOrder,
    /// When that pass ended.
    pub full_pass_at: UnixMillis,
    /// Listed sessions by queue and state.
    pub counts: SessionCounts,
    /// Those that may still change, each with its place in the list, from 0.
    pub unsettled: Vec<(SessionObservation, u64)>,
}

/// See [`super::Ledger::count_listed`].
pub(super) fn count_listed(
    store: &mut Store,
    pass: Pass,
    oldest: UnixMillis,
) -> Result<SessionCounts, LedgerError> {
    store.edit_gateway("counting listed sessions", pass.is_of(), |connection, _, gateway| {
        counts(connection, gateway, oldest).map(Ok)
    })
}

/// See [`super::Ledger::remember`].
pub(super) fn remember(
    store: &mut Store,
    id: &GatewayId,
    settled_before: UnixMillis,
) -> Result<Option<Remembered>, LedgerError> {
    let Some(gateway) = store.totals.gateways.get(id) else { return Ok(None) };
    let (Some(order), Some(full_pass_at)) = (gateway.history_order, gateway.full_pass_at) else {
        return Ok(None);
    };
    let read = || -> rusqlite::Result<Remembered> {
        let connection = &store.connection;
        let counts = counts(connection, gateway, i64::MIN)?;
        let unsettled = ranked(connection, gateway, order, unsettled(connection, gateway, settled_before)?)?;
        Ok(Remembered { order, full_pass_at, counts, unsettled })
    };
    read().map(Some).map_err(|source| store.error("remembering a history", source))
}

fn counts(
    connection: &Connection,
    gateway: &GatewayTotals,
    oldest: UnixMillis,
) -> rusqlite::Result<SessionCounts> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT series.queue, session.state, count(*) FROM session JOIN series USING (series_key)
         WHERE {OF_GATEWAY} AND pass >= ?2 AND coalesce(session.created, ?3) >= ?3
         GROUP BY session.series_key, session.state"
    ))?;
    let rows = select.query_map(params![gateway.key, gateway.complete_pass, oldest], |row| {
        let state = SessionState::from_api(row.get_ref(1)?.as_str()?).unwrap_or(SessionState::Unknown);
        Ok((row.get::<_, String>(0)?, state, row.get::<_, i64>(2)?.cast_unsigned()))
    })?;
    rows.collect()
}

/// Listed sessions that have not ended, or not before `settled_before`.
fn unsettled(
    connection: &Connection,
    gateway: &GatewayTotals,
    settled_before: UnixMillis,
) -> rusqlite::Result<Vec<SessionObservation>> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT session.session_id, series.queue, session.state, session.created, session.ended,
                session.nano_cu_hours, session.vcore_seconds, session.mb_seconds
         FROM session JOIN series USING (series_key)
         WHERE {OF_GATEWAY} AND pass >= ?2 AND session.created IS NOT NULL
            AND (session.state NOT IN ('terminated', 'error') OR session.ended >= ?3)"
    ))?;
    let rows = select.query_map(params![gateway.key, gateway.complete_pass, settled_before], |row| {
        Ok(SessionObservation {
            session_id: row.get(0)?,
            name: String::new(),
            queue: row.get(1)?,
            state: SessionState::from_api(row.get_ref(2)?.as_str()?).unwrap_or(SessionState::Unknown),
            created: row.get(3)?,
            ended: row.get(4)?,
            usage: usage(row, 5)?.into(),
        })
    })?;
    rows.collect()
}

/// Each of these sessions with how many listed ones come before it.
fn ranked(
    connection: &Connection,
    gateway: &GatewayTotals,
    order: HistoryOrder,
    mut sessions: Vec<SessionObservation>,
) -> rusqlite::Result<Vec<(SessionObservation, u64)>> {
    sessions.sort_by_key(|session| session.created);
    // How many listed sessions were created after the one before in the sorted list and not after this one.
    let mut steps = vec![0_u64; sessions.len() + 1];
    let mut select = connection.prepare_cached(&format!(
        "SELECT created FROM session WHERE {OF_GATEWAY} AND pass >= ?2 AND created IS NOT NULL"
    ))?;
    let mut rows = select.query(params![gateway.key, gateway.complete_pass])?;
    while let Some(row) = rows.next()? {
        let created: Option<UnixMillis> = row.get(0)?;
        steps[sessions.partition_point(|session| session.created < created)] += 1;
    }
    let total: u64 = steps.iter().sum();
    let mut not_after = 0;
    let ranks = steps.iter().zip(sessions).map(|(step, session)| {
        not_after += step;
        let index = match order {
            HistoryOrder::OldestFirst => not_after.saturating_sub(1),
            HistoryOrder::NewestFirst => total - not_after,
        };
        (session, index)
    });
    Ok(ranks.collect())
}
