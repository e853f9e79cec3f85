//! What polls, rendering and server have in common, and each of them made of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::AppError;
use super::backup::Backups;
use super::bridge::{LedgerBridge, ServerBridge};
use super::content::Content;
use super::fleet::scope_ids;
use super::process::Process;
use super::publish::Publisher;
use super::room::Room;
use super::series::Explainer;
use super::snapshot::{Demand, Snapshot};
use super::vitals::Vitals;
use crate::clock::Clock;
use crate::config::Config;
use crate::journal::Journal;
use crate::ledger::{Ledger, Options};
use crate::metrics::{Exposition, Memory, OwnMetrics};
use crate::scheduler::{FirstPass, Surroundings};
use crate::server::{ConfigStatus, Lifecycle, Readiness, Server};

/// See the module.
pub(super) struct Common {
    pub(super) own: Arc<OwnMetrics>,
    pub(super) clock: Clock,
    pub(super) ledger: Ledger,
    pub(super) exposition: Arc<Exposition>,
    page: Arc<ArcSwap<Snapshot>>,
    demand: Arc<Demand>,
    vitals: Arc<Vitals>,
    first_pass: FirstPass,
    pub(super) readiness: Readiness,
    /// How the settings were read.
    pub(super) status: Arc<ArcSwap<ConfigStatus>>,
}

impl Common {
    /// Opens the ledger.
    pub(super) fn open(
        config: &Config,
        own: Arc<OwnMetrics>,
        vitals: Arc<Vitals>,
        clock: Clock,
    ) -> Result<Self, AppError> {
        let options = Options { path: config.ledger.path.clone(), baseline: config.ledger.baseline };
        let observer =
            LedgerBridge { own: Arc::clone(&own), vitals: Arc::clone(&vitals), clock: clock.clone() };
        let ledger = Ledger::open(&options, Arc::new(observer))?;
        let loaded = ConfigStatus { loaded: clock.now(), ..ConfigStatus::default() };
        Ok(Self {
            own,
            clock,
            ledger,
            exposition: Arc::new(Exposition::new(
                config.exposition,
                config.pricing.clone(),
                scope_ids(config),
            )),
            page: Arc::new(ArcSwap::from_pointee(Snapshot::default())),
            demand: Arc::new(Demand::new(Instant::now())),
            vitals,
            first_pass: FirstPass::default(),
            readiness: Readiness::default(),
            status: Arc::new(ArcSwap::from_pointee(loaded)),
        })
    }

    pub(super) fn publisher(&self) -> Publisher {
        Publisher {
            exposition: Arc::clone(&self.exposition),
            ledger: self.ledger.clone(),
            page: Arc::clone(&self.page),
            demand: Arc::clone(&self.demand),
            clock: self.clock.clone(),
            first_pass: self.first_pass.clone(),
            readiness: self.readiness.clone(),
            releases: Journal::default(),
            read: Vec::new(),
        }
    }

    pub(super) fn room(&self) -> Room {
        Room { ledger: self.ledger.clone(), own: Arc::clone(&self.own) }
    }

    pub(super) fn server(
        &self,
        config: &Config,
        lifecycle: Option<Arc<dyn Lifecycle>>,
        backup_interval: watch::Receiver<Option<Duration>>,
    ) -> Server {
        let content = Content {
            page: Arc::clone(&self.page),
            demand: Arc::clone(&self.demand),
            exposition: Arc::clone(&self.exposition),
            own: Arc::clone(&self.own),
            process: Arc::new(Process::new(&self.clock)),
            memory: Memory::default(),
            readiness: self.readiness.clone(),
            config: Arc::clone(&self.status),
            clock: self.clock.clone(),
            vitals: Arc::clone(&self.vitals),
            explainer: Explainer::new(config.ledger.path.clone(), Arc::clone(&self.exposition)),
            backup_interval,
        };
        Server {
            content: Arc::new(content),
            readiness: self.readiness.clone(),
            lifecycle,
            telemetry_path: config.web.telemetry_path.clone(),
        }
    }

    pub(super) fn server_observer(&self) -> Arc<ServerBridge> {
        Arc::new(ServerBridge { own: Arc::clone(&self.own), clock: self.clock.clone() })
    }

    pub(super) fn surroundings(&self) -> Surroundings {
        Surroundings {
            ledger: self.ledger.clone(),
            exposition: Arc::clone(&self.exposition),
            own: Arc::clone(&self.own),
            clock: self.clock.clone(),
            first_pass: self.first_pass.clone(),
        }
    }

    pub(super) fn backups(&self, config: &Config, interval: watch::Receiver<Option<Duration>>) -> Backups {
        Backups {
            path: config.ledger.path.clone(),
            interval,
            own: Arc::clone(&self.own),
            vitals: Arc::clone(&self.vitals),
            clock: self.clock.clone(),
            first_pass: self.first_pass.subscribe(),
        }
    }
}
