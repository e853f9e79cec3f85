//! The exporter, running.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::AppError;
use super::backup::Backups;
use super::bridge::LedgerBridge;
use super::content::{Content, Page, rfc3339};
use super::fleet::{Fleet, scope_ids};
use super::publish::Publisher;
use super::reload::{self, Reload, Reloader};
use crate::api::wire::malformed_names;
use crate::clock::Clock;
use crate::config::Config;
use crate::journal::Journal;
use crate::ledger::{Ledger, Options};
use crate::metrics::{Exposition, OwnMetrics};
use crate::scheduler::{FirstPass, Scheduler, Surroundings};
use crate::server::{self, ConfigStatus, Lifecycle, Readiness, Server};

/// A running exporter.
pub struct Exporter {
    address: SocketAddr,
    readiness: Readiness,
    scheduler: Arc<Scheduler>,
    ledger: Ledger,
    /// Ends the reading of settings.
    stop_reloads: CancellationToken,
    reloads: Option<JoinHandle<()>>,
    /// Ends the server and the rendering.
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Exporter {
    /// Opens the ledger, listens, and begins to poll. `environment` is where keys of the default chain are looked up;
    /// without a `reload`, the settings stay what they are.
    ///
    /// # Errors
    /// Where one of these cannot be done; nothing runs then.
    pub async fn start(
        config: Config,
        environment: Vec<(String, String)>,
        reload: Option<Reload>,
    ) -> Result<Self, AppError> {
        let own = Arc::new(OwnMetrics::new(malformed_names(), &scope_ids(&config))?);
        let clock = Clock::System;
        own.config_loaded(clock.now(), 0);
        let mut fleet = Fleet::new(Arc::clone(&own), clock.clone(), environment);
        let ways = fleet.ways(&config)?;
        let common = Common::open(&config, own, clock)?;
        let mut publisher = common.publisher();
        publisher.publish().await;

        let listener = server::bind(&config.web.listen_address, "--web.listen-address").await?;
        let address = listener
            .local_addr()
            .map_err(|source| AppError::System { doing: "reading the address listened on", source })?;
        let (wishes, asked) = reload::wishes();
        let is_enabled = config.web.enable_lifecycle && reload.is_some();
        let lifecycle = is_enabled.then(|| Arc::new(wishes) as Arc<dyn Lifecycle>);
        let server = common.server(&config, lifecycle);
        let settings = fleet.follow(&config, ways);
        let scheduler = Arc::new(Scheduler::start(common.surroundings(), settings));
        let (backup_interval, interval) = watch::channel(config.ledger.backup_interval);
        let backups = common.backups(&config, interval);
        let stop = CancellationToken::new();
        let tasks = vec![
            tokio::spawn(server.run(listener, stop.clone())),
            tokio::spawn(publisher.run(stop.clone())),
            tokio::spawn(backups.run(stop.clone())),
        ];
        let Common { own, clock, ledger, exposition, readiness, status, .. } = common;
        let scheduled = Arc::clone(&scheduler);
        let reloader = Reloader {
            running: config,
            fleet,
            scheduler: scheduled,
            exposition,
            own,
            backup_interval,
            status,
            clock,
        };
        let stop_reloads = CancellationToken::new();
        let reloads = reload.map(|reload| tokio::spawn(reloader.run(reload, asked, stop_reloads.clone())));
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
        Ok(Self { address, readiness, scheduler, ledger, stop_reloads, reloads, stop, tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Drains: not ready any more, polls end where they are, answers under way end, the ledger is closed.
    pub async fn stop(self) {
        self.readiness.drain();
        self.stop_reloads.cancel();
        if let Some(reloads) = self.reloads {
            told(reloads.await);
        }
        self.scheduler.stop().await;
        self.stop.cancel();
        for task in self.tasks {
            told(task.await);
        }
        // The last handle: waits for the writer, which is done within one transaction.
        drop((self.scheduler, self.ledger));
        tracing::info!("ended");
    }
}

/// What polls, rendering and server have in common.
struct Common {
    own: Arc<OwnMetrics>,
    clock: Clock,
    ledger: Ledger,
    exposition: Arc<Exposition>,
    page: Arc<ArcSwap<Page>>,
    first_pass: FirstPass,
    readiness: Readiness,
    /// How the settings were read.
    status: Arc<ArcSwap<ConfigStatus>>,
}

impl Common {
    fn open(config: &Config, own: Arc<OwnMetrics>, clock: Clock) -> Result<Self, AppError> {
        let options = Options { path: config.ledger.path.clone(), baseline: config.ledger.baseline };
        let ledger = Ledger::open(&options, Arc::new(LedgerBridge(Arc::clone(&own))))?;
        let loaded = ConfigStatus { loaded: rfc3339(clock.now()), ..ConfigStatus::default() };
        Ok(Self {
            own,
            clock,
            ledger,
            exposition: Arc::new(Exposition::new(config.exposition, scope_ids(config))),
            page: Arc::new(ArcSwap::from_pointee(Page::default())),
            first_pass: FirstPass::default(),
            readiness: Readiness::default(),
            status: Arc::new(ArcSwap::from_pointee(loaded)),
        })
    }

    fn publisher(&self) -> Publisher {
        Publisher {
            exposition: Arc::clone(&self.exposition),
            ledger: self.ledger.clone(),
            page: Arc::clone(&self.page),
            clock: self.clock.clone(),
            first_pass: self.first_pass.clone(),
            readiness: self.readiness.clone(),
            releases: Journal::default(),
        }
    }

    fn server(&self, config: &Config, lifecycle: Option<Arc<dyn Lifecycle>>) -> Server {
        let content = Content {
            page: Arc::clone(&self.page),
            exposition: Arc::clone(&self.exposition),
            own: Arc::clone(&self.own),
            readiness: self.readiness.clone(),
            config: Arc::clone(&self.status),
            clock: self.clock.clone(),
        };
        Server {
            content: Arc::new(content),
            readiness: self.readiness.clone(),
            lifecycle,
            telemetry_path: config.web.telemetry_path.clone(),
            max_connections: config.web.max_connections,
        }
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            ledger: self.ledger.clone(),
            exposition: Arc::clone(&self.exposition),
            own: Arc::clone(&self.own),
            clock: self.clock.clone(),
            first_pass: self.first_pass.clone(),
        }
    }

    fn backups(&self, config: &Config, interval: watch::Receiver<Option<Duration>>) -> Backups {
        Backups {
            path: config.ledger.path.clone(),
            interval,
            own: Arc::clone(&self.own),
            clock: self.clock.clone(),
            first_pass: self.first_pass.subscribe(),
        }
    }
}

fn told(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a task ended badly");
    }
}
