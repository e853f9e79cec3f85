//! Copies the ledger now and then. Invariant: no copy waits for the ledger's writer, and none holds it up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::vitals::Vitals;
use crate::clock::{Clock, UnixMillis, millis};
use crate::ledger::{self, Checked, LedgerError};
use crate::metrics::OwnMetrics;

/// The longest wait after a failure, and between two looks at the clock.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// What the copying needs.
pub(super) struct Backups {
    pub(super) path: PathBuf,
    /// `None` = none are made.
    pub(super) interval: watch::Receiver<Option<Duration>>,
    pub(super) own: Arc<OwnMetrics>,
    pub(super) vitals: Arc<Vitals>,
    pub(super) clock: Clock,
    /// Targets without a first sweep.
    pub(super) first_pass: watch::Receiver<usize>,
}

impl Backups {
    /// Copies the ledger whenever the latest copy is older than the interval, from the end of the first pass until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut latest = self.latest();
        self.own.ledger.backup(latest.unwrap_or(0));
        // A copy of a ledger that has counted nothing yet would restore nothing.
        let swept = stop.run_until_cancelled(self.first_pass.wait_for(|waiting| *waiting == 0));
        if swept.await.is_none() {
            return;
        }
        loop {
            let Some(interval) = *self.interval.borrow_and_update() else {
                match stop.run_until_cancelled(self.interval.changed()).await {
                    Some(Ok(())) => continue,
                    // Nobody is left to change it.
                    Some(Err(_)) | None => return,
                }
            };
            // A copy from the future is of a clock that was wrong.
            let now = self.clock.now();
            let age = latest.filter(|latest| *latest <= now).map(|latest| now.saturating_sub(latest));
            let due = age.map_or(0, |age| millis(interval).saturating_sub(age));
            let mut wait = Duration::from_millis(u64::try_from(due).unwrap_or(0)).min(PATIENCE);
            if due <= 0 {
                let outcome = copy(self.path.clone(), stop.clone()).await;
                if stop.is_cancelled() {
                    return;
                }
                let path = ledger::backup_path(&self.path);
                match outcome {
                    Ok(Checked { sessions, .. }) => {
                        latest = Some(self.clock.now());
                        self.own.ledger.backup(self.clock.now());
                        self.vitals.backup(self.clock.now(), Ok(()));
                        tracing::info!(path = %path.display(), sessions, "copied the ledger");
                        wait = Duration::ZERO;
                    }
                    Err(error) => {
                        self.own.ledger.backup_failed();
                        self.vitals.backup(self.clock.now(), Err(error.to_string()));
                        tracing::warn!(%error, "the ledger was not copied to {}", path.display());
                        wait = interval.min(PATIENCE);
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = self.interval.changed() => if changed.is_err() { return },
                () = stop.cancelled() => return,
            }
        }
    }

    /// When the copy that is there was made.
    fn latest(&self) -> Option<UnixMillis> {
        let found = std::fs::metadata(ledger::backup_path(&self.path)).ok().filter(|found| found.is_file());
        let modified = found?.modified().ok()?;
        Some(jiff::Timestamp::try_from(modified).ok()?.as_millisecond())
    }
}

/// Copies on a thread of its own until `stop`. The end of the process waits for it: the last to close the ledger must be
/// its writer, or SQLite leaves the log beside the file.
async fn copy(path: PathBuf, stop: CancellationToken) -> Result<Checked, LedgerError> {
    let (tell, told) = oneshot::channel();
    let work = move || drop(tell.send(ledger::back_up_beside(&path, &stop)));
    match std::thread::Builder::new().name("backup".into()).spawn(work) {
        Ok(_) => told.await.unwrap_or(Err(LedgerError::Closed)),
        Err(_) => Err(LedgerError::Closed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::common::Common;
    use crate::app::exporter::tests::settings;
    use crate::ledger::Discovered;
    use crate::metrics::tests::{gateway, session};

    #[tokio::test]
    async fn an_end_amid_a_copy_leaves_the_ledger_as_one_file_and_nothing_of_the_copy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.db");
        let own = Arc::new(OwnMetrics::new([].into_iter(), &[]).unwrap());
        let config = settings(directory.path());
        let common = Common::open(&config, own, Arc::new(Vitals::new(0)), Clock::System).unwrap();
        let found = Discovered { gateway: gateway(), created: None, watched_since: 0 };
        let pass = common.ledger.begin_pass(found, 1).await.unwrap();
        // As many as are not copied and checked at once.
        let sessions = (0..20_000).map(|n| session(&format!("s{n}"), "root_queue", n)).collect();
        common.ledger.apply_sessions(pass, sessions).await.unwrap();

        let (_interval, interval) = watch::channel(Some(Duration::from_secs(3_600)));
        let stop = CancellationToken::new();
        let running = tokio::spawn(common.backups(&config, interval).run(stop.clone()));
        let [part, whole] =
            ["ledger.db.backup.part", "ledger.db.backup"].map(|name| directory.path().join(name));
        while !part.exists() && !whole.exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
        running.await.unwrap();
        drop(common);
        let names = || {
            let files = std::fs::read_dir(directory.path()).unwrap();
            let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
            // Where the stop came late, that copy was whole by then.
            let mut names: Vec<_> = names.filter(|name| name != "ledger.db.backup").collect();
            names.sort();
            names
        };
        assert_eq!(names(), ["exporter.yaml", "ledger.db", "ledger.db-lock"]);
        assert_eq!(ledger::inspect(&path).unwrap().totals.sessions, 20_000);
        let told = ledger::back_up_beside(&path, &stop).unwrap_err().to_string();
        assert!(told.ends_with("copying it: interrupted"), "{told}");
        assert!(!names().iter().any(|name| name.contains("backup")), "{:?}", names());
    }
}
