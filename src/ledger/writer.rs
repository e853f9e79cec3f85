//! The one thread that writes. Invariant: a caller is answered after its change is on disk, or told that it is not.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use super::lock::Lock;
use super::store::Store;
use super::{LedgerError, LedgerSnapshot, seal};
use crate::journal::Journal;
use crate::priority;

/// Jobs that may wait for the writer. Each holds at most one page of sessions; a full queue slows the sweeps down.
const QUEUE_MAX: usize = 64;

/// Jobs that share one transaction, and so one wait for the disk.
const GROUP_MAX: usize = 64;

/// Is told how the ledger fares.
pub trait CommitObserver: Send + Sync {
    /// A transaction ended after `took`; `ok` is whether it reached the disk.
    fn on_commit(&self, took: Duration, ok: bool);
}

/// What a job hands back for after the commit: the answer to its caller.
type Answer = Box<dyn FnOnce(Result<(), &LedgerError>) + Send>;
/// A job runs inside a transaction, or is told by `None` that there is none.
type Job = Box<dyn FnOnce(Option<&mut Store>) -> Answer + Send>;

/// The sending side.
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        store: Store,
        lock: Lock,
        publish: watch::Sender<Arc<LedgerSnapshot>>,
        observer: Arc<dyn CommitObserver>,
    ) -> Result<Self, LedgerError> {
        let path = store.path.clone();
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let thread = thread::Builder::new()
            .name("ledger".into())
            .spawn(move || {
                priority::give_way();
                run(store, lock, queue, &publish, &*observer);
            })
            .map_err(|source| LedgerError::io(&path, "starting its writer", source))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Has the writer do `work` in a transaction and waits until that is on disk.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (tell, told) = oneshot::channel();
        let job: Job = Box::new(move |store| {
            let result = store.map(|store| store.attempt(work));
            Box::new(move |commit: Result<(), &LedgerError>| {
                let result = match (commit, result) {
                    (_, Some(Err(error))) => Err(error),
                    (Err(error), _) => Err(error.of_the_commit()),
                    (Ok(()), Some(result)) => result,
                    (Ok(()), None) => Err(LedgerError::Closed),
                };
                // A caller that was cancelled no longer listens.
                let _ = tell.send(result);
            })
        });
        let jobs = self.jobs.as_ref().ok_or(LedgerError::Closed)?;
        jobs.send(job).await.map_err(|_| LedgerError::Closed)?;
        told.await.map_err(|_| LedgerError::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The writer ends when no sender is left; waiting for it has the file closed when the ledger is gone.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(
    mut store: Store,
    lock: Lock,
    mut queue: mpsc::Receiver<Job>,
    publish: &watch::Sender<Arc<LedgerSnapshot>>,
    observer: &dyn CommitObserver,
) {
    let mut journal = Journal::default();
    while let Some(first) = queue.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX {
            let Ok(job) = queue.try_recv() else { break };
            group.push(job);
        }
        let started = Instant::now();
        let commits = store.commits;
        let (answers, committed) = transact(&mut store, group);
        if store.commits != commits {
            note(&store, &lock, &mut journal);
        }
        observer.on_commit(started.elapsed(), committed.is_ok());
        if committed.is_ok() && store.take_changed() {
            publish.send_replace(store.snapshot());
        }
        for answer in answers {
            answer(committed.as_ref().map(|_| ()));
        }
    }
    drop(store);
    drop(lock);
}

/// Notes the latest commit in the lock file.
fn note(store: &Store, lock: &Lock, journal: &mut Journal) {
    let (noted, now, path) = (lock.note(store.commits), Instant::now(), store.path.display());
    if let Err(error) = noted {
        if let Some(left_out) = journal.failed((), now) {
            tracing::warn!(%path, %error, left_out, "the commit could not be noted in the lock file");
        }
    } else if let Some(over) = journal.succeeded(now) {
        let lasted_seconds = over.lasted.as_secs_f64();
        tracing::info!(%path, lasted_seconds, "commits are noted in the lock file again");
    }
}

/// Runs the jobs in one transaction.
fn transact(store: &mut Store, group: Vec<Job>) -> (Vec<Answer>, Result<(), LedgerError>) {
    let before = store.totals.clone();
    let changes = store.connection.total_changes();
    if let Err(error) = store.execute("beginning a transaction", "BEGIN IMMEDIATE") {
        return (group.into_iter().map(|job| job(None)).collect(), Err(error));
    }
    let answers: Vec<Answer> = group.into_iter().map(|job| job(Some(store))).collect();
    let written = store.write_totals().and_then(|()| store.spill_places());
    let commits = store.commits + i64::from(store.connection.total_changes() != changes);
    let committed =
        written.and_then(|()| count(store, commits)).and_then(|()| store.execute("committing", "COMMIT"));
    if committed.is_ok() {
        store.commits = commits;
    } else {
        store.restore(before);
        store.take_changed();
        // Fails where SQLite has rolled back by itself, as it does when the disk is full.
        let _ = store.execute("rolling back", "ROLLBACK");
    }
    (answers, committed)
}

/// Writes the number of the open transaction, if it has changed anything.
fn count(store: &Store, commits: i64) -> Result<(), LedgerError> {
    // Where SQLite has rolled back by itself, this would be a transaction of its own.
    if commits == store.commits || store.connection.is_autocommit() {
        return Ok(());
    }
    seal::PROGRESS
        .put(&store.connection, [1, commits])
        .map_err(|source| store.error("counting the commit", source))
}
