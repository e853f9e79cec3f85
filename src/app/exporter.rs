//! The exporter, running.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::AppError;
use super::backup::Backups;
use super::bridge::{ClientBridge, CredentialsBridge, LedgerBridge, ServerBridge};
use super::content::Content;
use super::publish::Publisher;
use super::series::Explainer;
use super::snapshot::{Demand, Snapshot};
use super::vitals::Vitals;
use crate::api::credentials::{ProviderOptions, provider};
use crate::api::wire::malformed_names;
use crate::api::{Client, ClientOptions};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::journal::Journal;
use crate::ledger::{Ledger, Options};
use crate::metrics::{Exposition, OwnMetrics};
use crate::model::ScopeId;
use crate::scheduler::{Claims, Context, FirstPass, Scheduler, Scope};
use crate::server::{self, BindError, Front, Handed, Listener, Readiness, Server, WebConfig};

/// A running exporter.
pub struct Exporter {
    addresses: Vec<SocketAddr>,
    readiness: Readiness,
    scheduler: Scheduler,
    ledger: Ledger,
    /// Ends the server and the rendering.
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    drain_delay: Duration,
}

impl Exporter {
    /// Opens the ledger, listens, and begins to poll. `environment` is where keys of the default chain are looked up,
    /// `handed` holds the sockets that are served on where the settings say so.
    ///
    /// # Errors
    /// Where one of these cannot be done; nothing runs then.
    pub async fn start(
        config: Config,
        environment: Vec<(String, String)>,
        handed: Handed,
    ) -> Result<Self, AppError> {
        let web = config.web.config_file.as_deref().map(WebConfig::load).transpose()?;
        let scope_ids = scope_ids(&config);
        let own = Arc::new(OwnMetrics::new(malformed_names(), &scope_ids)?);
        let clock = Clock::System;
        own.config_loaded(clock.now());
        let vitals = Arc::new(Vitals::new(clock.now()));
        let scopes = scopes(&config, &own, &vitals, &clock, environment)?;
        let options = Options { path: config.ledger.path.clone(), baseline: config.ledger.baseline };
        let observer =
            LedgerBridge { own: Arc::clone(&own), vitals: Arc::clone(&vitals), clock: clock.clone() };
        let ledger = Ledger::open(&options, Arc::new(observer))?;
        let exposition = Arc::new(Exposition::new(config.exposition, scope_ids));
        let page = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
        let demand = Arc::new(Demand::new(Instant::now()));
        let (first_pass, readiness) = (FirstPass::default(), Readiness::default());
        let mut publisher = Publisher {
            exposition: Arc::clone(&exposition),
            ledger: ledger.clone(),
            page: Arc::clone(&page),
            demand: Arc::clone(&demand),
            clock: clock.clone(),
            first_pass: first_pass.clone(),
            readiness: readiness.clone(),
            releases: Journal::default(),
        };
        publisher.publish().await;

        let listeners = listen(&config.web, handed).await?;
        let content = Content {
            page,
            demand,
            exposition: Arc::clone(&exposition),
            own: Arc::clone(&own),
            readiness: readiness.clone(),
            clock: clock.clone(),
            vitals,
            explainer: Explainer::new(config.ledger.path.clone(), Arc::clone(&exposition)),
            backups_enabled: config.ledger.backup_interval.is_some(),
        };
        let server = Server {
            content: Arc::new(content),
            readiness: readiness.clone(),
            telemetry_path: config.web.telemetry_path.clone(),
        };
        let observer = Arc::new(ServerBridge { own: Arc::clone(&own), clock: clock.clone() });
        let front = Front::new(server, config.web.limits, observer.clone(), web.clone());
        let stop = CancellationToken::new();
        let context = Context {
            collectors: config.collectors,
            pages_max: config.api.pages_max,
            stale_after: config.exposition.stale_after,
            retention: config.ledger.retention,
            ledger: ledger.clone(),
            exposition,
            own: Arc::clone(&own),
            clock: clock.clone(),
            first_pass: first_pass.clone(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            claims: Claims::default(),
        };
        let scheduler = Scheduler::start(context, scopes);
        let addresses = announce(&listeners, web.as_ref());
        let serving = front.run(listeners, stop.clone(), config.web.drain_timeout);
        let mut tasks = vec![tokio::spawn(serving), tokio::spawn(publisher.run(stop.clone()))];
        tasks.extend(web.map(|web| tokio::spawn(web.follow(observer, stop.clone()))));
        if let Some(interval) = config.ledger.backup_interval {
            let first_pass = first_pass.subscribe();
            let backups = Backups { path: config.ledger.path, interval, own, clock, first_pass };
            tasks.push(tokio::spawn(backups.run(stop.clone())));
        }
        let drain_delay = config.web.drain_delay;
        Ok(Self { addresses, readiness, scheduler, ledger, stop, tasks, drain_delay })
    }

    /// Where it listens by IP.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Drains: not ready any more, polls end where they are, answers under way end, the ledger is closed.
    pub async fn stop(self) {
        self.readiness.drain();
        // For load balancers that look at readiness, and send requests until they have.
        tokio::time::sleep(self.drain_delay).await;
        self.scheduler.stop().await;
        self.stop.cancel();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task ended badly");
            }
        }
        // The last handle: waits for the writer, which is done within one transaction.
        drop(self.ledger);
        tracing::info!("ended");
    }
}

/// Takes the sockets that are handed over, or opens those of the settings.
async fn listen(web: &config::Web, handed: Handed) -> Result<Vec<Listener>, BindError> {
    if web.systemd_socket {
        return handed.listen();
    }
    server::bind_all(&web.listen_addresses, "--web.listen-address").await
}

/// Logs where it listens; gives what of it is by IP.
fn announce(listeners: &[Listener], web: Option<&WebConfig>) -> Vec<SocketAddr> {
    let tls = web.is_some_and(WebConfig::has_tls);
    for address in listeners {
        tracing::info!(%address, tls, version = env!("CARGO_PKG_VERSION"), "listening");
    }
    listeners.iter().filter_map(Listener::socket_address).collect()
}

/// Each account in each region.
fn scope_ids(config: &Config) -> Vec<ScopeId> {
    let of_account = |account: &config::Account| {
        let name = account.name.clone();
        let regions = account.regions.clone();
        regions.into_iter().map(move |region| ScopeId { account: name.clone(), region })
    };
    config.accounts.iter().flat_map(of_account).collect()
}

/// A client for each account in each region.
fn scopes(
    config: &Config,
    own: &Arc<OwnMetrics>,
    vitals: &Arc<Vitals>,
    clock: &Clock,
    environment: Vec<(String, String)>,
) -> Result<Vec<Scope>, AppError> {
    let environment: Arc<std::collections::BTreeMap<String, String>> =
        Arc::new(environment.into_iter().collect());
    let mut scopes = Vec::new();
    for account in &config.accounts {
        let variables = Arc::clone(&environment);
        let look_up = move |name: &str| variables.get(name).cloned();
        let limits = account.api.over(&config.api);
        let credentials = provider(ProviderOptions {
            account,
            limits: &limits,
            env: Box::new(look_up),
            clock: clock.clone(),
            observer: Arc::new(CredentialsBridge { own: Arc::clone(own), vitals: Arc::clone(vitals) }),
        });
        for region in &account.regions {
            let id = ScopeId { account: account.name.clone(), region: region.clone() };
            let client = Client::new(ClientOptions {
                region,
                network: account.network,
                endpoint: account.endpoint.as_ref(),
                limits: &limits,
                credentials: Arc::clone(&credentials),
                clock: clock.clone(),
                observer: Arc::new(ClientBridge { own: Arc::clone(own), scope: id.clone() }),
            });
            let client = client.map_err(|source| AppError::Client { scope: id.clone(), source })?;
            let (workspaces, max_in_flight) = (account.workspaces.clone(), limits.max_in_flight);
            scopes.push(Scope { id, client, workspaces, max_in_flight });
        }
    }
    Ok(scopes)
}
