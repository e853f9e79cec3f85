//! Is the ledger whole? Invariant: a total that the sessions do not add up to is never served, nor a row that changed.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::places::{NUMBER_BITS, OF_GATEWAY, gateway_of, id_hash};
use super::{LedgerError, reader, row, schema, seal};

/// Places in [`seal::SESSION`].
const SESSION_KEY: usize = 0;
const SESSION_ID: usize = 1;
const SERIES_KEY: usize = 2;
const COUNTED: usize = 7;
const FIGURES: usize = 8;
const CORRECTIONS: usize = 11;

/// What was found to be whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Pages of the file, of which the structure was checked.
    pub pages: u64,
    /// Rows whose checksum was checked, over all tables.
    pub rows: u64,
    /// Sessions, each found in the list of places.
    pub sessions: u64,
    /// Sessions that are no longer kept one by one.
    pub pruned: u64,
    /// Series whose totals are the sum of these.
    pub series: u64,
    /// Transactions that changed something, so far.
    pub commits: u64,
}

/// Makes all checks, of a file of the current schema that nobody writes to: as no transaction is needed, several
/// connections share the work.
pub(super) fn whole(
    path: &Path,
    connection: &Connection,
    noted: Option<i64>,
) -> Result<Checked, LedgerError> {
    let (first, second) = (reader::open_read_only(path)?, reader::open_read_only(path)?);
    std::thread::scope(|scope| {
        let structure = scope.spawn(move || structure(path, &first));
        let content = content(path, connection, Some(second), noted);
        // What breaks the structure shows in the content, too: it is what is to be told.
        structure.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        content
    })
}

/// Checks everything but the structure, which must be sound and of the current schema.
/// `noted` are the commits that are known to have reached the disk. A `second` connection halves the time; nothing may
/// write meanwhile, as the two do not read from one transaction.
pub(super) fn content(
    path: &Path,
    connection: &Connection,
    second: Option<Connection>,
    noted: Option<i64>,
) -> Result<Checked, LedgerError> {
    let mut checked = Checked::default();
    run(path, "the check of its tables", || schema(connection))?;
    run(path, "the check of each row against its checksum", || seals(connection, &mut checked))?;
    const SESSIONS: &str = "the check of sessions against their checksums and their list";
    let sums = run(path, SESSIONS, || sessions(connection, second, &mut checked))?;
    run(path, "the check of totals against sessions", || totals(connection, sums, &mut checked))?;
    run(path, "the check of its last commit", || commits(connection, noted, &mut checked))?;
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap_or(0);
    checked.pages = pages.cast_unsigned();
    Ok(checked)
}

/// Checks the file's structure, whatever its schema.
pub(super) fn structure(path: &Path, connection: &Connection) -> Result<(), LedgerError> {
    // A quick check leaves indices out: they belong to small tables.
    let indexed = "SELECT DISTINCT tbl_name FROM sqlite_schema WHERE type = 'index'";
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

/// What a range of sessions comes to.
#[derive(Default)]
struct Scanned {
    sums: HashMap<i64, Sum>,
    sessions: u64,
    /// Those that `session_place` must have.
    listed: Entries,
}

/// Entries of a list: how many, and the sum of their prints.
#[derive(Clone, Copy, Default, PartialEq)]
struct Entries(u64, u64);

impl Entries {
    fn add(&mut self, print: u64) {
        self.merge(Self(1, print));
    }

    fn merge(&mut self, Self(count, prints): Self) {
        self.0 += count;
        self.1 = self.1.wrapping_add(prints);
    }
}

/// One look at every session: its checksum, its place in the list, its share of the sums.
fn sessions(
    connection: &Connection,
    second: Option<Connection>,
    checked: &mut Checked,
) -> Outcome<HashMap<i64, Sum>> {
    let (listed, through) = listed(connection)?;
    let through = &through;
    let half = if second.is_some() { middle(connection)? } else { i64::MAX };
    let (mut scanned, rest) = std::thread::scope(|scope| {
        let rest = second.map(|second| scope.spawn(move || scan(&second, half + 1, i64::MAX, through)));
        let first = scan(connection, i64::MIN, half, through);
        let rest = rest.map_or(Ok(Scanned::default()), |rest| {
            rest.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        Ok::<_, Finding>((first?, rest?))
    })?;
    scanned.sessions += rest.sessions;
    scanned.listed.merge(rest.listed);
    for (series_key, sum) in rest.sums {
        scanned.sums.entry(series_key).or_insert_with(|| Sum::of(sum.gateway_key)).add(&sum)?;
    }
    checked.sessions = scanned.sessions;
    checked.rows += scanned.sessions;
    if scanned.listed != listed {
        return found("the list session_place does not agree with the sessions");
    }
    Ok(scanned.sums)
}

/// A key with about as many sessions up to it as above it: all, where no session was pruned.
fn middle(connection: &Connection) -> Outcome<i64> {
    let mut gateways = connection.prepare("SELECT gateway_key FROM gateway ORDER BY gateway_key")?;
    let latest = format!("SELECT max(session_key) FROM session WHERE {OF_GATEWAY}");
    let mut latest = connection.prepare(&latest)?;
    let mut numbers = Vec::new();
    for gateway_key in gateways.query_map([], |row| row.get(0))? {
        let gateway_key: i64 = gateway_key?;
        let before = gateway_key << NUMBER_BITS;
        let latest: Option<i64> = latest.query_row([gateway_key], |row| row.get(0))?;
        numbers.push((before, latest.map_or(0, |latest| latest - before)));
    }
    let mut left = numbers.iter().map(|(_, count)| count).sum::<i64>() / 2;
    for (before, count) in numbers {
        if left <= count {
            return Ok(before + left);
        }
        left -= count;
    }
    Ok(0)
}

impl Sum {
    fn of(gateway_key: i64) -> Self {
        Self { gateway_key, figures: [0; 12] }
    }

    fn add(&mut self, more: &Self) -> Outcome<()> {
        for (total, part) in self.figures.iter_mut().zip(more.figures) {
            let sum = total.checked_add(part).filter(|_| self.gateway_key == more.gateway_key);
            *total = sum.ok_or_else(|| Finding("a session does not fit its queue".into()))?;
        }
        Ok(())
    }
}

/// Scans the sessions with keys from `first` to `last`; those up to their gateway's key in `through` must be listed.
fn scan(connection: &Connection, first: i64, last: i64, through: &HashMap<i64, i64>) -> Outcome<Scanned> {
    let columns = seal::SESSION.columns.join(", ");
    let sql = format!("SELECT {columns}, seal FROM session WHERE session_key BETWEEN ? AND ?");
    let mut select = connection.prepare(&sql)?;
    let mut rows = select.query([first, last])?;
    let mut scanned = Scanned::default();
    while let Some(row) = rows.next()? {
        session(row, &mut scanned, through)?;
    }
    Ok(scanned)
}

/// Adds a session to what was scanned.
fn session(found_row: &Row<'_>, scanned: &mut Scanned, through: &HashMap<i64, i64>) -> Outcome<()> {
    const SEAL: usize = seal::SESSION.columns.len();
    // Each value is taken from the row once: of all that is done for a session, that costs most.
    let mut values = [ValueRef::Null; SEAL + 1];
    for (index, value) in values.iter_mut().enumerate() {
        *value = found_row.get_ref(index)?;
    }
    let number = |index: usize| values[index].as_i64().map_err(rusqlite::Error::from);
    let key = number(SESSION_KEY)?;
    if seal::of(values[..SEAL].iter().map(|value| Ok(*value)))? != number(SEAL)? {
        return found(format!("a row of table session (session_key = {key}) was changed"));
    }
    let gateway_key = gateway_of(key);
    let mut own = Sum::of(gateway_key);
    let counted = number(COUNTED)?;
    let (base, over) = row::corrections(values[CORRECTIONS])?;
    let corrections = [base, over].map(row::figures).concat();
    for (index, part) in own.figures.iter_mut().enumerate() {
        *part = match index {
            0..3 => number(FIGURES + index)?,
            3..9 => corrections[index - 3],
            _ => counted >> (index - 9) & 1,
        };
    }
    let sum = scanned.sums.entry(number(SERIES_KEY)?).or_insert_with(|| Sum::of(gateway_key));
    if sum.add(&own).is_err() {
        return found(format!("session {:?} does not fit its queue", values[SESSION_ID]));
    }
    scanned.sessions += 1;
    if through.get(&gateway_key).is_some_and(|through| key <= *through) {
        let id = values[SESSION_ID].as_str().map_err(rusqlite::Error::from)?;
        scanned.listed.add(print(id_hash(id), key));
    }
    Ok(())
}

/// Entries of `session_place`, which must be in order to be found, and the highest key of each gateway among them:
/// sessions above it are not listed yet.
fn listed(connection: &Connection) -> Outcome<(Entries, HashMap<i64, i64>)> {
    let mut select = connection.prepare("SELECT id_hash, session_key FROM session_place")?;
    let mut rows = select.query([])?;
    let (mut entries, mut through, mut last) = (Entries::default(), HashMap::new(), (i64::MIN, i64::MIN));
    while let Some(row) = rows.next()? {
        let entry = (row.get(0)?, row.get(1)?);
        if entry < last {
            return found("the list session_place is out of order");
        }
        last = entry;
        let latest = through.entry(gateway_of(entry.1)).or_insert(entry.1);
        *latest = entry.1.max(*latest);
        entries.add(print(entry.0, entry.1));
    }
    Ok((entries, through))
}

/// Sums of prints are equal only if the entries are, but for one case in 2⁶⁴.
fn print(id_hash: i64, session_key: i64) -> u64 {
    [id_hash, session_key].into_iter().fold(0, |print: u64, part| {
        let mixed = (print ^ part.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    })
}

/// Every total must be the sum of its sessions, those that are no longer kept included, and every session in a total.
fn totals(connection: &Connection, mut sums: HashMap<i64, Sum>, checked: &mut Checked) -> Outcome<()> {
    let kept = seal::SUMS.iter().map(|name| format!("series.{name} - coalesce(pruned.{name}, 0)"));
    let columns = kept.collect::<Vec<_>>().join(", ");
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
