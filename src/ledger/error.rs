//! What can go wrong with the ledger. Every message names the file and says what to do.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of the ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file or its directory cannot be used.
    #[error("ledger {}: {doing}: {source}; check the path, its permissions and the free space", path.display())]
    Io {
        /// The ledger file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process holds the ledger.
    #[error(
        "ledger {}: another exporter is using it; stop that one, or give this one its own ledger.path",
        path.display()
    )]
    InUse {
        /// The ledger file.
        path: PathBuf,
    },
    /// The file is not a ledger, or not whole.
    #[error(
        "ledger {}: {check} failed: {found}. Nothing was changed. `ledger verify` makes the checks again, `ledger \
         restore` puts {} or another copy in its place, or move the file away (with its -wal and -shm) to begin a new \
         ledger: its counters start over at a new baseline",
        path.display(),
        super::backup_path(path).display()
    )]
    Damaged {
        /// The ledger file.
        path: PathBuf,
        /// The check that failed.
        check: &'static str,
        /// What it found.
        found: String,
    },
    /// There is no file to read.
    #[error("ledger {}: there is no such file; name the ledger by --ledger.path or --config.file", path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file would be overwritten.
    #[error("{}: the file is there already, and nothing is overwritten; choose another name", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a later version.
    #[error(
        "ledger {}: it has schema version {found}, and this program knows up to {known}; run a version of the \
         exporter that is at least as new as the one that wrote it",
        path.display()
    )]
    TooNew {
        /// The ledger file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The latest version that this program knows.
        known: i64,
    },
    /// SQLite could not do what it was asked.
    #[error("ledger {}: {doing}: {source}", path.display())]
    Sqlite {
        /// The ledger file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: rusqlite::Error,
    },
    /// A total would leave the range of 64 bits.
    #[error(
        "ledger: the total of {subject} would leave the range of 64 bits; the observation was not counted"
    )]
    Overflow {
        /// Whose total.
        subject: String,
    },
    /// The transaction that carried this change did not reach the disk.
    #[error("ledger {}: the commit failed: {reason}; nothing of it was counted, the next sweep brings it again", path.display())]
    Commit {
        /// The ledger file.
        path: PathBuf,
        /// Why it failed.
        reason: String,
    },
    /// The change is about a gateway or workspace that the ledger does not hold: a defect of the caller.
    #[error("ledger: {doing}: its subject is not in the ledger")]
    Unknown {
        /// What was tried.
        doing: &'static str,
    },
    /// The writer thread is gone.
    #[error("ledger: its writer has ended")]
    Closed,
}

impl LedgerError {
    pub(super) fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), doing, source }
    }

    pub(super) fn too_new(path: &Path, found: i64) -> Self {
        Self::TooNew { path: path.to_owned(), found, known: super::schema::current_version() }
    }

    /// The same failure, told to each caller whose change was in the transaction that it ended.
    pub(super) fn of_the_commit(&self) -> Self {
        match self {
            Self::Sqlite { path, doing, source } => {
                Self::Commit { path: path.clone(), reason: format!("{doing}: {source}") }
            }
            Self::Commit { path, reason } => Self::Commit { path: path.clone(), reason: reason.clone() },
            other => Self::Commit { path: PathBuf::new(), reason: other.to_string() },
        }
    }

    pub(super) fn damaged(path: &Path, check: &'static str, found: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), check, found: found.into() }
    }
}
