//! Sessions and series as rows of their tables. Invariant: the order of the columns is known here and in the schema only.

use std::sync::LazyLock;

use rusqlite::types::{FromSqlError, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, ToSql, params, params_from_iter};

use super::places::{OF_GATEWAY, Places};
use super::session::Held;
use super::{SeriesKey, SeriesTotals, seal};
use crate::model::{SessionState, Usage};

/// The statements of a page, each looked up once for all of its sessions.
pub(super) struct Statements<'a> {
    place: CachedStatement<'a>,
    select: CachedStatement<'a>,
    insert: CachedStatement<'a>,
    update: CachedStatement<'a>,
    /// What a seal is of, one row after the other.
    sealed: Vec<u8>,
}

impl<'a> Statements<'a> {
    pub(super) fn new(connection: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            place: connection.prepare_cached(&PLACE)?,
            select: connection.prepare_cached(
                "SELECT session_key, series_key, pass, state, created, ended, counted,
                        nano_cu_hours, vcore_seconds, mb_seconds, corrections
                 FROM session WHERE session_key = ? AND session_id = ?",
            )?,
            insert: connection.prepare_cached(&INSERT)?,
            update: connection.prepare_cached(&UPDATE)?,
            sealed: Vec::with_capacity(256),
        })
    }

    /// The session of this id, whose hash that is, with its key.
    pub(super) fn find(
        &mut self,
        places: &Places,
        gateway_key: i64,
        session_id: &str,
        id_hash: i64,
    ) -> rusqlite::Result<Option<(i64, Held)>> {
        for key in places.recent(gateway_key, id_hash) {
            if let Some(found) = self.select.query_row(params![key, session_id], held).optional()? {
                return Ok(Some(found));
            }
        }
        if !places.may_be_listed(id_hash) {
            return Ok(None);
        }
        let mut listed = self.place.query([gateway_key, id_hash])?;
        while let Some(row) = listed.next()? {
            let key: i64 = row.get(0)?;
            if let Some(found) = self.select.query_row(params![key, session_id], held).optional()? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Writes a session: as a new row, or in the place of the one with its key.
    pub(super) fn write(
        &mut self,
        is_new: bool,
        key: i64,
        session_id: &str,
        held: &Held,
    ) -> rusqlite::Result<()> {
        let integer = ValueRef::Integer;
        let [cu, vcore, mb] = figures(held.highest).map(integer);
        let corrections = corrections_text(held.base, held.over);
        // In the order of the columns.
        let row = [
            integer(key),
            ValueRef::Text(session_id.as_bytes()),
            integer(held.series.0),
            integer(held.pass),
            ValueRef::Text(held.state.as_str().as_bytes()),
            held.created.map_or(ValueRef::Null, integer),
            held.ended.map_or(ValueRef::Null, integer),
            integer(held.counted),
            cu,
            vcore,
            mb,
            corrections.as_ref().map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes())),
        ];
        let seal = seal::into(&mut self.sealed, row.into_iter().map(Ok))?;
        let values = row.into_iter().chain([integer(seal)]);
        let statement = if is_new { &mut self.insert } else { &mut self.update };
        statement.execute(params_from_iter(values.map(ToSqlOutput::Borrowed))).map(drop)
    }
}

/// Reads what [`Statements::select`] found.
fn held(row: &Row<'_>) -> rusqlite::Result<(i64, Held)> {
    let (base, over) = corrections(row.get_ref(10)?)?;
    let held = Held {
        series: SeriesKey(row.get(1)?),
        pass: row.get(2)?,
        state: SessionState::from_api(row.get_ref(3)?.as_str()?).unwrap_or(SessionState::Unknown),
        created: row.get(4)?,
        ended: row.get(5)?,
        counted: row.get(6)?,
        highest: usage(row, 7)?,
        base,
        over,
    };
    Ok((row.get(0)?, held))
}

/// What a session's figures are to be corrected by, as one column: of nearly every session that is nothing, and six more
/// integers in each row would be a third of what it costs to write it.
fn corrections_text(base: Usage, over: Usage) -> Option<String> {
    let all = [figures(base), figures(over)];
    (all != [[0; 3]; 2]).then(|| serde_json::json!(all.concat()).to_string())
}

/// Reads that column: the base, and the highest minus the latest figures.
pub(super) fn corrections(column: ValueRef<'_>) -> rusqlite::Result<(Usage, Usage)> {
    let Some(text) = column.as_str_or_null()? else { return Ok((Usage::ZERO, Usage::ZERO)) };
    let all: [i64; 6] = serde_json::from_str(text).map_err(FromSqlError::other)?;
    let usage =
        |at: usize| Usage { nano_cu_hours: all[at], vcore_seconds: all[at + 1], mb_seconds: all[at + 2] };
    Ok((usage(0), usage(3)))
}

/// Reads three neighbouring columns.
pub(super) fn usage(row: &Row<'_>, first: usize) -> rusqlite::Result<Usage> {
    Ok(Usage {
        nano_cu_hours: row.get(first)?,
        vcore_seconds: row.get(first + 1)?,
        mb_seconds: row.get(first + 2)?,
    })
}

static PLACE: LazyLock<String> =
    LazyLock::new(|| format!("SELECT session_key FROM session_place WHERE id_hash = ?2 AND {OF_GATEWAY}"));

/// The parameters of both are numbered as the columns are, the seal behind them.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let (columns, values) = (seal::SESSION.columns.join(", "), seal::SESSION.parameters());
    format!("INSERT INTO session ({columns}, seal) VALUES ({values}, ?{})", seal::SESSION.columns.len() + 1)
});

/// Which session it is stays, and the queue that it counts for.
static UPDATE: LazyLock<String> = LazyLock::new(|| {
    const KEPT: [&str; 3] = ["session_key", "session_id", "series_key"];
    let changes: Vec<String> = (1..)
        .zip(seal::SESSION.columns)
        .filter(|(_, column)| !KEPT.contains(column))
        .map(|(number, column)| format!("{column} = ?{number}"))
        .collect();
    let seal = seal::SESSION.columns.len() + 1;
    format!("UPDATE session SET {}, seal = ?{seal} WHERE session_key = ?1", changes.join(", "))
});

/// Writes the row of a series.
pub(super) fn put_series(
    connection: &Connection,
    gateway_key: i64,
    queue: &str,
    series: &SeriesTotals,
) -> rusqlite::Result<()> {
    let SeriesTotals { key, held, highest, base, over, created, terminated, error } = series;
    let figures = [*highest, *base, *over].map(figures).into_iter().flatten();
    let counts = [created, terminated, error].map(|count| count.cast_signed());
    let numbers: Vec<i64> = figures.chain(counts).collect();
    let head: [&dyn ToSql; 4] = [&key.0, &gateway_key, &queue, held];
    let row = head.into_iter().chain(numbers.iter().map(|number| number as &dyn ToSql));
    seal::SERIES.put(connection, params_from_iter(row))
}

/// The figures in the order of the columns.
pub(super) fn figures(usage: Usage) -> [i64; 3] {
    [usage.nano_cu_hours, usage.vcore_seconds, usage.mb_seconds]
}
