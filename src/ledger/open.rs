//! Opens the file. Invariant: an existing file that is anything but a sound ledger is refused and left as it is; only
//! a file that is not there is begun anew.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::store::Store;
use super::{LedgerError, Options, check, load, schema, seal};

/// How long to wait for a reader, such as the `sqlite3` shell, that locks the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens, checks and migrates the ledger; the lock is held as long as the returned file lives.
pub(super) fn open(options: &Options) -> Result<(Store, File), LedgerError> {
    let path = options.path.as_path();
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory)
            .map_err(|source| LedgerError::io(path, "creating its directory", source))?;
    }
    let lock = lock(path)?;
    let is_new = begins_anew(path)?;
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|source| sqlite(path, "opening it", source))?;
    let version = if is_new { 0 } else { version(path, &connection)? };
    if version > schema::current_version() {
        let known = schema::current_version();
        return Err(LedgerError::TooNew { path: path.to_owned(), found: version, known });
    }
    configure(&connection).map_err(|source| sqlite(path, "setting it up", source))?;
    seal::register(&connection).map_err(|source| sqlite(path, "setting it up", source))?;
    if !is_new {
        check::structure(path, &connection)?;
    }
    schema::migrate(&mut connection, version)
        .map_err(|source| sqlite(path, "bringing it to the current schema", source))?;
    check::rows(path, &connection)?;
    let totals = load::totals(&connection).map_err(|source| sqlite(path, "reading its totals", source))?;
    if is_new {
        tracing::info!(path = %path.display(), "began a new ledger");
    } else {
        let (gateways, sessions) = (totals.gateways.len(), totals.sessions);
        tracing::info!(path = %path.display(), gateways, sessions, "opened the ledger");
    }
    Ok((Store::new(path, connection, options.baseline, totals), lock))
}

/// Takes the lock that keeps a second exporter away.
fn lock(path: &Path) -> Result<File, LedgerError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(beside(path, "-lock"))
        .map_err(|source| LedgerError::io(path, "opening its lock file", source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LedgerError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(LedgerError::io(path, "locking it", source)),
    }
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

/// The schema version of an existing file, which must be a ledger.
fn version(path: &Path, connection: &Connection) -> Result<i64, LedgerError> {
    const CHECK: &str = "the check of its header";
    let pragma = |name: &str| -> Result<i64, LedgerError> {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map_err(|source| LedgerError::damaged(path, CHECK, source.to_string()))
    };
    if pragma("application_id")? != schema::APPLICATION_ID {
        return Err(LedgerError::damaged(
            path,
            CHECK,
            "it is a SQLite file, but not a ledger of this exporter",
        ));
    }
    pragma("user_version")
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A power cut must not take a commit back that a scrape has already shown.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Checkpointing random pages is the cost of a sweep: 128 MiB of log between two of them.
    connection.pragma_update(None, "wal_autocheckpoint", 32_768)?;
    // 16 MiB of pages: a bound on memory that no history moves.
    connection.pragma_update(None, "cache_size", -16_384)?;
    // A page that was cut or overwritten is to be noticed when it is read.
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// `ledger.db` → `ledger.db-wal`, the way SQLite names what belongs to a file.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn sqlite(path: &Path, doing: &'static str, source: rusqlite::Error) -> LedgerError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match source.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => LedgerError::damaged(path, doing, source.to_string()),
        _ => LedgerError::Sqlite { path: path.to_owned(), doing, source },
    }
}
