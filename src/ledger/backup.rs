//! Copies of the ledger, and a copy in its place. Invariant: a file that is there is replaced only by a whole one that
//! was checked, in one step; a damaged ledger is kept under another name.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use tokio_util::sync::CancellationToken;

use super::check::Checked;
use super::lock::Lock;
use super::open::beside;
use super::{LedgerError, check, open, reader, schema, seal};
use crate::clock::UnixMillis;

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The copy that was taken.
    pub copy: PathBuf,
    /// Where the ledger that stood there is kept; `None` where there was none.
    pub kept: Option<PathBuf>,
    /// What the ledger holds now.
    pub checked: Checked,
}

/// Where the automatic backup of a ledger is.
pub fn backup_path(path: &Path) -> PathBuf {
    beside(path, ".backup")
}

/// Replaces the automatic backup by a new copy, while the ledger may be in use. Ends early when `stop` says so.
///
/// # Errors
/// Where the copy cannot be made, is not sound, or was stopped; then the one before is kept.
pub fn back_up_beside(path: &Path, stop: &CancellationToken) -> Result<Checked, LedgerError> {
    write_copy(path, &backup_path(path), stop)
}

/// Writes a copy to a new file, while the ledger may be in use.
///
/// # Errors
/// Where the file is there already, the copy cannot be made, or is not sound.
pub fn back_up(path: &Path, target: &Path) -> Result<Checked, LedgerError> {
    if fs::symlink_metadata(target).is_ok() {
        return Err(LedgerError::Exists { path: target.to_owned() });
    }
    write_copy(path, target, &CancellationToken::new())
}

/// Puts a copy in the place of the ledger; without a name, the automatic backup. The gateways are not shown before
/// each was swept once more, so that no counter is seen falling.
///
/// # Errors
/// Where a daemon uses the ledger, the copy is not sound, or a file cannot be written; the ledger is as it was then.
pub fn restore(path: &Path, copy: Option<&Path>, now: UnixMillis) -> Result<Restored, LedgerError> {
    let copy = copy.map_or_else(|| backup_path(path), Path::to_owned);
    let lock = Lock::take(path)?;
    let fresh = beside(path, ".restoring");
    let prepared = prepare(&copy, &fresh);
    if prepared.is_err() {
        remove(&fresh);
    }
    let checked = prepared?;
    let kept = set_aside(path, now)?;
    fs::rename(&fresh, path)
        .and_then(|()| sync_directory(path))
        .map_err(|source| LedgerError::io(path, "putting the copy in its place", source))?;
    lock.note(i64::try_from(checked.commits).unwrap_or(i64::MAX))
        .map_err(|source| LedgerError::io(path, "noting its commits", source))?;
    Ok(Restored { copy, kept, checked })
}

fn write_copy(path: &Path, target: &Path, stop: &CancellationToken) -> Result<Checked, LedgerError> {
    let mut connection = reader::connect(path)?;
    reader::end_with(&mut connection, stop).map_err(|source| open::sqlite(path, "setting it up", source))?;
    let part = beside(target, ".part");
    let whole = vacuum_into(path, &connection, &part).and_then(|()| reader::verify_until(&part, stop));
    if whole.is_err() {
        remove(&part);
    }
    let checked = whole?;
    fs::rename(&part, target)
        .and_then(|()| sync_directory(target))
        .map_err(|source| LedgerError::io(target, "putting the copy in its place", source))?;
    Ok(checked)
}

/// Copies the file as one transaction sees it, without a wait for the writer on either side.
pub(super) fn vacuum_into(path: &Path, connection: &Connection, target: &Path) -> Result<(), LedgerError> {
    remove(target);
    // SQLite would take `file:…` for a URL.
    let absolute =
        std::path::absolute(target).map_err(|source| LedgerError::io(target, "copying to it", source))?;
    let Some(name) = absolute.to_str() else {
        let source = io::Error::new(io::ErrorKind::InvalidFilename, "the name is not Unicode");
        return Err(LedgerError::io(target, "copying to it", source));
    };
    connection.execute("VACUUM INTO ?", [name]).map_err(|source| open::sqlite(path, "copying it", source))?;
    File::open(target)
        .and_then(|file| file.sync_all())
        .map_err(|source| LedgerError::io(target, "copying to it", source))
}

/// Makes a sound ledger of a copy, for the place of another. Messages name the copy.
fn prepare(copy: &Path, fresh: &Path) -> Result<Checked, LedgerError> {
    let source = reader::open_read_only(copy)?;
    check::structure(copy, &source)?;
    vacuum_into(copy, &source, fresh)?;
    let ready = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(fresh, flags)?;
        seal::register(&connection)?;
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        schema::migrate(&mut connection, version)?;
        Ok(connection)
    };
    let mut connection = ready().map_err(|source| open::sqlite(copy, "bringing it up to date", source))?;
    check::content(copy, &connection, None, None)?;
    let mark = |connection: &mut Connection| -> rusqlite::Result<()> {
        let transaction = connection.transaction()?;
        // What was released since the copy would fall back to zero if it were held again.
        transaction.execute_batch(
            "UPDATE gateway SET resweep = 1, history_order = NULL; UPDATE series SET held = 0",
        )?;
        seal::GATEWAY.reseal(&transaction)?;
        seal::SERIES.reseal(&transaction)?;
        transaction.commit()
    };
    mark(&mut connection).map_err(|source| open::sqlite(copy, "marking its gateways", source))?;
    check::content(copy, &connection, None, None)
}

/// Gives the ledger another name; the place itself stays taken, so that a daemon does not begin anew in between.
fn set_aside(path: &Path, now: UnixMillis) -> Result<Option<PathBuf>, LedgerError> {
    if !path.exists() {
        return Ok(None);
    }
    let time = jiff::Timestamp::from_millisecond(now).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ");
    let kept = beside(path, &format!(".damaged-{time}"));
    if kept.exists() {
        return Err(LedgerError::Exists { path: kept });
    }
    let link = || fs::hard_link(path, &kept).or_else(|_| fs::copy(path, &kept).map(drop));
    let logs = || {
        ["-wal", "-shm", "-journal"].into_iter().try_for_each(|suffix| {
            match fs::rename(beside(path, suffix), beside(&kept, suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })
    };
    link()
        .and_then(|()| logs())
        .map_err(|source| LedgerError::io(path, "keeping it under another name", source))?;
    Ok(Some(kept))
}

/// Removes what is left of a copy; that it is not there is as good.
fn remove(path: &Path) {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let _ = fs::remove_file(beside(path, suffix));
    }
}

/// Has a new name in a directory survive a power cut.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
