//! Sessions and series as rows of their tables. Invariant: the order of the columns is known here and in the schema only.

use std::sync::LazyLock;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, ToSql, params, params_from_iter};

use super::places::Places;
use super::session::Held;
use super::{SeriesKey, SeriesTotals, seal};
use crate::model::{SessionState, Usage};

/// The statements of a page, each looked up once for all of its sessions.
pub(super) struct Statements<'a> {
    place: CachedStatement<'a>,
    select: CachedStatement<'a>,
    insert: CachedStatement<'a>,
    update: CachedStatement<'a>,
}

impl<'a> Statements<'a> {
    pub(super) fn new(connection: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            place: connection.prepare_cached(
                "SELECT session_key FROM session_place WHERE gateway_key = ? AND id_hash = ?",
            )?,
            select: connection.prepare_cached(
                "SELECT session_key, series_key, pass, state, created, ended, counted,
                        nano_cu_hours, vcore_seconds, mb_seconds,
                        base_nano_cu_hours, base_vcore_seconds, base_mb_seconds,
                        over_nano_cu_hours, over_vcore_seconds, over_mb_seconds
                 FROM session WHERE session_key = ? AND session_id = ?",
            )?,
            insert: connection.prepare_cached(&INSERT)?,
            update: connection.prepare_cached(&UPDATE)?,
        })
    }

    /// The session of this id, with its key.
    pub(super) fn find(
        &mut self,
        places: &Places,
        gateway_key: i64,
        session_id: &str,
    ) -> rusqlite::Result<Option<(i64, Held)>> {
        let id_hash = seal::id_hash(session_id);
        for key in places.recent(gateway_key, id_hash) {
            if let Some(found) = self.select.query_row(params![key, session_id], held).optional()? {
                return Ok(Some(found));
            }
        }
        if !places.may_be_listed(gateway_key, id_hash) {
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

    /// Writes a session: in the place of the row with `key`, or as a new one.
    pub(super) fn write(
        &mut self,
        key: Option<i64>,
        gateway_key: i64,
        session_id: &str,
        held: &Held,
    ) -> rusqlite::Result<()> {
        let integer = ValueRef::Integer;
        let [cu, vcore, mb] = figures(held.highest).map(integer);
        let [base_cu, base_vcore, base_mb] = figures(held.base).map(integer);
        let [over_cu, over_vcore, over_mb] = figures(held.over).map(integer);
        // In the order of the columns.
        let row = [
            integer(gateway_key),
            integer(seal::id_hash(session_id)),
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
            base_cu,
            base_vcore,
            base_mb,
            over_cu,
            over_vcore,
            over_mb,
        ];
        let seal = seal::of(row.into_iter().map(Ok))?;
        let values = row.into_iter().chain([integer(seal), key.map_or(ValueRef::Null, integer)]);
        let statement = if key.is_some() { &mut self.update } else { &mut self.insert };
        statement.execute(params_from_iter(values.map(ToSqlOutput::Borrowed))).map(drop)
    }
}

/// Reads what [`Statements::select`] found.
fn held(row: &Row<'_>) -> rusqlite::Result<(i64, Held)> {
    let held = Held {
        series: SeriesKey(row.get(1)?),
        pass: row.get(2)?,
        state: SessionState::from_api(row.get_ref(3)?.as_str()?).unwrap_or(SessionState::Unknown),
        created: row.get(4)?,
        ended: row.get(5)?,
        counted: row.get(6)?,
        highest: usage(row, 7)?,
        base: usage(row, 10)?,
        over: usage(row, 13)?,
    };
    Ok((row.get(0)?, held))
}

/// Reads three neighbouring columns.
pub(super) fn usage(row: &Row<'_>, first: usize) -> rusqlite::Result<Usage> {
    Ok(Usage {
        nano_cu_hours: row.get(first)?,
        vcore_seconds: row.get(first + 1)?,
        mb_seconds: row.get(first + 2)?,
    })
}

/// The key is the last parameter: the others are numbered as the columns are, the seal behind them.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let (columns, values) = (seal::SESSION.columns.join(", "), seal::SESSION.parameters());
    let seal = seal::SESSION.columns.len() + 1;
    let key = seal + 1;
    format!("INSERT INTO session ({columns}, seal, session_key) VALUES ({values}, ?{seal}, ?{key})")
});

/// Whose session it is stays: naming those columns would have SQLite write indexes anew and look for parents.
static UPDATE: LazyLock<String> = LazyLock::new(|| {
    const KEPT: [&str; 4] = ["gateway_key", "id_hash", "session_id", "series_key"];
    let changes: Vec<String> = (1..)
        .zip(seal::SESSION.columns)
        .filter(|(_, column)| !KEPT.contains(column))
        .map(|(number, column)| format!("{column} = ?{number}"))
        .collect();
    let seal = seal::SESSION.columns.len() + 1;
    let key = seal + 1;
    format!("UPDATE session SET {}, seal = ?{seal} WHERE session_key = ?{key}", changes.join(", "))
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
