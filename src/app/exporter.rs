//! The exporter, running.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::AppError;
use super::backup::Backups;
use super::bridge::{ClientBridge, CredentialsBridge, LedgerBridge};
use super::content::{Content, Page};
use super::publish::Publisher;
use crate::api::credentials::{ProviderOptions, provider};
use crate::api::wire::malformed_names;
use crate::api::{Client, ClientOptions};
use crate::build_info;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::journal::Journal;
use crate::ledger::{Ledger, Options};
use crate::metrics::{Exposition, OwnMetrics};
use crate::model::ScopeId;
use crate::scheduler::{Claims, Context, FirstPass, Scheduler, Scope};
use crate::server::{self, Readiness, Server};

/// A running exporter.
pub struct Exporter {
    address: SocketAddr,
    readiness: Readiness,
    scheduler: Scheduler,
    ledger: Ledger,
    /// Ends the server and the rendering.
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Exporter {
    /// Opens the ledger, listens, and begins to poll. `environment` is where keys of the default chain are looked up.
    ///
    /// # Errors
    /// Where one of these cannot be done; nothing runs then.
    pub async fn start(config: Config, environment: Vec<(String, String)>) -> Result<Self, AppError> {
        let scope_ids = scope_ids(&config);
        let own = Arc::new(OwnMetrics::new(malformed_names(), &scope_ids)?);
        let clock = Clock::System;
        own.config_loaded(clock.now());
        let scopes = scopes(&config, &own, &clock, environment)?;
        let options = Options { path: config.ledger.path.clone(), baseline: config.ledger.baseline };
        let ledger = Ledger::open(&options, Arc::new(LedgerBridge(Arc::clone(&own))))?;
        let exposition = Arc::new(Exposition::new(config.exposition, scope_ids));
        let page = Arc::new(ArcSwap::from_pointee(Page::default()));
        let (first_pass, readiness) = (FirstPass::default(), Readiness::default());
        let mut publisher = Publisher {
            exposition: Arc::clone(&exposition),
            ledger: ledger.clone(),
            page: Arc::clone(&page),
            clock: clock.clone(),
            first_pass: first_pass.clone(),
            readiness: readiness.clone(),
            releases: Journal::default(),
        };
        publisher.publish().await;

        let listener = server::bind(&config.web.listen_address, "--web.listen-address").await?;
        let address = listener
            .local_addr()
            .map_err(|source| AppError::System { doing: "reading the address listened on", source })?;
        let content = Content {
            page,
            exposition: Arc::clone(&exposition),
            own: Arc::clone(&own),
            readiness: readiness.clone(),
            clock: clock.clone(),
        };
        let server = Server {
            content: Arc::new(content),
            readiness: readiness.clone(),
            telemetry_path: config.web.telemetry_path.clone(),
            max_connections: config.web.max_connections,
        };
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
        let mut tasks =
            vec![tokio::spawn(server.run(listener, stop.clone())), tokio::spawn(publisher.run(stop.clone()))];
        if let Some(interval) = config.ledger.backup_interval {
            let first_pass = first_pass.subscribe();
            let backups = Backups { path: config.ledger.path, interval, own, clock, first_pass };
            tasks.push(tokio::spawn(backups.run(stop.clone())));
        }
        tracing::info!(%address, version = build_info::VERSION, revision = build_info::REVISION, "listening");
        Ok(Self { address, readiness, scheduler, ledger, stop, tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Drains: not ready any more, polls end where they are, answers under way end, the ledger is closed.
    pub async fn stop(self) {
        self.readiness.drain();
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
            observer: Arc::new(CredentialsBridge(Arc::clone(own))),
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
