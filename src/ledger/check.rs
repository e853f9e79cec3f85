//! Is the ledger whole? Invariant: a total that the sessions do not add up to is never served.

use std::path::Path;

use rusqlite::Connection;

use super::{LedgerError, seal};

/// Columns of a series that must equal a sum over its sessions, with that sum.
const SUMS: [(&str, &str); 12] = [
    ("nano_cu_hours", "sum(nano_cu_hours)"),
    ("vcore_seconds", "sum(vcore_seconds)"),
    ("mb_seconds", "sum(mb_seconds)"),
    ("base_nano_cu_hours", "sum(base_nano_cu_hours)"),
    ("base_vcore_seconds", "sum(base_vcore_seconds)"),
    ("base_mb_seconds", "sum(base_mb_seconds)"),
    ("over_nano_cu_hours", "sum(over_nano_cu_hours)"),
    ("over_vcore_seconds", "sum(over_vcore_seconds)"),
    ("over_mb_seconds", "sum(over_mb_seconds)"),
    ("created", "sum(counted & 1)"),
    ("terminated", "sum(counted >> 1 & 1)"),
    ("error", "sum(counted >> 2 & 1)"),
];

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

/// Checks that every row is as it was written.
pub(super) fn seals(path: &Path, connection: &Connection) -> Result<(), LedgerError> {
    const CHECK: &str = "the check of each row against its checksum";
    for table in seal::TABLES {
        match table.broken(connection) {
            Ok(None) => {}
            Ok(Some(found)) => return Err(LedgerError::damaged(path, CHECK, found)),
            Err(source) => return Err(LedgerError::damaged(path, CHECK, source.to_string())),
        }
    }
    Ok(())
}

/// Checks that every total is the sum of its sessions.
pub(super) fn sums(path: &Path, connection: &Connection) -> Result<(), LedgerError> {
    const CHECK: &str = "the check of totals against sessions";
    let sums: Vec<String> = SUMS.iter().map(|(column, sum)| format!("{sum} AS sum_{column}")).collect();
    let differs: Vec<String> =
        SUMS.iter().map(|(column, _)| format!("series.{column} <> coalesce(sum_{column}, 0)")).collect();
    let sql = format!(
        "SELECT gateway.workspace_id, gateway.livy_compute_id, series.queue
         FROM series LEFT JOIN gateway USING (gateway_key)
         LEFT JOIN (SELECT series_key, {} FROM session GROUP BY series_key) USING (series_key)
         WHERE {} LIMIT 1",
        sums.join(", "),
        differs.join(" OR ")
    );
    let wrong = connection.prepare(&sql).and_then(|mut select| {
        let mut rows = select.query([])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let text = |column| row.get::<_, Option<String>>(column).map(Option::unwrap_or_default);
        Ok(Some(format!(
            "the totals of workspace {:?}, gateway {:?}, queue {:?} are not the sum of its sessions",
            text(0)?,
            text(1)?,
            text(2)?
        )))
    });
    match wrong {
        Ok(None) => orphans(path, connection, CHECK),
        Ok(Some(found)) => Err(LedgerError::damaged(path, CHECK, found)),
        Err(source) => Err(LedgerError::damaged(path, CHECK, source.to_string())),
    }
}

/// A session whose series is gone would be counted nowhere.
fn orphans(path: &Path, connection: &Connection, check: &'static str) -> Result<(), LedgerError> {
    let sql =
        "SELECT session_id FROM session WHERE series_key NOT IN (SELECT series_key FROM series) LIMIT 1";
    let found = connection.prepare(sql).and_then(|mut select| {
        let mut rows = select.query([])?;
        rows.next()?.map(|row| row.get::<_, String>(0)).transpose()
    });
    match found {
        Ok(None) => Ok(()),
        Ok(Some(id)) => Err(LedgerError::damaged(path, check, format!("session {id:?} belongs to no queue"))),
        Err(source) => Err(LedgerError::damaged(path, check, source.to_string())),
    }
}
