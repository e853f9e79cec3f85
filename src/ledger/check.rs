//! Is the ledger whole? Invariant: a total that the sessions do not add up to is never served.

use std::path::Path;

use rusqlite::Connection;

use super::scan::{self, Scanned};
use super::{LedgerError, seal};

/// Checks the file's structure.
pub(super) fn structure(path: &Path, connection: &Connection) -> Result<(), LedgerError> {
    const CHECK: &str = "SQLite's quick_check";
    let found: Vec<String> = connection
        .prepare("PRAGMA quick_check(3)")
        .and_then(|mut pragma| pragma.query_map([], |row| row.get(0))?.collect())
        .map_err(|source| LedgerError::damaged(path, CHECK, source.to_string()))?;
    match found.as_slice() {
        [ok] if ok == "ok" => Ok(()),
        problems => Err(LedgerError::damaged(path, CHECK, problems.join("; ").replace('\n', " "))),
    }
}

/// Checks that every row is as it was written, that the index lists every session, and that every total is the sum of
/// its sessions.
pub(super) fn rows(path: &Path, connection: &Connection) -> Result<(), LedgerError> {
    const SEALS: &str = "the check of each row against its checksum";
    const SUMS: &str = "the check of totals against sessions";
    let judged = |check, result: rusqlite::Result<Result<Scanned, String>>| match result {
        Ok(Ok(scanned)) => Ok(scanned),
        Ok(Err(found)) => Err(LedgerError::damaged(path, check, found)),
        Err(source) => Err(LedgerError::damaged(path, check, source.to_string())),
    };
    for table in seal::TABLES.into_iter().filter(|table| table.name != seal::SESSION.name) {
        let broken = table.broken(connection).map(|broken| broken.map_or(Ok(Scanned::default()), Err));
        judged(SEALS, broken)?;
    }
    let scanned = judged(SEALS, scan::sessions(path, connection))?;
    judged(SUMS, sums(connection, scanned)).map(drop)
}

/// Compares the totals with what the sessions add up to; what is left over belongs to no series.
fn sums(connection: &Connection, mut scanned: Scanned) -> rusqlite::Result<Result<Scanned, String>> {
    let sql = format!(
        "SELECT {}, series_key, workspace_id, livy_compute_id, queue
         FROM series LEFT JOIN gateway USING (gateway_key)",
        scan::SUMMED.map(|column| format!("series.{column}")).join(", ")
    );
    let mut select = connection.prepare(&sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let sums = scanned.sums.remove(&row.get(scan::SUMMED.len())?).unwrap_or_default();
        for (column, sum) in sums.into_iter().enumerate() {
            if i128::from(row.get::<_, i64>(column)?) != sum {
                let text = |place: usize| {
                    row.get::<_, Option<String>>(scan::SUMMED.len() + place).map(Option::unwrap_or_default)
                };
                return Ok(Err(format!(
                    "the totals of workspace {:?}, gateway {:?}, queue {:?} are not the sum of its sessions",
                    text(1)?,
                    text(2)?,
                    text(3)?
                )));
            }
        }
    }
    // A session whose series is gone would be counted nowhere.
    match scanned.sums.keys().next() {
        Some(key) => Ok(Err(format!("sessions belong to a series that is gone, with the key {key}"))),
        None => Ok(Ok(scanned)),
    }
}
