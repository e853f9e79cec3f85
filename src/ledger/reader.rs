//! Reads a ledger without touching it, also while a daemon writes to it: for `ledger verify` and `ledger inspect`.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use tokio_util::sync::CancellationToken;

use super::check::Checked;
use super::{LedgerError, LedgerSnapshot, SeriesKey, check, load, lock, open, schema, seal};

/// The totals of a ledger, and how many sessions stand behind them.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// What the counters are made of.
    pub totals: LedgerSnapshot,
    /// By series: sessions that are kept, and sessions that are no longer kept one by one.
    pub sessions: BTreeMap<SeriesKey, (u64, u64)>,
}

/// Makes all checks that the daemon makes when it opens the ledger.
///
/// # Errors
/// The check that failed, or why the file cannot be read.
pub fn verify(path: &Path) -> Result<Checked, LedgerError> {
    verify_until(path, &CancellationToken::new())
}

/// The same, until `stop` says that nobody waits for it any more.
pub(super) fn verify_until(path: &Path, stop: &CancellationToken) -> Result<Checked, LedgerError> {
    // Before the file: commits may come in while it is read.
    let noted = lock::noted_commits(path);
    let mut connection = open_read_only(path)?;
    end_with(&mut connection, stop).map_err(|source| open::sqlite(path, "setting it up", source))?;
    begin(path, &connection)?;
    check::structure(path, &connection)?;
    check::content(path, &connection, None, noted)
}

/// Reads the totals. Only the header is checked.
///
/// # Errors
/// Where the file is no ledger or cannot be read.
pub fn inspect(path: &Path) -> Result<Inspection, LedgerError> {
    let connection = open_read_only(path)?;
    begin(path, &connection)?;
    let read = || -> rusqlite::Result<Inspection> {
        let mut sessions = BTreeMap::new();
        let counts = "SELECT series_key, sum(kept), sum(pruned) FROM (
                          SELECT series_key, count(*) AS kept, 0 AS pruned FROM session GROUP BY series_key
                          UNION ALL SELECT series_key, 0, sessions FROM pruned
                      ) GROUP BY series_key";
        let mut select = connection.prepare(counts)?;
        let rows = select.query_map([], |row| {
            let counts: (i64, i64) = (row.get(1)?, row.get(2)?);
            Ok((SeriesKey(row.get(0)?), (counts.0.cast_unsigned(), counts.1.cast_unsigned())))
        })?;
        for row in rows {
            let (series, counts) = row?;
            sessions.insert(series, counts);
        }
        let kept = sessions.values().map(|(kept, _)| kept).sum();
        Ok(Inspection { totals: load::totals(&connection, kept)?, sessions })
    };
    read().map_err(|source| open::sqlite(path, "reading its totals", source))
}

/// Opens a ledger of a known schema for reading alone, and looks at its header.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, LedgerError> {
    let connection = connect(path)?;
    open::version(path, &connection)?;
    Ok(connection)
}

/// Opens a ledger of a known schema for reading alone; this process may have it open for writing.
pub(super) fn connect(path: &Path) -> Result<Connection, LedgerError> {
    match std::fs::metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(LedgerError::Absent { path: path.to_owned() });
        }
        Err(source) => return Err(LedgerError::io(path, "looking for it", source)),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .and_then(|connection| {
            connection.busy_timeout(open::BUSY_TIMEOUT)?;
            connection.pragma_update(None, "cell_size_check", true)?;
            seal::register(&connection)?;
            Ok(connection)
        })
        .map_err(|source| open::sqlite(path, "opening it", source))?;
    let version = open::schema_version(path, &connection)?;
    if version > schema::current_version() {
        return Err(LedgerError::too_new(path, version));
    }
    Ok(connection)
}

/// Ends what the connection does as soon as `stop` says so.
pub(super) fn end_with(connection: &mut Connection, stop: &CancellationToken) -> rusqlite::Result<()> {
    // Steps of SQLite's machine between two looks: less than a millisecond.
    const STEPS: i32 = 1_000;
    let stop = stop.clone();
    connection.progress_handler(STEPS, Some(move || stop.is_cancelled()))
}

/// All that follows is read from one state of the ledger.
fn begin(path: &Path, connection: &Connection) -> Result<(), LedgerError> {
    connection.execute_batch("BEGIN").map_err(|source| open::sqlite(path, "beginning to read it", source))
}
