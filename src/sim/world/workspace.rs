//! A workspace and what it holds. Invariant: ids are functions of the seed and of the order of creation.

use std::collections::BTreeMap;

use super::cluster::{Cluster, ClusterSpec};
use super::config::WorldConfig;
use super::gateway::Gateway;
use super::random::{below, draw, pick};
use crate::clock::UnixMillis;

const DAY_MS: i64 = 86_400_000;
/// Idempotency tokens remembered per workspace; the oldest clusters' tokens are forgotten first.
const CLIENT_TOKENS_MAX: usize = 1_024;

/// A workspace.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    seed: u64,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) payment_type: &'static str,
    pub(crate) resource_group_id: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) created: UnixMillis,
    pub(crate) queues: Vec<String>,
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) gateways: Vec<Gateway>,
    /// Clusters ever made by request, so that an id is never used twice.
    clusters_created: u64,
    gateways_created: u64,
    client_tokens: BTreeMap<String, (u64, String)>,
}

impl Workspace {
    /// The `number`th workspace, whose gateways begin at `epoch`, with `history` sessions before it.
    pub(crate) fn new(config: &WorldConfig, number: u64, epoch: UnixMillis, history: u64) -> Self {
        const NAMES: [&str; 4] = ["analytics-prod", "etl-prod", "数据平台", "sandbox"];
        let seed = draw(config.seed, 0x41, number);
        let random = |salt| draw(seed, salt, 0);
        let named = NAMES.get(usize::try_from(number).unwrap_or(usize::MAX));
        let queues = queue_names(config.queues);
        let mut workspace = Self {
            seed,
            id: format!("w-{seed:016x}"),
            name: named.map_or_else(|| format!("workspace-{number}"), |name| (*name).to_owned()),
            payment_type: *pick(random(1), &["PayAsYouGo", "Pre"]),
            resource_group_id: format!("rg-acfm{:012x}", random(2) >> 16),
            tags: [("team", *pick(random(3), &["data", "ads", "risk"])), ("managed-by", "terraform")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            created: epoch - DAY_MS * (30 + below(random(4), 300).cast_signed()),
            clusters: (0..u64::from(config.session_clusters))
                .map(|n| Cluster::new(config, seed, n, &queues))
                .collect(),
            queues,
            gateways: Vec::new(),
            clusters_created: 0,
            gateways_created: 0,
            client_tokens: BTreeMap::new(),
        };
        for _ in 0..config.gateways {
            workspace.add_gateway(config, epoch, history);
        }
        workspace
    }

    pub(crate) fn gateway(&self, id: &str) -> Option<&Gateway> {
        self.gateways.iter().find(|g| g.id == id)
    }

    pub(crate) fn cluster(&self, id: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|c| c.id == id)
    }

    pub(crate) fn add_gateway(&mut self, config: &WorldConfig, epoch: UnixMillis, history: u64) -> String {
        let number = self.gateways_created;
        self.gateways_created += 1;
        let gateway = Gateway::new(config, self.seed, number, epoch, history, self.queues.clone());
        let id = gateway.id.clone();
        self.gateways.push(gateway);
        id
    }

    pub(crate) fn add_queue(&mut self, compute_id: &str, queue: &str, from: UnixMillis) {
        if !self.queues.iter().any(|q| q == queue) {
            self.queues.push(queue.to_owned());
        }
        for gateway in self.gateways.iter_mut().filter(|g| g.id == compute_id) {
            gateway.later_queues.push((from, queue.to_owned()));
            gateway.later_queues.sort_by_key(|(from, _)| *from);
        }
    }

    pub(crate) fn create_cluster(
        &mut self,
        spec: ClusterSpec,
        client_token: Option<&str>,
        now: UnixMillis,
        start_ms: i64,
    ) -> String {
        if let Some((_, id)) = client_token.and_then(|token| self.client_tokens.get(token)) {
            return id.clone();
        }
        self.clusters_created += 1;
        let id = format!("sc-{:016x}", draw(self.seed, 0x42, self.clusters_created));
        if let Some(token) = client_token {
            let oldest = || self.client_tokens.iter().min_by_key(|(_, (made, _))| *made);
            if self.client_tokens.len() >= CLIENT_TOKENS_MAX
                && let Some(oldest) = oldest().map(|(token, _)| token.clone())
            {
                self.client_tokens.remove(&oldest);
            }
            self.client_tokens.insert(token.to_owned(), (self.clusters_created, id.clone()));
        }
        self.clusters.push(Cluster::created_by_request(id.clone(), spec, now, start_ms));
        id
    }
}

/// Every workspace starts with `root_queue` and `dev_queue`.
fn queue_names(count: u32) -> Vec<String> {
    const NAMES: [&str; 6] = ["root_queue", "dev_queue", "etl_queue", "adhoc_queue", "ml_queue", "bi_queue"];
    let name = |number: usize| match NAMES.get(number) {
        Some(name) => (*name).to_owned(),
        None => format!("queue_{number}"),
    };
    (0..usize::try_from(count).unwrap_or(1).max(1)).map(name).collect()
}
