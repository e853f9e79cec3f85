//! The connection and the totals in memory. Invariant: inside a transaction the two change together; a rollback takes
//! both back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::places::Places;
use super::unwritten::{Changes, Unwritten};
use super::{GatewayTotals, LedgerError, LedgerSnapshot};
use crate::model::{Baseline, GatewayId};

/// The open file. Owned by the writer thread.
pub(super) struct Store {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    /// For gateways that are new to the ledger.
    pub(super) baseline: Baseline,
    /// The totals, ahead of the disk while a transaction is open.
    pub(super) totals: LedgerSnapshot,
    /// `None` after a rollback, which may have taken back some of them.
    places: Option<Places>,
    unwritten: Unwritten,
    /// Transactions that changed something, as the file has it.
    pub(super) commits: i64,
    changed: bool,
}

impl Store {
    pub(super) fn new(
        path: &Path,
        connection: Connection,
        baseline: Baseline,
        totals: LedgerSnapshot,
        commits: i64,
    ) -> Self {
        connection.set_prepared_statement_cache_capacity(32);
        Self {
            path: path.to_owned(),
            connection,
            baseline,
            totals,
            places: None,
            unwritten: Unwritten::default(),
            commits,
            changed: false,
        }
    }

    /// The totals, to be published after a commit.
    pub(super) fn snapshot(&self) -> Arc<LedgerSnapshot> {
        Arc::new(self.totals.clone())
    }

    /// The list of the latest sessions, read anew where it was lost: to be put back when the work on it has succeeded.
    pub(super) fn take_places(&mut self) -> Result<Places, LedgerError> {
        match self.places.take() {
            Some(places) => Ok(places),
            None => Places::load(&self.connection).map_err(|source| self.error("listing sessions", source)),
        }
    }

    /// See [`Self::take_places`].
    pub(super) fn put_places(&mut self, places: Places) {
        self.places = Some(places);
    }

    /// Moves the latest sessions to the table when they are many; within the open transaction.
    pub(super) fn spill_places(&mut self) -> Result<(), LedgerError> {
        if self.connection.is_autocommit() {
            // SQLite has rolled back by itself.
            self.places = None;
        }
        let Some(mut places) = self.places.take() else { return Ok(()) };
        places.spill(&self.connection).map_err(|source| self.error("listing sessions", source))?;
        self.places = Some(places);
        Ok(())
    }

    /// Notes totals of a gateway that are to be written before the open transaction commits.
    pub(super) fn note_changes(&mut self, gateway_key: i64, changes: Changes) {
        self.unwritten.note(gateway_key, changes);
    }

    /// Writes them.
    pub(super) fn write_totals(&mut self) -> Result<(), LedgerError> {
        let unwritten = std::mem::take(&mut self.unwritten);
        // Where SQLite has rolled back by itself, this would be a transaction of its own.
        if self.connection.is_autocommit() {
            return Ok(());
        }
        unwritten.write(&self.connection, &self.totals).map_err(|source| self.error("writing totals", source))
    }

    /// Puts back the totals of before, and forgets what a rollback takes back.
    pub(super) fn restore(&mut self, totals: LedgerSnapshot) {
        self.totals = totals;
        self.places = None;
    }

    /// Notes that the open transaction changes something that readers see.
    pub(super) fn mark_changed(&mut self) {
        self.changed = true;
    }

    /// Whether the last transaction changed something that readers see; asking forgets it.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Runs `work` all or nothing within the open transaction: a failure takes back what it did, on disk and in memory.
    pub(super) fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        if self.connection.is_autocommit() {
            // A full disk has SQLite roll back the whole transaction; a savepoint now would commit on its own.
            return Err(LedgerError::Commit {
                path: self.path.clone(),
                reason: "the transaction was rolled back by an earlier failure in it".into(),
            });
        }
        let before = self.totals.clone();
        self.execute("opening a savepoint", "SAVEPOINT job")?;
        match work(self) {
            Ok(value) => {
                self.execute("closing a savepoint", "RELEASE job")?;
                Ok(value)
            }
            Err(error) => {
                self.restore(before);
                // Fails where the whole transaction is gone already; the first error is the one to tell.
                let _ = self.execute("taking back a change", "ROLLBACK TO job; RELEASE job");
                Err(error)
            }
        }
    }

    /// Changes the totals of one gateway, on disk and in memory. The outer result is SQLite's, the inner one the work's
    /// own; either failure leaves the totals in memory as they were.
    pub(super) fn edit_gateway<T>(
        &mut self,
        doing: &'static str,
        which: impl Fn(&GatewayId, &GatewayTotals) -> bool,
        work: impl FnOnce(&Connection, &GatewayId, &mut GatewayTotals) -> rusqlite::Result<Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        let found = self.totals.gateways.iter_mut().find(|(id, gateway)| which(id, gateway));
        let (id, slot) = found.ok_or(LedgerError::Unknown { doing })?;
        let mut gateway = GatewayTotals::clone(slot);
        match work(&self.connection, id, &mut gateway) {
            Ok(Ok(value)) => {
                *slot = Arc::new(gateway);
                Ok(value)
            }
            Ok(Err(error)) => Err(error),
            Err(source) => Err(self.error(doing, source)),
        }
    }

    /// Runs statements that take no parameters.
    pub(super) fn execute(&self, doing: &'static str, sql: &str) -> Result<(), LedgerError> {
        self.connection.execute_batch(sql).map_err(|source| self.error(doing, source))
    }

    /// Names the file in a SQLite error.
    pub(super) fn error(&self, doing: &'static str, source: rusqlite::Error) -> LedgerError {
        LedgerError::Sqlite { path: self.path.clone(), doing, source }
    }
}
