//! Lets go of sessions that ended long ago and that the service lists no more. Invariant: what a session added to the
//! totals stays in them: it moves into the remainder of its series in the transaction that deletes it.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, params_from_iter};

use super::gateway::{self, Pass};
use super::places::{OF_GATEWAY, id_hash};
use super::row;
use super::session::{COUNTED_CREATED, COUNTED_ERROR, COUNTED_TERMINATED};
use super::store::Store;
use super::{GatewayTotals, LedgerError, seal};
use crate::clock::UnixMillis;
use crate::model::{SessionState, Usage};

/// Sessions that one transaction looks at: some milliseconds, in which no page is taken.
const BATCH: usize = 2_000;

/// A place among a gateway's sessions: the key of the last one that was looked at.
pub(super) type Place = i64;

/// Before the first session.
pub(super) const START: Place = i64::MIN;

/// What one transaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Sessions that are no longer kept.
    pub(super) pruned: u64,
    /// Where to go on; `None` when all sessions were looked at.
    pub(super) next: Option<Place>,
}

/// What the pruned sessions of one series have left behind.
#[derive(Clone, Copy, Debug, Default)]
struct Remainder {
    sessions: i64,
    highest: Usage,
    base: Usage,
    over: Usage,
    created: i64,
    terminated: i64,
    error: i64,
}

/// A session as far as pruning looks at it.
struct Candidate {
    place: Place,
    id_hash: i64,
    series_key: i64,
    pass: i64,
    state: Option<SessionState>,
    created: Option<UnixMillis>,
    ended: Option<UnixMillis>,
    left: Remainder,
}

/// See [`super::Ledger::prune`]: looks at the sessions after a place.
pub(super) fn prune(
    store: &mut Store,
    pass: Pass,
    before: UnixMillis,
    after: Place,
) -> Result<Batch, LedgerError> {
    let mut places = store.take_places()?;
    let batch = store.edit_gateway("pruning sessions", pass.is_of(), |connection, id, gateway| {
        if gateway.full_pass_at == gateway.baseline_complete {
            // After the first complete pass nothing can have left the list since the one before.
            return Ok(Ok(Batch { pruned: 0, next: None }));
        }
        let seen = candidates(connection, gateway.key, after)?;
        let next = seen.get(BATCH - 1).map(|last| last.place);
        let mut left: BTreeMap<i64, Remainder> = BTreeMap::new();
        let mut pruned = 0;
        for candidate in seen {
            if !candidate.is_done(gateway, before) {
                continue;
            }
            places.remove(connection, candidate.id_hash, candidate.place)?;
            connection
                .prepare_cached("DELETE FROM session WHERE session_key = ?")?
                .execute([candidate.place])?;
            let sum = left.entry(candidate.series_key).or_default();
            let Some(more) = sum.plus(candidate.left) else { return Ok(Err(overflow())) };
            *sum = more;
            pruned += 1;
            // Its creation is not after its end, so that this covers it where only the end is known.
            gateway.pruned_through = gateway.pruned_through.max(candidate.created.or(candidate.ended));
        }
        for (series_key, more) in left {
            let Some(sum) = remainder(connection, series_key)?.plus(more) else { return Ok(Err(overflow())) };
            put(connection, series_key, sum)?;
        }
        if pruned > 0 {
            gateway::put(connection, id, gateway)?;
        }
        Ok(Ok(Batch { pruned, next }))
    })?;
    store.put_places(places);
    if batch.pruned > 0 {
        store.totals.sessions -= batch.pruned;
        store.mark_changed();
    }
    Ok(batch)
}

/// The remainders are parts of totals that fit.
fn overflow() -> LedgerError {
    LedgerError::Overflow { subject: "the pruned sessions".into() }
}

impl Candidate {
    /// Whether it ended before that moment, and the latest complete pass no longer saw it.
    fn is_done(&self, gateway: &GatewayTotals, before: UnixMillis) -> bool {
        self.pass < gateway.complete_pass
            && self.state.is_some_and(SessionState::is_ended)
            // A creation in the future, which only a wrong clock makes, must not become `pruned_through`.
            && self.created.max(self.ended).is_some_and(|latest| latest < before)
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let counted: i64 = row.get(7)?;
        let has = |bit| i64::from(counted & bit != 0);
        let (base, over) = row::corrections(row.get_ref(11)?)?;
        Ok(Self {
            place: row.get(0)?,
            id_hash: id_hash(row.get_ref(1)?.as_str()?),
            series_key: row.get(2)?,
            pass: row.get(3)?,
            state: SessionState::from_api(row.get_ref(4)?.as_str()?),
            created: row.get(5)?,
            ended: row.get(6)?,
            left: Remainder {
                sessions: 1,
                highest: row::usage(row, 8)?,
                base,
                over,
                created: has(COUNTED_CREATED),
                terminated: has(COUNTED_TERMINATED),
                error: has(COUNTED_ERROR),
            },
        })
    }
}

impl Remainder {
    fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            sessions: self.sessions.checked_add(other.sessions)?,
            highest: self.highest.checked_add(other.highest)?,
            base: self.base.checked_add(other.base)?,
            over: self.over.checked_add(other.over)?,
            created: self.created.checked_add(other.created)?,
            terminated: self.terminated.checked_add(other.terminated)?,
            error: self.error.checked_add(other.error)?,
        })
    }
}

fn candidates(connection: &Connection, gateway_key: i64, after: Place) -> rusqlite::Result<Vec<Candidate>> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT session_key, session_id, series_key, pass, state, created, ended, counted,
                nano_cu_hours, vcore_seconds, mb_seconds, corrections
         FROM session WHERE {OF_GATEWAY} AND session_key > ?2 ORDER BY session_key LIMIT ?3"
    ))?;
    select.query_map(params![gateway_key, after, BATCH.cast_signed()], Candidate::read)?.collect()
}

fn remainder(connection: &Connection, series_key: i64) -> rusqlite::Result<Remainder> {
    let columns = seal::PRUNED.columns[1..].join(", ");
    let sql = format!("SELECT {columns} FROM pruned WHERE series_key = ?");
    let read = |row: &Row<'_>| {
        Ok(Remainder {
            sessions: row.get(0)?,
            highest: row::usage(row, 1)?,
            base: row::usage(row, 4)?,
            over: row::usage(row, 7)?,
            created: row.get(10)?,
            terminated: row.get(11)?,
            error: row.get(12)?,
        })
    };
    Ok(connection.prepare_cached(&sql)?.query_row([series_key], read).optional()?.unwrap_or_default())
}

fn put(connection: &Connection, series_key: i64, left: Remainder) -> rusqlite::Result<()> {
    let Remainder { sessions, highest, base, over, created, terminated, error } = left;
    let figures = [highest, base, over].map(row::figures).into_iter().flatten();
    let numbers: Vec<i64> =
        [series_key, sessions].into_iter().chain(figures).chain([created, terminated, error]).collect();
    seal::PRUNED.put(connection, params_from_iter(numbers.iter().map(|number| number as &dyn ToSql)))
}
