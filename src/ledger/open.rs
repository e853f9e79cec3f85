//! Opens the file. Invariant: an existing file that is anything but a sound ledger is refused and left as it is; only
//! a file that is not there is begun anew.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::lock::Lock;
use super::store::Store;
use super::{LedgerError, Options, backup, check, load, schema, seal};

/// How long to wait for a reader, such as the `sqlite3` shell, that locks the file.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens, checks and migrates the ledger; the lock is held as long as the returned one lives.
pub(super) fn open(options: &Options) -> Result<(Store, Lock), LedgerError> {
    let path = options.path.as_path();
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory)
            .map_err(|source| LedgerError::io(path, "creating its directory", source))?;
    }
    let lock = Lock::take(path)?;
    let is_new = begins_anew(path)?;
    if is_new {
        create(path)?;
    }
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|source| sqlite(path, "opening it", source))?;
    let prepare = || {
        // A file that is refused stays as it is, and so does its log.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // A page that was cut or overwritten is to be noticed when it is read.
        connection.pragma_update(None, "cell_size_check", true)?;
        seal::register(&connection)
    };
    prepare().map_err(|source| sqlite(path, "setting it up", source))?;
    let version = version(path, &connection)?;
    if version > schema::current_version() {
        return Err(LedgerError::too_new(path, version));
    }
    if version < schema::current_version() {
        check::structure(path, &connection)?;
        let copy = beside(path, &format!(".schema-{version}"));
        backup::vacuum_into(path, &connection, &copy)?;
        tracing::info!(path = %path.display(), copy = %copy.display(), "copied the ledger before its schema changes");
        schema::migrate(&mut connection, version).map_err(|source| {
            LedgerError::damaged(path, "bringing it to the current schema", source.to_string())
        })?;
    }
    let noted = lock.commits().filter(|_| !is_new);
    let checked = check::whole(path, &connection, noted)?;
    let commits = i64::try_from(checked.commits).unwrap_or(i64::MAX);
    configure(&connection).map_err(|source| sqlite(path, "setting it up", source))?;
    if noted != Some(commits) {
        lock.note(commits).map_err(|source| LedgerError::io(path, "noting its commits", source))?;
    }
    let totals = load::totals(&connection, checked.sessions)
        .map_err(|source| sqlite(path, "reading its totals", source))?;
    if is_new {
        tracing::info!(path = %path.display(), "began a new ledger");
    } else {
        let (gateways, sessions) = (totals.gateways.len(), totals.sessions);
        tracing::info!(path = %path.display(), gateways, sessions, "opened the ledger");
    }
    Ok((Store::new(path, connection, options.baseline, totals, commits), lock))
}

/// Begins a ledger under another name and gives it its own when it is whole: a crash leaves all of it or nothing.
fn create(path: &Path) -> Result<(), LedgerError> {
    let part = beside(path, ".new");
    for suffix in ["", "-journal"] {
        // What a crash left, if anything.
        let _ = fs::remove_file(beside(&part, suffix));
    }
    let begin = || -> rusqlite::Result<()> {
        let mut connection = Connection::open(&part)?;
        seal::register(&connection)?;
        schema::migrate(&mut connection, 0)
    };
    begin().map_err(|source| sqlite(path, "creating it", source))?;
    fs::rename(&part, path)
        .and_then(|()| backup::sync_directory(path))
        .map_err(|source| LedgerError::io(path, "creating it", source))
}

/// Whether there is no ledger yet. An empty file, or a log without its file, is what a loss leaves behind.
fn begins_anew(path: &Path) -> Result<bool, LedgerError> {
    const CHECK: &str = "the check for its presence";
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(LedgerError::damaged(path, CHECK, "it is a directory")),
        Ok(found) if found.len() == 0 => Err(LedgerError::damaged(path, CHECK, "the file is empty")),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let log = beside(path, "-wal");
            if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
                let found = format!("the file is gone, but its log {} is there", log.display());
                return Err(LedgerError::damaged(path, CHECK, found));
            }
            Ok(true)
        }
        Err(source) => Err(LedgerError::io(path, "looking for it", source)),
    }
}

const HEADER: &str = "the check of its header";

/// The schema version of an existing file, which must be a ledger, and not in use by this process: whoever closes a file
/// gives up all locks that the process has on it.
pub(super) fn version(path: &Path, connection: &Connection) -> Result<i64, LedgerError> {
    // Read and write version: SQLite would take another for a file that it may read, but not write.
    let mut head = [0; 20];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.map_err(|source| LedgerError::damaged(path, HEADER, source.to_string()))?;
    if !matches!(head, [.., 1, 1] | [.., 2, 2]) {
        return Err(LedgerError::damaged(path, HEADER, "file is not a database in a known format"));
    }
    schema_version(path, connection)
}

/// The same by way of the connection alone.
pub(super) fn schema_version(path: &Path, connection: &Connection) -> Result<i64, LedgerError> {
    let pragma = |name: &str| -> Result<i64, LedgerError> {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map_err(|source| LedgerError::damaged(path, HEADER, source.to_string()))
    };
    if pragma("application_id")? != schema::APPLICATION_ID {
        return Err(LedgerError::damaged(
            path,
            HEADER,
            "it is a SQLite file, but not a ledger of this exporter",
        ));
    }
    pragma("user_version")
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A power cut must not take a commit back that a scrape has already shown.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A checkpoint writes each page once, however often the log has it: 128 MiB of log between two of them.
    connection.pragma_update(None, "wal_autocheckpoint", 32_768)?;
    // 8 MiB of pages: a bound on memory that no history moves, and with 16 MiB a sweep costs as much.
    connection.pragma_update(None, "cache_size", -8_192)?;
    // What belongs to nothing is found by the opening's checks; a look for each row that is written costs a sixth of it.
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    // Refused here where the file cannot be written, not with the first page.
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
}

/// `ledger.db` → `ledger.db-wal`, the way SQLite names what belongs to a file.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(super) fn sqlite(path: &Path, doing: &'static str, source: rusqlite::Error) -> LedgerError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match source.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => LedgerError::damaged(path, doing, source.to_string()),
        _ => LedgerError::Sqlite { path: path.to_owned(), doing, source },
    }
}
