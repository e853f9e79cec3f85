//! What a counter is made of, session by session. Invariant: all of it is read from one state of the ledger, on a
//! connection of its own, which the writer does not wait for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::places::OF_GATEWAY;
use super::row::{corrections, figures, usage};
use super::session::{COUNTED_CREATED, COUNTED_ERROR, COUNTED_TERMINATED};
use super::{LedgerError, open, reader};
use crate::clock::UnixMillis;
use crate::model::{GatewayId, SessionState, Usage};

/// A counter of a queue of a gateway, in the integers in which it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// In 10⁻⁹ CU-hours.
    NanoCuHours,
    /// In vcore-seconds.
    VcoreSeconds,
    /// In MiB-seconds.
    MbSeconds,
    /// Sessions that came into being.
    Created,
    /// Sessions that ended `terminated`.
    Terminated,
    /// Sessions that ended in `error`.
    Failed,
}

/// What a session, or several, are in a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    /// In the counter.
    pub counted: i64,
    /// Observed, but not in the counter: an excluded baseline, or what may have been counted and pruned before.
    pub excluded: i64,
    /// In the counter, though a downward revision took it back.
    pub overcounted: i64,
}

impl Share {
    fn plus(self, other: Self) -> Self {
        Self {
            counted: self.counted.saturating_add(other.counted),
            excluded: self.excluded.saturating_add(other.excluded),
            overcounted: self.overcounted.saturating_add(other.overcounted),
        }
    }
}

/// One session and its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionShare {
    /// `sessionId`
    pub session_id: String,
    /// As last seen.
    pub state: SessionState,
    /// `createTime`, where known.
    pub created: Option<UnixMillis>,
    /// `endTime`, where known.
    pub ended: Option<UnixMillis>,
    /// What it is in the counter.
    pub share: Share,
}

/// What a counter is made of. The sum of `sessions` and `pruned` is `total`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Still shown at zero.
    pub held: bool,
    /// As the series has it.
    pub total: Share,
    /// Sum over the sessions that are kept.
    pub sessions: Share,
    /// How many those are.
    pub sessions_kept: u64,
    /// How many of them are more than nothing in the counter.
    pub sessions_counted: u64,
    /// What sessions have left that are no longer kept one by one.
    pub pruned: Share,
    /// How many those were.
    pub sessions_pruned: u64,
    /// Those of them, the largest first, of equal ones the latest created first.
    pub largest: Vec<SessionShare>,
}

/// Explains a counter by its `limit` largest sessions; `None` if the ledger has no such series. Reads until `stop` says
/// so, in the time that it takes to look at every session of the gateway.
///
/// # Errors
/// Where the ledger cannot be read, or reading was stopped.
pub fn explain(
    path: &Path,
    gateway: &GatewayId,
    queue: &str,
    counter: Counter,
    limit: usize,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Explanation>, LedgerError> {
    const DOING: &str = "explaining a counter";
    let connection = reader::connect(path)?;
    let read = || -> rusqlite::Result<Option<Explanation>> {
        connection.execute_batch("BEGIN")?;
        let Some((gateway_key, series_key, mut explanation)) = series(&connection, gateway, queue, counter)?
        else {
            return Ok(None);
        };
        pruned(&connection, series_key, counter, &mut explanation)?;
        sessions(&connection, (gateway_key, series_key), counter, limit, stop, &mut explanation)?;
        Ok(Some(explanation))
    };
    read().map_err(|source| open::sqlite(path, DOING, source))
}

fn series(
    connection: &Connection,
    gateway: &GatewayId,
    queue: &str,
    counter: Counter,
) -> rusqlite::Result<Option<(i64, i64, Explanation)>> {
    let id =
        params![gateway.workspace.account, gateway.workspace.workspace_id, gateway.livy_compute_id, queue];
    let select = "SELECT nano_cu_hours, vcore_seconds, mb_seconds,
                         base_nano_cu_hours, base_vcore_seconds, base_mb_seconds,
                         over_nano_cu_hours, over_vcore_seconds, over_mb_seconds, created, terminated, error,
                         gateway_key, series_key, held
                  FROM series JOIN gateway USING (gateway_key)
                  WHERE account = ? AND workspace_id = ? AND livy_compute_id = ? AND queue = ?";
    let read = |row: &Row<'_>| {
        let explanation =
            Explanation { held: row.get(14)?, total: total(row, counter)?, ..Explanation::default() };
        Ok((row.get(12)?, row.get(13)?, explanation))
    };
    connection.query_row(select, id, read).optional()
}

fn pruned(
    connection: &Connection,
    series_key: i64,
    counter: Counter,
    explanation: &mut Explanation,
) -> rusqlite::Result<()> {
    let select = "SELECT nano_cu_hours, vcore_seconds, mb_seconds,
                         base_nano_cu_hours, base_vcore_seconds, base_mb_seconds,
                         over_nano_cu_hours, over_vcore_seconds, over_mb_seconds, created, terminated, error,
                         sessions
                  FROM pruned WHERE series_key = ?";
    let read = |row: &Row<'_>| Ok((total(row, counter)?, row.get::<_, i64>(12)?.cast_unsigned()));
    if let Some((share, sessions)) = connection.query_row(select, [series_key], read).optional()? {
        (explanation.pruned, explanation.sessions_pruned) = (share, sessions);
    }
    Ok(())
}

/// A series' or a remainder's share, from the twelve columns that both have.
fn total(row: &Row<'_>, counter: Counter) -> rusqlite::Result<Share> {
    match counter {
        Counter::NanoCuHours | Counter::VcoreSeconds | Counter::MbSeconds => {
            Ok(share(counter, usage(row, 0)?, usage(row, 3)?, usage(row, 6)?))
        }
        Counter::Created => Ok(events(row.get(9)?)),
        Counter::Terminated => Ok(events(row.get(10)?)),
        Counter::Failed => Ok(events(row.get(11)?)),
    }
}

fn events(counted: i64) -> Share {
    Share { counted, ..Share::default() }
}

fn share(counter: Counter, highest: Usage, base: Usage, over: Usage) -> Share {
    let figure = |usage: Usage| {
        let [nano_cu_hours, vcore_seconds, mb_seconds] = figures(usage);
        match counter {
            Counter::VcoreSeconds => vcore_seconds,
            Counter::MbSeconds => mb_seconds,
            _ => nano_cu_hours,
        }
    };
    Share { counted: figure(highest.minus(base)), excluded: figure(base), overcounted: figure(over) }
}

/// How sessions are ordered: the largest first, of equal ones the latest, then by key.
type Rank = (i64, Option<UnixMillis>, Reverse<i64>);

fn sessions(
    connection: &Connection,
    (gateway_key, series_key): (i64, i64),
    counter: Counter,
    limit: usize,
    stop: &dyn Fn() -> bool,
    explanation: &mut Explanation,
) -> rusqlite::Result<()> {
    let mut select = connection.prepare(&format!(
        "SELECT session_key, created, counted, nano_cu_hours, vcore_seconds, mb_seconds, corrections
         FROM session WHERE {OF_GATEWAY} AND series_key = ?2"
    ))?;
    let mut largest: BinaryHeap<Reverse<(Rank, Share)>> = BinaryHeap::with_capacity(limit + 1);
    let mut rows = select.query([gateway_key, series_key])?;
    while let Some(row) = rows.next()? {
        // Where nobody waits for the answer any more, the log need not wait for the reader either.
        if explanation.sessions_kept.is_multiple_of(1_024) && stop() {
            let interrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_INTERRUPT);
            return Err(rusqlite::Error::SqliteFailure(interrupt, None));
        }
        let share = of_session(row, counter)?;
        explanation.sessions_kept += 1;
        explanation.sessions = explanation.sessions.plus(share);
        // What is not in the counter, though it was observed, is told by the sums.
        if share.counted <= 0 {
            continue;
        }
        explanation.sessions_counted += 1;
        largest.push(Reverse(((share.counted, row.get(1)?, Reverse(row.get(0)?)), share)));
        if largest.len() > limit {
            largest.pop();
        }
    }
    let mut find =
        connection.prepare("SELECT session_id, state, created, ended FROM session WHERE session_key = ?")?;
    for Reverse(((_, _, Reverse(key)), share)) in largest.into_sorted_vec() {
        let session = find.query_row([key], |row| {
            Ok(SessionShare {
                session_id: row.get(0)?,
                state: SessionState::from_api(row.get_ref(1)?.as_str()?).unwrap_or(SessionState::Unknown),
                created: row.get(2)?,
                ended: row.get(3)?,
                share,
            })
        })?;
        explanation.largest.push(session);
    }
    Ok(())
}

fn of_session(row: &Row<'_>, counter: Counter) -> rusqlite::Result<Share> {
    let event = |bit: i64| Ok(events(i64::from(row.get::<_, i64>(2)? & bit != 0)));
    match counter {
        Counter::Created => event(COUNTED_CREATED),
        Counter::Terminated => event(COUNTED_TERMINATED),
        Counter::Failed => event(COUNTED_ERROR),
        Counter::NanoCuHours | Counter::VcoreSeconds | Counter::MbSeconds => {
            let (base, over) = corrections(row.get_ref(6)?)?;
            Ok(share(counter, usage(row, 3)?, base, over))
        }
    }
}
