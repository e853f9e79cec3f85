//! Reads the settings again while the exporter runs. Invariant: one reload at a time; settings that are refused change
//! nothing, and those that are good take effect as a whole, but for what takes a restart.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::AppError;
use super::fleet::{Fleet, Ways, scope_ids};
use crate::clock::Clock;
use crate::config::{Config, ConfigErrors, Reading};
use crate::logging::Logging;
use crate::metrics::{Exposition, OwnMetrics};
use crate::scheduler::Scheduler;
use crate::server::{ConfigStatus, Lifecycle, Reloaded};

/// Requests for a reload that may wait for their turn; others wait to wait.
const QUEUE_MAX: usize = 16;

/// Reads the settings: from the sources that they came from at the start.
type Read = Arc<dyn Fn() -> Result<Config, ConfigErrors> + Send + Sync>;

/// What it takes to read settings again.
pub struct Reload {
    read: Read,
    logging: Logging,
    hangup: Signal,
}

impl Reload {
    /// Has them read by `read`. SIGHUP, which is caught from now on, asks for it, and so does a request if the settings
    /// allow it.
    ///
    /// # Errors
    /// Where the signal cannot be caught.
    pub fn new(
        logging: Logging,
        read: impl Fn() -> Result<Config, ConfigErrors> + Send + Sync + 'static,
    ) -> Result<Self, AppError> {
        let hangup = signal(SignalKind::hangup())
            .map_err(|source| AppError::System { doing: "catching signals", source })?;
        Ok(Self { read: Arc::new(read), logging, hangup })
    }
}

/// A request for a reload, and who is to be told.
type Wish = oneshot::Sender<Reloaded>;

/// Hands requests for a reload on.
pub(super) struct Wishes(mpsc::Sender<Wish>);

/// Requests for a reload, and what takes them.
pub(super) fn wishes() -> (Wishes, mpsc::Receiver<Wish>) {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    (Wishes(sender), receiver)
}

impl Lifecycle for Wishes {
    fn reload(&self) -> Pin<Box<dyn Future<Output = Reloaded> + Send + '_>> {
        Box::pin(async {
            let (tell, told) = oneshot::channel();
            if self.0.send(tell).await.is_err() {
                return Reloaded::Ending;
            }
            told.await.unwrap_or(Reloaded::Ending)
        })
    }
}

/// What follows the settings.
pub(super) struct Reloader {
    /// The settings in force.
    pub(super) running: Config,
    pub(super) reading: Reading<Result<Config, ConfigErrors>>,
    pub(super) finding: Reading<Result<Ways, AppError>>,
    pub(super) fleet: Fleet,
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) exposition: Arc<Exposition>,
    pub(super) own: Arc<OwnMetrics>,
    pub(super) backup_interval: watch::Sender<Option<Duration>>,
    pub(super) status: Arc<ArcSwap<ConfigStatus>>,
    pub(super) clock: Clock,
}

/// Settings that can be taken.
struct Good {
    config: Config,
    awaiting_restart: Vec<&'static str>,
    ways: Ways,
}

impl Reloader {
    /// Reads the settings again whenever that is asked for, until `stop`.
    pub(super) async fn run(
        mut self,
        mut reload: Reload,
        mut wishes: mpsc::Receiver<Wish>,
        stop: CancellationToken,
    ) {
        loop {
            let wish = tokio::select! {
                Some(wish) = wishes.recv() => Some(wish),
                Some(()) = reload.hangup.recv() => None,
                () = stop.cancelled() => return,
            };
            let asked_by = if wish.is_some() { "a request" } else { "SIGHUP" };
            tracing::info!(asked_by, "reading the settings again");
            let read = tokio::select! {
                read = self.read(&reload) => read,
                () = stop.cancelled() => return,
            };
            let outcome = match read {
                Ok(read) => Reloaded::Applied(self.apply(read, &reload.logging).await),
                Err(error) => Reloaded::Refused(self.refused(&error)),
            };
            // Whoever asked may have gone.
            let _ = wish.map(|wish| wish.send(outcome));
        }
    }

    /// All that can fail. Files may lie on a network: they are not read on a thread that serves others, nor on one that an end
    /// waits for.
    async fn read(&mut self, reload: &Reload) -> Result<Good, AppError> {
        let read = Arc::clone(&reload.read);
        let mut config = self.reading.read(move || read()).await??;
        let awaiting_restart = config.keep_what_takes_a_restart(&self.running);
        let ways = self.finding.read(self.fleet.ways(&config)).await??;
        Ok(Good { config, awaiting_restart, ways })
    }

    async fn apply(&mut self, Good { config, awaiting_restart, ways }: Good, logging: &Logging) -> String {
        self.follow(config, ways).await;
        let is_level_ours = logging.apply(self.running.log);
        self.applied(awaiting_restart, is_level_ours)
    }

    async fn follow(&mut self, config: Config, ways: Ways) {
        let settings = self.fleet.follow(&config, ways);
        self.exposition.reconfigure(config.exposition, config.pricing.clone(), scope_ids(&config));
        self.scheduler.apply(settings).await;
        self.backup_interval.send_replace(config.ledger.backup_interval);
        self.running = config;
    }

    /// Tells that settings are in force.
    fn applied(&self, awaiting_restart: Vec<&'static str>, is_level_ours: bool) -> String {
        let now = self.clock.now();
        self.own.config_loaded(now, awaiting_restart.len());
        let mut message = "the settings are in force\n".to_owned();
        if !awaiting_restart.is_empty() {
            let keys = awaiting_restart.join(", ");
            tracing::warn!(keys, "these settings were changed, and take effect after a restart only");
            message += &format!("after a restart only: {keys}\n");
        }
        if !is_level_ours {
            message += "RUST_LOG is set, and stands in the place of log.level\n";
        }
        self.status.store(Arc::new(ConfigStatus { loaded: now, refused: None, awaiting_restart }));
        tracing::info!("the settings are in force");
        message
    }

    /// Tells that settings were refused.
    fn refused(&self, error: &AppError) -> String {
        self.own.config_refused();
        let refused = Some(error.to_string());
        self.status.rcu(|status| ConfigStatus { refused: refused.clone(), ..ConfigStatus::clone(status) });
        tracing::error!(%error, "the settings were refused; those before them stay in force");
        format!("the settings were refused; those before them stay in force\n{error}\n")
    }
}
