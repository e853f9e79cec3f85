//! The durable usage ledger: a SQLite file that holds, for every Livy session, the highest figures ever observed, and
//! the totals that follow from them.
//!
//! Invariant: observations and the totals that they change commit in one transaction, and nothing is published before
//! that commit is on disk. A counter is the sum over sessions of the highest value ever observed, in integers, so that
//! the order of pages, repeats and restarts have no influence on it.

mod backup;
mod check;
mod cluster;
mod error;
mod explain;
mod gateway;
mod histogram;
mod load;
mod lock;
mod memory;
mod open;
mod places;
mod prune;
mod reader;
mod row;
mod schema;
mod seal;
mod session;
mod snapshot;
mod store;
mod take_over;
mod unwritten;
mod writer;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

pub use backup::{Restored, back_up, back_up_beside, backup_path, restore};
pub use check::Checked;
pub use cluster::ClusterSweep;
pub use error::LedgerError;
pub use explain::{Counter, Explanation, SessionShare, Share, explain};
pub use gateway::{Discovered, Pass};
pub use histogram::{Exemplar, Histogram};
pub use memory::Remembered;
pub use reader::{Inspection, inspect, verify};
pub use session::Applied;
pub use snapshot::{GatewayTotals, LedgerSnapshot, SeriesKey, SeriesTotals, WorkspaceTotals};
pub use writer::CommitObserver;

use crate::clock::UnixMillis;
use crate::model::{
    Baseline, GatewayId, HistoryOrder, ScopeId, SessionCounts, SessionObservation, WorkspaceId,
};
use writer::Writer;

/// How a ledger is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The SQLite file; created with its directory where it is absent.
    pub path: PathBuf,
    /// Applies to gateways that the ledger does not know yet; a known one keeps what it began with.
    pub baseline: Baseline,
}

/// A handle on the open ledger; clones share one writer thread, which ends and closes the file with the last of them.
#[derive(Clone)]
pub struct Ledger {
    path: PathBuf,
    writer: Arc<Writer>,
    snapshot: watch::Receiver<Arc<LedgerSnapshot>>,
}

impl Ledger {
    /// Opens the ledger, creating it where there is none, and checks all of it before anything is counted on top.
    ///
    /// # Errors
    /// Where the file cannot be opened or created, is in use by another exporter, is not a ledger, is damaged, or was
    /// written by a later version. It is left as it is in each case.
    pub fn open(options: &Options, observer: Arc<dyn CommitObserver>) -> Result<Self, LedgerError> {
        let (store, lock) = open::open(options)?;
        let (publish, snapshot) = watch::channel(store.snapshot());
        let writer = Writer::start(store, lock, publish, observer)?;
        Ok(Self { path: options.path.clone(), writer: Arc::new(writer), snapshot })
    }

    /// The totals as last committed.
    pub fn snapshot(&self) -> Arc<LedgerSnapshot> {
        self.snapshot.borrow().clone()
    }

    /// A receiver that is told of every commit that changed a total.
    pub fn subscribe(&self) -> watch::Receiver<Arc<LedgerSnapshot>> {
        self.snapshot.clone()
    }

    /// Size of the file and its log, in bytes; 0 for what cannot be looked at.
    pub fn size_bytes(&self) -> u64 {
        let size = |path| std::fs::metadata(path).map_or(0, |found| found.len());
        size(self.path.clone()) + size(open::beside(&self.path, "-wal"))
    }

    /// Room on the file system that the ledger is on: bytes that this process may still write, and all of them; `None`
    /// where it cannot be looked at.
    pub fn room_bytes(&self) -> Option<(u64, u64)> {
        let found = rustix::fs::statvfs(&self.path).ok()?;
        Some((found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize)))
    }

    /// Notes the moment from which an account's region is watched, and returns it: the first call's `now`, for good.
    ///
    /// # Errors
    /// Where the commit fails.
    pub async fn watch_scope(&self, scope: ScopeId, now: UnixMillis) -> Result<UnixMillis, LedgerError> {
        self.writer.call(move |store| gateway::watch_scope(store, &scope, now)).await
    }

    /// Has these workspaces counted under the accounts that they name from now on: what other accounts have counted of
    /// them goes on there, but for gateways that the account has counted itself. Gives those other accounts, each with
    /// the workspace. Passes that were begun before go on, and count under the new account.
    ///
    /// # Errors
    /// Where the commit fails; then all stays where it was.
    pub async fn take_over(&self, workspaces: Vec<WorkspaceId>) -> Result<Vec<WorkspaceId>, LedgerError> {
        self.writer.call(move |store| take_over::take_over(store, &workspaces)).await
    }

    /// Starts a new pass over a gateway's history, registering the gateway where it is new.
    ///
    /// # Errors
    /// Where the commit fails.
    pub async fn begin_pass(&self, found: Discovered, now: UnixMillis) -> Result<Pass, LedgerError> {
        self.writer.call(move |store| gateway::begin_pass(store, &found, now)).await
    }

    /// Takes the sessions of one page: their highest figures, the totals, and that this pass has seen them; hands them
    /// back with what became of them.
    ///
    /// # Errors
    /// Where a total leaves 64 bits or the commit fails; then none of the page is counted.
    pub async fn apply_sessions(
        &self,
        pass: Pass,
        sessions: Vec<SessionObservation>,
    ) -> Result<Applied, LedgerError> {
        self.writer.call(move |store| session::apply(store, pass, sessions)).await
    }

    /// Ends a pass that has seen the whole history, and proved its order if it has one; the first such pass makes the
    /// gateway's counters appear.
    ///
    /// # Errors
    /// Where the commit fails.
    pub async fn complete_pass(
        &self,
        pass: Pass,
        order: Option<HistoryOrder>,
        now: UnixMillis,
    ) -> Result<(), LedgerError> {
        self.writer.call(move |store| gateway::complete_pass(store, pass, order, now)).await
    }

    /// Lets go of the sessions of a pass' gateway that ended before a moment and that its latest complete pass no longer
    /// saw; the totals keep them. Bounded transactions, between which others come. Returns how many.
    ///
    /// # Errors
    /// Where a commit fails; the transactions before it hold.
    pub async fn prune(&self, pass: Pass, before: UnixMillis) -> Result<u64, LedgerError> {
        let (mut pruned, mut from) = (0, Some(prune::START));
        while let Some(place) = from {
            let batch = self.writer.call(move |store| prune::prune(store, pass, before, place)).await?;
            pruned += batch.pruned;
            from = batch.next;
        }
        Ok(pruned)
    }

    /// Sessions that this pass has not seen, though they were there: at the latest complete pass or after, or, if
    /// `since` is given, at that pass or after. Those created before `oldest` may have left with their age and do not
    /// count.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub async fn unseen(
        &self,
        pass: Pass,
        since: Option<Pass>,
        oldest: Option<UnixMillis>,
    ) -> Result<u64, LedgerError> {
        self.writer.call(move |store| gateway::unseen(store, pass, since, oldest)).await
    }

    /// Sessions that are listed, by queue and state: those seen at the latest complete pass or after, and created at
    /// `oldest` or after.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub async fn count_listed(&self, pass: Pass, oldest: UnixMillis) -> Result<SessionCounts, LedgerError> {
        self.writer.call(move |store| memory::count_listed(store, pass, oldest)).await
    }

    /// What the ledger remembers of a history that was swept before; `None` where it was not, or has no proven order.
    /// Sessions that ended before `settled_before` are not looked at one by one.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub async fn remember(
        &self,
        gateway: GatewayId,
        settled_before: UnixMillis,
    ) -> Result<Option<Remembered>, LedgerError> {
        self.writer.call(move |store| memory::remember(store, &gateway, settled_before)).await
    }

    /// Takes the session clusters of a sweep and counts their changes of state.
    ///
    /// # Errors
    /// Where the commit fails; then no change is counted.
    pub async fn apply_clusters(&self, sweep: ClusterSweep) -> Result<(), LedgerError> {
        self.writer.call(move |store| cluster::apply(store, &sweep)).await
    }

    /// Lets series that were held at zero show their value from now on.
    ///
    /// # Errors
    /// Where the commit fails; then they stay held.
    pub async fn release(&self, series: Vec<SeriesKey>) -> Result<(), LedgerError> {
        self.writer.call(move |store| gateway::release(store, &series)).await
    }
}
