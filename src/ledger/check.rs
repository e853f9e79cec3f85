//! Is the ledger whole? Invariant: a total that the sessions do not add up to is never served, nor a row that changed.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, Row};

use super::{LedgerError, schema, seal};

/// Columns of a series that are sums over its sessions: nine figures, then three bits of `counted`.
const SUMS: [&str; 12] = [
    "nano_cu_hours",
    "vcore_seconds",
    "mb_seconds",
    "base_nano_cu_hours",
    "base_vcore_seconds",
    "base_mb_seconds",
    "over_nano_cu_hours",
    "over_vcore_seconds",
    "over_mb_seconds",
    "created",
    "terminated",
    "error",
];
/// Places in [`seal::SESSION`].
const GATEWAY_KEY: usize = 0;
const ID_HASH: usize = 1;
const SESSION_ID: usize = 2;
const SERIES_KEY: usize = 3;
const COUNTED: usize = 8;
const FIGURES: usize = 9;

/// What was found to be whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Pages of the file, of which the structure was checked.
    pub pages: u64,
    /// Rows whose checksum was checked, over all tables.
    pub rows: u64,
    /// Sessions, each found in the index.
    pub sessions: u64,
    /// Sessions that are no longer kept one by one.
    pub pruned: u64,
    /// Series whose totals are the sum of these.
    pub series: u64,
    /// Transactions that changed something, so far.
    pub commits: u64,
}

/// Checks everything but the structure, which must be sound and of the current schema.
/// `noted` are the commits that are known to have reached the disk.
pub(super) fn content(
    path: &Path,
    connection: &Connection,
    noted: Option<i64>,
) -> Result<Checked, LedgerError> {
    let mut checked = Checked::default();
    run(path, "the check of its tables", || schema(connection))?;
    run(path, "the check of each row against its checksum", || seals(connection, &mut checked))?;
    const SESSIONS: &str = "the check of sessions against their checksums and their index";
    let sums = run(path, SESSIONS, || sessions(connection, &mut checked))?;
    run(path, "the check of totals against sessions", || totals(connection, sums, &mut checked))?;
    run(path, "the check of its last commit", || commits(connection, noted, &mut checked))?;
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap_or(0);
    checked.pages = pages.cast_unsigned();
    Ok(checked)
}

/// Checks the file's structure, whatever its schema.
pub(super) fn structure(path: &Path, connection: &Connection) -> Result<(), LedgerError> {
    // A quick check leaves indices out: the small ones are checked here, that of the sessions with their content.
    let indexed =
        "SELECT DISTINCT tbl_name FROM sqlite_schema WHERE type = 'index' AND tbl_name <> 'session'";
    run(path, "SQLite's quick_check", || {
        problems(connection, "PRAGMA quick_check(3)")?;
        for table in read_all(connection, indexed)? {
            problems(connection, &format!("PRAGMA integrity_check(\"{}\")", table.replace('"', "\"\"")))?;
        }
        Ok(())
    })
}

/// What a check found wrong.
struct Finding(String);

/// SQLite's own error is how a damaged file often shows itself.
impl From<rusqlite::Error> for Finding {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

type Outcome<T> = Result<T, Finding>;

fn run<T>(path: &Path, check: &'static str, work: impl FnOnce() -> Outcome<T>) -> Result<T, LedgerError> {
    work().map_err(|Finding(found)| LedgerError::damaged(path, check, found))
}

fn found<T>(what: impl Into<String>) -> Outcome<T> {
    Err(Finding(what.into()))
}

fn read_all(connection: &Connection, sql: &str) -> Outcome<Vec<String>> {
    let mut select = connection.prepare(sql)?;
    let rows = select.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn problems(connection: &Connection, pragma: &str) -> Outcome<()> {
    let problems = read_all(connection, pragma)?;
    match problems.as_slice() {
        [ok] if ok == "ok" => Ok(()),
        problems => found(problems.join("; ").replace('\n', " ")),
    }
}

/// A rule of a table that was changed would let wrong rows in later.
fn schema(connection: &Connection) -> Outcome<()> {
    const DEFINITIONS: &str =
        "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY name";
    let (there, expected) =
        (read_all(connection, DEFINITIONS)?, read_all(&schema::in_memory()?, DEFINITIONS)?);
    let lacks = |list: &[String], one: &&String| !list.contains(*one);
    let other = there.iter().find(|one| lacks(&expected, one));
    match other.or_else(|| expected.iter().find(|one| lacks(&there, one))) {
        None => Ok(()),
        Some(one) => {
            let name: Vec<&str> = one.split(' ').take(2).collect();
            found(format!("the definition of {} was changed", name.join(" ")))
        }
    }
}

fn seals(connection: &Connection, checked: &mut Checked) -> Outcome<()> {
    for table in seal::TABLES.into_iter().filter(|table| table.name != seal::SESSION.name) {
        if let Some(broken) = table.broken(connection)? {
            return found(broken);
        }
        let count = format!("SELECT count(*) FROM {}", table.name);
        checked.rows += connection.query_row(&count, [], |row| row.get::<_, i64>(0))?.cast_unsigned();
    }
    Ok(())
}

/// What the sessions of a series add up to, and the gateway that they belong to.
struct Sum {
    gateway_key: i64,
    figures: [i64; 12],
}

/// One look at every session: its checksum, its place in the index, its share of the sums.
fn sessions(connection: &Connection, checked: &mut Checked) -> Outcome<HashMap<i64, Sum>> {
    let columns = seal::SESSION.columns.join(", ");
    let sql = format!("SELECT {columns}, seal, session_key FROM session NOT INDEXED");
    let mut select = connection.prepare(&sql)?;
    let mut rows = select.query([])?;
    let mut sums: HashMap<i64, Sum> = HashMap::new();
    let mut prints = 0_u64;
    while let Some(row) = rows.next()? {
        prints = prints.wrapping_add(session(row, &mut sums)?);
        checked.sessions += 1;
    }
    checked.rows += checked.sessions;
    if index(connection)? == (checked.sessions, prints) {
        return Ok(sums);
    }
    found("the index session_by_id does not agree with the sessions")
}

/// Adds a session to its sum and gives its print in the index.
fn session(row: &Row<'_>, sums: &mut HashMap<i64, Sum>) -> Outcome<u64> {
    const SEAL: usize = seal::SESSION.columns.len();
    let key: i64 = row.get(SEAL + 1)?;
    if seal::of((0..SEAL).map(|index| row.get_ref(index)))? != row.get::<_, i64>(SEAL)? {
        return found(format!("a row of table session (session_key = {key}) was changed"));
    }
    let gateway_key = row.get(GATEWAY_KEY)?;
    let sum = sums.entry(row.get(SERIES_KEY)?).or_insert(Sum { gateway_key, figures: [0; 12] });
    let counted: i64 = row.get(COUNTED)?;
    let mut fits = sum.gateway_key == gateway_key;
    for (index, total) in sum.figures.iter_mut().enumerate() {
        let part = if index < 9 { row.get(FIGURES + index)? } else { counted >> (index - 9) & 1 };
        match total.checked_add(part) {
            Some(more) => *total = more,
            None => fits = false,
        }
    }
    if !fits {
        return found(format!("session {:?} does not fit its queue", row.get::<_, String>(SESSION_ID)?));
    }
    Ok(print(gateway_key, row.get(ID_HASH)?, key))
}

/// Entries of the index and the sum of their prints; they must be in order to be found.
fn index(connection: &Connection) -> Outcome<(u64, u64)> {
    let sql = "SELECT gateway_key, id_hash, session_key FROM session INDEXED BY session_by_id";
    let mut select = connection.prepare(sql)?;
    let mut rows = select.query([])?;
    let (mut count, mut prints, mut last) = (0, 0_u64, (i64::MIN, i64::MIN, i64::MIN));
    while let Some(row) = rows.next()? {
        let entry = (row.get(0)?, row.get(1)?, row.get(2)?);
        if entry < last {
            return found("the index session_by_id is out of order");
        }
        last = entry;
        count += 1;
        prints = prints.wrapping_add(print(entry.0, entry.1, entry.2));
    }
    Ok((count, prints))
}

/// Sums of prints are equal only if the entries are, but for one case in 2⁶⁴.
fn print(gateway_key: i64, id_hash: i64, session_key: i64) -> u64 {
    [id_hash, session_key].into_iter().fold(gateway_key.cast_unsigned(), |print, part| {
        let mixed = (print ^ part.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    })
}

/// Every total must be the sum of its sessions, those that are no longer kept included, and every session in a total.
fn totals(connection: &Connection, mut sums: HashMap<i64, Sum>, checked: &mut Checked) -> Outcome<()> {
    let columns = SUMS.map(|name| format!("series.{name} - coalesce(pruned.{name}, 0)")).join(", ");
    let sql = format!(
        "SELECT {columns}, series_key, series.gateway_key, queue, workspace_id, livy_compute_id,
                coalesce(pruned.sessions, 0)
         FROM series LEFT JOIN gateway USING (gateway_key) LEFT JOIN pruned USING (series_key)"
    );
    let mut select = connection.prepare(&sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let gateway_key: i64 = row.get(13)?;
        let sum = sums.remove(&row.get(12)?).unwrap_or(Sum { gateway_key, figures: [0; 12] });
        let mut is_sum = sum.gateway_key == gateway_key;
        for (index, part) in sum.figures.iter().enumerate() {
            is_sum &= row.get::<_, i64>(index)? == *part;
        }
        let text = |column| row.get::<_, Option<String>>(column).map(Option::unwrap_or_default);
        let (queue, workspace, gateway) = (text(14)?, text(15)?, text(16)?);
        if !is_sum || gateway.is_empty() {
            return found(format!(
                "the totals of workspace {workspace:?}, gateway {gateway:?}, queue {queue:?} are not the sum of its \
                 sessions"
            ));
        }
        checked.pruned += row.get::<_, i64>(17)?.cast_unsigned();
        checked.series += 1;
    }
    if sums.is_empty() { orphans(connection) } else { found("a session belongs to no queue") }
}

/// Rows whose owner is gone would be counted nowhere.
fn orphans(connection: &Connection) -> Outcome<()> {
    for (table, key, owner) in [
        (seal::PRUNED, "series_key", seal::SERIES),
        (seal::SESSION_DURATION, "gateway_key", seal::GATEWAY),
        (seal::CLUSTER, "workspace_key", seal::WORKSPACE),
        (seal::CLUSTER_CHANGE, "workspace_key", seal::WORKSPACE),
        (seal::START_DURATION, "workspace_key", seal::WORKSPACE),
    ] {
        let (table, owner) = (table.name, owner.name);
        let sql = format!("SELECT '' FROM {table} WHERE {key} NOT IN (SELECT {key} FROM {owner}) LIMIT 1");
        if !read_all(connection, &sql)?.is_empty() {
            return found(format!("a row of table {table} belongs to no {owner}"));
        }
    }
    Ok(())
}

/// What was on disk must be there still.
fn commits(connection: &Connection, noted: Option<i64>, checked: &mut Checked) -> Outcome<()> {
    let commits: i64 =
        connection.query_row("SELECT commits FROM progress WHERE id = 1", [], |row| row.get(0))?;
    checked.commits = commits.cast_unsigned();
    match noted.filter(|noted| *noted > commits) {
        None => Ok(()),
        Some(noted) => found(format!(
            "it holds {commits} commits, but {noted} had reached the disk: its log (-wal) was lost or damaged, or it is \
             an older copy"
        )),
    }
}
