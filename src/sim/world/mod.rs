//! The simulated world: workspaces, queues, session clusters and Livy gateways as functions of a seed and of virtual time.
//! Invariant: session rows are computed, never stored; one [`View`] reads the clock once, so one answer is of one moment.

mod cluster;
mod config;
mod gateway;
mod random;
mod session;
mod workspace;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use cluster::{AppConfig, AutoStop, Cluster, ClusterSpec};
pub use cluster::{ClusterState, KINDS};
pub use config::{FigureGrowth, HistoryOrder, RunningEnd, WorldConfig};
pub(crate) use gateway::Gateway;
pub use gateway::QueueTruth;
pub(crate) use random::{draw, mix};
pub use session::SessionState;
pub(crate) use session::{session_id, session_name};
pub(crate) use workspace::Workspace;

use super::clock::VirtualClock;
use crate::clock::{UnixMillis, millis};

/// A simulated world and its virtual clock.
#[derive(Debug)]
pub struct World {
    config: WorldConfig,
    clock: VirtualClock,
    /// A view shares them; a change copies them where a view is at work, so that neither waits for the other.
    workspaces: Mutex<Arc<Vec<Workspace>>>,
    /// Ever, so that no id comes twice.
    workspaces_created: AtomicU64,
}

/// A session cluster at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFacts {
    /// `sessionClusterId`
    pub id: String,
    /// `name`
    pub name: String,
    /// `kind`
    pub kind: &'static str,
    /// `queueName`
    pub queue: String,
    /// `state`
    pub state: ClusterState,
    /// `stateChangeReason.code`
    pub code: String,
}

/// A Livy gateway at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayFacts {
    /// `computeId`
    pub id: String,
    /// `name`
    pub name: String,
    /// `queueName`
    pub queue: String,
    /// Sessions ever born.
    pub born: u64,
    /// Sessions that the history lists now.
    pub listed: u64,
}

/// Why a session cluster cannot be started or stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrderError {
    NotFound,
    /// It is in a state that does not allow the order.
    Conflict(ClusterState),
}

impl World {
    /// The world of a configuration; its clock starts now.
    pub fn new(config: WorldConfig) -> Self {
        let workspaces = (0..u64::from(config.workspaces))
            .map(|number| Workspace::new(&config, number, config.start, config.history))
            .collect();
        let clock = VirtualClock::new(config.start, config.speed);
        let workspaces_created = AtomicU64::new(config.workspaces.into());
        Self { clock, workspaces: Mutex::new(Arc::new(workspaces)), workspaces_created, config }
    }

    /// What the world was made from.
    pub fn config(&self) -> &WorldConfig {
        &self.config
    }

    /// The virtual clock: advance it, freeze it, set its speed.
    pub fn clock(&self) -> &VirtualClock {
        &self.clock
    }

    /// The world at this moment.
    pub(crate) fn view(&self) -> View<'_> {
        let workspaces = Arc::clone(&self.lock());
        View { config: &self.config, now: self.clock.now(), workspaces }
    }

    /// Every `workspaceId`.
    pub fn workspace_ids(&self) -> Vec<String> {
        self.view().workspaces().iter().map(|w| w.id.clone()).collect()
    }

    /// The queues of a workspace; none where it does not exist.
    pub fn queues(&self, workspace_id: &str) -> Vec<String> {
        self.view().workspace(workspace_id).map(|w| w.queues.clone()).unwrap_or_default()
    }

    /// The session clusters of a workspace; none where it does not exist.
    pub fn clusters(&self, workspace_id: &str) -> Vec<ClusterFacts> {
        let view = self.view();
        view.workspace(workspace_id).map(|w| view.cluster_facts(w)).unwrap_or_default()
    }

    /// The Livy gateways of a workspace; none where it does not exist.
    pub fn gateways(&self, workspace_id: &str) -> Vec<GatewayFacts> {
        let view = self.view();
        view.workspace(workspace_id).map(|w| view.gateway_facts(w)).unwrap_or_default()
    }

    /// What a perfect reader of every answer so far would have counted, by queue; empty for an unknown gateway.
    /// Computed from every session ever born: about a microsecond each.
    pub fn truth(&self, workspace_id: &str, compute_id: &str) -> BTreeMap<String, QueueTruth> {
        let view = self.view();
        let gateway = view.workspace(workspace_id).and_then(|w| w.gateway(compute_id));
        gateway.map(|g| g.truth(&self.config, view.now)).unwrap_or_default()
    }

    /// Adds a workspace at the present virtual time, its gateways with an empty history. Gives its id.
    pub fn add_workspace(&self) -> String {
        self.change(|workspaces, now| {
            let number = self.workspaces_created.fetch_add(1, Ordering::Relaxed);
            let workspace = Workspace::new(&self.config, number, now, 0);
            let id = workspace.id.clone();
            workspaces.push(workspace);
            id
        })
    }

    /// Removes a workspace with all that is in it. Says whether there was one.
    pub fn remove_workspace(&self, workspace_id: &str) -> bool {
        self.change(|workspaces, _| workspaces.extract_if(.., |w| w.id == workspace_id).count() > 0)
    }

    /// Gives a workspace a tag, in the place of one with this key. Says whether there is such a workspace.
    pub fn tag_workspace(&self, workspace_id: &str, key: &str, value: &str) -> bool {
        self.change(|workspaces, _| {
            let workspace = workspaces.iter_mut().find(|w| w.id == workspace_id);
            workspace.map(|w| drop(w.tags.insert(key.to_owned(), value.to_owned()))).is_some()
        })
    }

    /// Adds a gateway with an empty history at the present virtual time. Gives its id, `None` without such a workspace.
    pub fn add_gateway(&self, workspace_id: &str) -> Option<String> {
        self.change(|workspaces, now| {
            let workspace = workspaces.iter_mut().find(|w| w.id == workspace_id)?;
            Some(workspace.add_gateway(&self.config, now, 0))
        })
    }

    /// Removes a gateway with its history. Says whether there was one.
    pub fn remove_gateway(&self, compute_id: &str) -> bool {
        self.change(|workspaces, _| {
            workspaces.iter_mut().any(|w| w.gateways.extract_if(.., |g| g.id == compute_id).count() > 0)
        })
    }

    /// From `from` on (from the next millisecond on, where that has passed), half of a gateway's new sessions use this
    /// queue, which its workspace gets where it lacks it. Says whether there is such a gateway.
    pub fn add_queue(&self, compute_id: &str, queue: &str, from: UnixMillis) -> bool {
        self.change(|workspaces, now| {
            let workspace = workspaces.iter_mut().find(|w| w.gateway(compute_id).is_some());
            // A session that was shown with a queue keeps it.
            workspace.map(|w| w.add_queue(compute_id, queue, from.max(now + 1))).is_some()
        })
    }

    /// Puts a session cluster into a state, with a `stateChangeReason.code`, until it is started or stopped.
    /// Says whether there is such a cluster.
    pub fn set_cluster_state(&self, id: &str, state: ClusterState, code: &str) -> bool {
        self.change(|workspaces, now| {
            let cluster = workspaces.iter_mut().flat_map(|w| &mut w.clusters).find(|c| c.id == id);
            cluster.map(|c| c.hold(now, state, code)).is_some()
        })
    }

    /// Removes a session cluster. Says whether there was one.
    pub fn remove_cluster(&self, id: &str) -> bool {
        self.change(|workspaces, _| {
            workspaces.iter_mut().any(|w| w.clusters.extract_if(.., |c| c.id == id).count() > 0)
        })
    }

    /// Adds a session cluster, or gives the one that the same `client_token` made before.
    pub(crate) fn create_cluster(
        &self,
        workspace_id: &str,
        spec: ClusterSpec,
        client_token: Option<&str>,
    ) -> Option<String> {
        self.change(|workspaces, now| {
            let workspace = workspaces.iter_mut().find(|w| w.id == workspace_id)?;
            Some(workspace.create_cluster(spec, client_token, now, millis(self.config.cluster_start)))
        })
    }

    /// Starts a stopped or failed session cluster.
    pub(crate) fn start_cluster(&self, workspace_id: &str, id: &str) -> Result<(), OrderError> {
        self.order_cluster(workspace_id, id, |cluster, now, state| {
            let allowed = matches!(state, ClusterState::Stopped | ClusterState::Error);
            allowed.then(|| cluster.start(now, millis(self.config.cluster_start)))
        })
    }

    /// Stops a running or starting session cluster.
    pub(crate) fn stop_cluster(&self, workspace_id: &str, id: &str) -> Result<(), OrderError> {
        self.order_cluster(workspace_id, id, |cluster, now, state| {
            let allowed = matches!(state, ClusterState::Running | ClusterState::Starting);
            allowed.then(|| cluster.stop(now, millis(self.config.cluster_start) / 3))
        })
    }

    fn order_cluster(
        &self,
        workspace_id: &str,
        id: &str,
        order: impl FnOnce(&mut Cluster, UnixMillis, ClusterState) -> Option<()>,
    ) -> Result<(), OrderError> {
        self.change(|workspaces, now| {
            let workspace = workspaces.iter_mut().find(|w| w.id == workspace_id);
            let cluster = workspace.and_then(|w| w.clusters.iter_mut().find(|c| c.id == id));
            let cluster = cluster.ok_or(OrderError::NotFound)?;
            let state = cluster.phase(now).state;
            order(cluster, now, state).ok_or(OrderError::Conflict(state))
        })
    }

    /// Changes the workspaces at the present virtual time.
    fn change<T>(&self, change: impl FnOnce(&mut Vec<Workspace>, UnixMillis) -> T) -> T {
        let mut workspaces = self.lock();
        change(Arc::make_mut(&mut workspaces), self.clock.now())
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Vec<Workspace>>> {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The world at one moment.
pub(crate) struct View<'a> {
    pub(crate) config: &'a WorldConfig,
    pub(crate) now: UnixMillis,
    workspaces: Arc<Vec<Workspace>>,
}

impl View<'_> {
    pub(crate) fn workspaces(&self) -> &[Workspace] {
        &self.workspaces
    }

    pub(crate) fn workspace(&self, id: &str) -> Option<&Workspace> {
        self.workspaces.iter().find(|w| w.id == id)
    }

    pub(crate) fn cluster_facts(&self, workspace: &Workspace) -> Vec<ClusterFacts> {
        let facts = |c: &Cluster| {
            let phase = c.phase(self.now);
            ClusterFacts {
                id: c.id.clone(),
                name: c.spec.name.clone(),
                kind: c.spec.kind,
                queue: c.spec.queue.clone(),
                state: phase.state,
                code: phase.code,
            }
        };
        workspace.clusters.iter().map(facts).collect()
    }

    pub(crate) fn gateway_facts(&self, workspace: &Workspace) -> Vec<GatewayFacts> {
        let facts = |g: &Gateway| {
            let listed = g.listed(self.config, self.now);
            GatewayFacts {
                id: g.id.clone(),
                name: g.name.clone(),
                queue: g.queue().to_owned(),
                born: g.born(self.now),
                listed: listed.end - listed.start,
            }
        };
        workspace.gateways.iter().map(facts).collect()
    }
}
