//! The accounts' keys and the clients of their regions. Invariant: what can fail is done before anything is changed; a
//! client whose way is the same is kept, with its connections and what it has learned.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::AppError;
use super::bridge::{ClientBridge, CredentialsBridge};
use super::vitals::Vitals;
use crate::api::credentials::{CredentialsProvider, ProviderOptions, provider};
use crate::api::{Client, ClientOptions, Transport};
use crate::clock::Clock;
use crate::config::{self, Account, Config, Credentials};
use crate::metrics::OwnMetrics;
use crate::model::ScopeId;
use crate::scheduler::{Scope, Settings};

/// See the module.
pub(super) struct Fleet {
    own: Arc<OwnMetrics>,
    vitals: Arc<Vitals>,
    clock: Clock,
    /// Where keys of the default chain are looked up.
    environment: Arc<BTreeMap<String, String>>,
    keys: BTreeMap<String, Keys>,
    scopes: BTreeMap<ScopeId, Arc<Scope>>,
    /// Counts ways and sources of keys, so that each has a number of its own.
    accesses: u64,
}

/// The keys of an account.
#[derive(Clone)]
struct Keys {
    /// As the settings had it.
    account: Account,
    /// What its provider looks at whenever it asks over the network.
    limits: Arc<ArcSwap<config::Api>>,
    provider: Arc<dyn CredentialsProvider>,
}

/// The ways to the service that settings come to: all that can fail of them.
pub(super) struct Ways(BTreeMap<ScopeId, Transport>);

impl Fleet {
    /// Without an account.
    pub(super) fn new(
        own: Arc<OwnMetrics>,
        vitals: Arc<Vitals>,
        clock: Clock,
        environment: Vec<(String, String)>,
    ) -> Self {
        let environment = Arc::new(environment.into_iter().collect());
        let (keys, scopes) = (BTreeMap::new(), BTreeMap::new());
        Self { own, vitals, clock, environment, keys, scopes, accesses: 0 }
    }

    /// What finds the ways; nothing changes. It reads files, and is for a thread that may wait for them.
    pub(super) fn ways(&self, config: &Config) -> impl FnOnce() -> Result<Ways, AppError> + Send + use<> {
        let plan = scopes(config).map(|(account, id)| {
            let before = self.scopes.get(&id).map(|scope| scope.client.transport());
            (id, account.network, account.endpoint.clone(), account.api.over(&config.api), before)
        });
        let plan: Vec<_> = plan.collect();
        move || {
            let ways = plan.into_iter().map(|(id, network, endpoint, limits, before)| {
                let way = match before {
                    Some(before) => before.renewed(&id.region, network, endpoint.as_ref(), &limits),
                    None => Transport::new(&id.region, network, endpoint.as_ref(), &limits),
                };
                match way {
                    Ok(way) => Ok((id, way)),
                    Err(source) => Err(AppError::Client { scope: id, source }),
                }
            });
            ways.collect::<Result<_, _>>().map(Ways)
        }
    }

    /// Follows the settings that the ways were found for; gives what the scheduler is to know of them.
    pub(super) fn follow(&mut self, config: &Config, ways: Ways) -> Settings {
        let ids: Vec<ScopeId> = ways.0.keys().cloned().collect();
        // Before a client of a new one tells of itself.
        self.own.watch(&ids);
        self.vitals.watch(&ids, &config.collectors);
        let keys =
            config.accounts.iter().map(|account| (account.name.clone(), self.keys_of(account, config)));
        self.keys = keys.collect();
        let mut ways = ways.0;
        let mut watched = BTreeMap::new();
        for (account, id) in scopes(config) {
            if let Some(way) = ways.remove(&id) {
                watched.insert(id.clone(), Arc::new(self.scope(account, id, config, way)));
            }
        }
        self.scopes.clone_from(&watched);
        Settings {
            collectors: config.collectors.clone(),
            pages_max: config.api.pages_max,
            stale_after: config.exposition.stale_after,
            retention: config.ledger.retention,
            scopes: watched,
        }
    }

    /// The provider that there is, where it would be made in the same way.
    fn keys_of(&self, account: &Account, config: &Config) -> Keys {
        let limits = account.api.over(&config.api);
        if let Some(keys) = self.keys.get(&account.name).filter(|keys| has_same_keys(&keys.account, account))
        {
            keys.limits.store(Arc::new(limits));
            keys.provider.look();
            return Keys { account: account.clone(), ..keys.clone() };
        }
        // Of the keys before, if there were any.
        self.own.credentials.keys(&account.name, None);
        self.vitals.forget_keys(&account.name);
        let limits = Arc::new(ArcSwap::from_pointee(limits));
        let variables = Arc::clone(&self.environment);
        let provider = provider(ProviderOptions {
            account,
            limits: Arc::clone(&limits),
            env: Box::new(move |name: &str| variables.get(name).cloned()),
            clock: self.clock.clone(),
            observer: Arc::new(CredentialsBridge {
                own: Arc::clone(&self.own),
                vitals: Arc::clone(&self.vitals),
            }),
        });
        Keys { account: account.clone(), limits, provider }
    }

    fn scope(&mut self, account: &Account, id: ScopeId, config: &Config, transport: Transport) -> Scope {
        let limits = account.api.over(&config.api);
        let credentials = Arc::clone(&self.keys[&account.name].provider);
        let (workspaces, max_in_flight) = (account.workspaces.clone(), limits.max_in_flight);
        let before = self.scopes.get(&id).filter(|scope| scope.client.transport().is_same_way(&transport));
        if let Some(before) = before {
            let client = before.client.clone();
            let is_same_source = client.reconfigure(transport, &limits, &credentials);
            let access = if is_same_source { before.access } else { self.next_access() };
            return Scope { id, client, access, workspaces, max_in_flight };
        }
        let client = Client::new(ClientOptions {
            region: &id.region,
            transport,
            limits: &limits,
            credentials,
            clock: self.clock.clone(),
            observer: Arc::new(ClientBridge { own: Arc::clone(&self.own), scope: id.clone() }),
        });
        Scope { access: self.next_access(), id, client, workspaces, max_in_flight }
    }

    fn next_access(&mut self) -> u64 {
        self.accesses += 1;
        self.accesses
    }
}

/// Whether a way could be found for each account in each region, as far as that is up to the settings. It reads files.
pub(super) fn check(config: &Config) -> Result<(), AppError> {
    for (account, id) in scopes(config) {
        let limits = account.api.over(&config.api);
        let way = Transport::new(&id.region, account.network, account.endpoint.as_ref(), &limits);
        if let Err(source) = way
            && source.is_setting()
        {
            return Err(AppError::Client { scope: id, source });
        }
    }
    Ok(())
}

/// Whether both accounts get their keys in the same way from the same place.
fn has_same_keys(before: &Account, after: &Account) -> bool {
    // Given keys are asked for nowhere.
    let is_asked_for = !matches!(after.credentials, Credentials::Static(_) | Credentials::Sts(..));
    let place = |account: &Account| {
        let Account { regions, network, sts_endpoint, metadata_endpoint, allow_http, .. } = account;
        (regions.first().cloned(), *network, sts_endpoint.clone(), metadata_endpoint.clone(), *allow_http)
    };
    before.credentials == after.credentials && (!is_asked_for || place(before) == place(after))
}

/// Each account in each region.
fn scopes(config: &Config) -> impl Iterator<Item = (&Account, ScopeId)> {
    config.accounts.iter().flat_map(|account: &Account| {
        let id = |region: &String| ScopeId { account: account.name.clone(), region: region.clone() };
        account.regions.iter().map(move |region| (account, id(region)))
    })
}

/// See [`scopes`].
pub(super) fn scope_ids(config: &Config) -> Vec<ScopeId> {
    scopes(config).map(|(_, id)| id).collect()
}
