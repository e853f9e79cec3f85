//! The exporter, running.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::AppError;
use super::common::Common;
use super::descriptors;
use super::fleet::{Fleet, scope_ids};
use super::reload::{self, Reload, Reloader};
use super::serving::ServingThreads;
use super::vitals::Vitals;
use crate::api::wire::malformed_names;
use crate::build_info;
use crate::clock::Clock;
use crate::config::{self, Config, Reading};
use crate::ledger::Ledger;
use crate::metrics::OwnMetrics;
use crate::scheduler::Scheduler;
use crate::server::{self, BindError, Front, Handed, Lifecycle, Listener, Readiness, WebConfig};

/// A running exporter.
pub struct Exporter {
    addresses: Vec<SocketAddr>,
    readiness: Readiness,
    scheduler: Arc<Scheduler>,
    ledger: Ledger,
    /// Ends the reading of settings.
    stop_reloads: CancellationToken,
    reloads: JoinSet<()>,
    /// Ends the server and the rendering.
    stop: CancellationToken,
    tasks: JoinSet<()>,
    drain_delay: Duration,
    serving: ServingThreads,
}

impl Exporter {
    /// Opens the ledger, listens, and begins to poll. `environment` is where keys of the default chain are looked up,
    /// `serving` answers what comes, also on the sockets that `handed` holds, where the settings say so; without a `reload`,
    /// the settings stay what they are.
    ///
    /// # Errors
    /// Where one of these cannot be done; nothing runs then.
    pub async fn start(
        config: Config,
        environment: Vec<(String, String)>,
        serving: ServingThreads,
        handed: Handed,
        reload: Option<Reload>,
    ) -> Result<Self, AppError> {
        let web = config.web.config_file.as_deref().map(WebConfig::load).transpose()?;
        let own = Arc::new(OwnMetrics::new(malformed_names(), &scope_ids(&config))?);
        let clock = Clock::System;
        own.config_loaded(clock.now(), 0);
        let vitals = Arc::new(Vitals::new(clock.now()));
        let mut fleet = Fleet::new(Arc::clone(&own), Arc::clone(&vitals), clock.clone(), environment);
        let ways = fleet.ways(&config)()?;
        let common = Common::open(&config, own, vitals, clock)?;
        let mut publisher = common.publisher();
        publisher.publish().await;
        let room = common.room();
        room.look().await;

        let listening = serving.handle.spawn(listen(config.web.clone(), handed));
        let listeners = listening.await.map_err(|_| AppError::Defect)??;
        let (wishes, asked) = reload::wishes();
        let is_enabled = config.web.enable_lifecycle && reload.is_some();
        let lifecycle = is_enabled.then(|| Arc::new(wishes) as Arc<dyn Lifecycle>);
        let observer = common.server_observer();
        let (backup_interval, interval) = watch::channel(config.ledger.backup_interval);
        let server = common.server(&config, lifecycle, interval.clone());
        let front = Front::new(server, limits(&config.web), observer.clone(), web.clone());
        let settings = fleet.follow(&config, ways);
        let scheduler = Arc::new(Scheduler::start(common.surroundings(), settings));
        let backups = common.backups(&config, interval);
        let stop = CancellationToken::new();
        let addresses = announce(&listeners, web.as_ref());
        let answering = front.run(listeners, stop.clone(), config.web.drain_timeout);
        let mut tasks = JoinSet::new();
        tasks.spawn_on(answering, &serving.handle);
        tasks.spawn(publisher.run(stop.clone()));
        tasks.spawn(room.run(stop.clone()));
        tasks.spawn(backups.run(stop.clone()));
        if let Some(web) = web {
            tasks.spawn(web.follow(observer, stop.clone()));
        }
        let drain_delay = config.web.drain_delay;
        let Common { own, clock, ledger, exposition, readiness, status, .. } = common;
        let scheduled = Arc::clone(&scheduler);
        let reloader = Reloader {
            running: config,
            reading: Reading::default(),
            finding: Reading::default(),
            fleet,
            scheduler: scheduled,
            exposition,
            own,
            backup_interval,
            status,
            clock,
        };
        let stop_reloads = CancellationToken::new();
        let mut reloads = JoinSet::new();
        match reload {
            Some(reload) => reloads.spawn(reloader.run(reload, asked, stop_reloads.clone())),
            // What it would change is waited on elsewhere.
            None => reloads.spawn(stop_reloads.clone().cancelled_owned().map(|()| drop(reloader))),
        };
        Ok(Self {
            addresses,
            readiness,
            scheduler,
            ledger,
            stop_reloads,
            reloads,
            stop,
            tasks,
            drain_delay,
            serving,
        })
    }

    /// Where it listens by IP.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The threads that serve.
    pub(super) fn serving(&self) -> Handle {
        self.serving.handle.clone()
    }

    /// Waits for the end of a part that is not to end before [`Self::stop`]: without it the rest would only seem to live.
    pub async fn defect(&mut self) -> AppError {
        let ended = tokio::select! {
            Some(ended) = self.tasks.join_next() => ended,
            Some(ended) = self.reloads.join_next() => ended,
            else => std::future::pending().await,
        };
        told(ended);
        AppError::Defect
    }

    /// Drains: not ready any more, polls end where they are, answers under way end, the ledger is closed.
    pub async fn stop(mut self) {
        self.readiness.drain();
        self.stop_reloads.cancel();
        while let Some(ended) = self.reloads.join_next().await {
            told(ended);
        }
        // For load balancers that look at readiness, and send requests until they have.
        tokio::time::sleep(self.drain_delay).await;
        self.scheduler.stop().await;
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            told(ended);
        }
        // The last handle: waits for the writer, which is done within one transaction.
        drop((self.scheduler, self.ledger));
        tracing::info!("ended");
    }
}

/// Those of the settings, as far as the system allows.
fn limits(web: &config::Web) -> config::WebLimits {
    descriptors::raise();
    let max_connections = descriptors::connections_max(web.limits.max_connections);
    config::WebLimits { max_connections, ..web.limits }
}

/// Takes the sockets that are handed over, or opens those of the settings.
async fn listen(web: config::Web, handed: Handed) -> Result<Vec<Listener>, BindError> {
    if web.systemd_socket {
        return handed.listen();
    }
    server::bind_all(&web.listen_addresses, "--web.listen-address").await
}

/// Logs where it listens; gives what of it is by IP.
fn announce(listeners: &[Listener], web: Option<&WebConfig>) -> Vec<SocketAddr> {
    let tls = web.is_some_and(WebConfig::has_tls);
    for address in listeners {
        tracing::info!(%address, tls, version = build_info::VERSION, revision = build_info::REVISION, "listening");
    }
    listeners.iter().filter_map(Listener::socket_address).collect()
}

fn told(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a task ended badly");
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use crate::config::LoadRequest;

    use super::*;

    /// Settings for an exporter whose service does not answer, with its ledger in this directory.
    pub fn settings(directory: &Path) -> Config {
        let file = directory.join("exporter.yaml");
        let yaml = format!(
            "accounts: [{{regions: [cn-hangzhou], endpoint: 'http://127.0.0.1:1', allow_http: true}}]\n\
             ledger: {{path: {}, backup_interval: 0s}}\nweb: {{listen_address: '127.0.0.1:0'}}\n",
            directory.join("ledger.db").display()
        );
        std::fs::write(&file, yaml).unwrap();
        config::load(LoadRequest { file: Some(&file), environment: [], overrides: Vec::new() }).unwrap()
    }

    #[tokio::test]
    async fn a_part_that_ends_by_itself_is_told_and_the_rest_ends_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let config = settings(directory.path());
        let mut exporter =
            Exporter::start(config, Vec::new(), ServingThreads::start().unwrap(), Handed::none(), None)
                .await
                .unwrap();
        let healthy = tokio::time::timeout(Duration::from_millis(500), exporter.defect()).await;
        assert!(healthy.is_err(), "{healthy:?}");
        exporter.tasks.spawn(async { panic!("a defect") });
        assert!(matches!(exporter.defect().await, AppError::Defect));
        exporter.stop().await;
        assert!(directory.path().join("ledger.db").exists());
    }
}
