//! What is known now: the latest complete sweep of every target, and how the targets fare. Invariant: a value is only
//! ever replaced by a complete one; it is withdrawn when it is too old, or when its owner is gone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::sessions::SessionsView;
use crate::clock::{UnixMillis, millis};
use crate::config::Pricing;
use crate::ledger::{GatewayTotals, LedgerSnapshot};
use crate::model::{
    ClusterObservation, FailureReason, GatewayId, GatewayObservation, ScopeId, Target, TargetKind,
    WorkspaceId, WorkspaceObservation,
};

/// How a target fares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetStatus {
    /// When its latest sweep ended well.
    pub last_success: Option<UnixMillis>,
    /// Since when its sweeps fail, if the latest one did.
    pub failing_since: Option<UnixMillis>,
    /// The latest sweep that failed, however the ones since then ended.
    pub last_failure: Option<Failure>,
    /// How far the running sweep has come, 0 to 1; `None` between sweeps.
    pub progress: Option<f64>,
    /// How long its latest sweep took.
    pub last_duration: Option<Duration>,
}

impl TargetStatus {
    /// Why its latest sweep failed, if it did.
    pub fn failure(&self) -> Option<&Failure> {
        self.last_failure.as_ref().filter(|_| self.failing_since.is_some())
    }

    /// A sweep ended well.
    pub fn succeeded(&mut self, now: UnixMillis) {
        self.last_success = Some(now);
        self.failing_since = None;
    }

    /// A sweep failed.
    pub fn failed(&mut self, failure: Failure) {
        self.failing_since.get_or_insert(failure.at);
        self.last_failure = Some(failure);
    }
}

/// Why a sweep failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: UnixMillis,
    /// From the closed set.
    pub reason: FailureReason,
    /// In words; free of secrets.
    pub message: String,
    /// The service's error code, where it gave one.
    pub code: Option<String>,
    /// What the service calls the request in its own logs.
    pub request_id: Option<String>,
}

/// A value and when it was true.
#[derive(Debug)]
struct Timed<T> {
    at: UnixMillis,
    value: Arc<T>,
}

impl<T> Clone for Timed<T> {
    fn clone(&self) -> Self {
        Self { at: self.at, value: Arc::clone(&self.value) }
    }
}

impl<T> Timed<T> {
    fn new(at: UnixMillis, value: T) -> Self {
        Self { at, value: Arc::new(value) }
    }
}

/// A workspace's Livy gateways.
#[derive(Debug)]
struct GatewayList {
    rows: Vec<GatewayObservation>,
    /// When each of them was created, by its id.
    created: HashMap<String, Option<UnixMillis>>,
}

/// See the module. Clones share what was observed.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// What the configuration names.
    scopes: Vec<ScopeId>,
    workspaces: BTreeMap<ScopeId, Timed<Vec<WorkspaceObservation>>>,
    clusters: BTreeMap<WorkspaceId, Timed<Vec<ClusterObservation>>>,
    gateways: BTreeMap<WorkspaceId, Timed<GatewayList>>,
    sessions: BTreeMap<GatewayId, Timed<SessionsView>>,
    targets: BTreeMap<Target, TargetStatus>,
    /// Which account has a workspace, by its id, as of the lists.
    owners: BTreeMap<String, String>,
    /// The totals.
    pub(super) ledger: Arc<LedgerSnapshot>,
}

impl Board {
    /// An empty board for these accounts in their regions.
    pub fn new(scopes: Vec<ScopeId>) -> Self {
        Self { scopes, ..Self::default() }
    }

    /// Other accounts and regions are watched from now on.
    pub fn set_scopes(&mut self, scopes: Vec<ScopeId>) {
        self.scopes = scopes;
    }

    /// Takes a complete list of the workspaces that are watched in a scope.
    pub fn set_workspaces(&mut self, scope: &ScopeId, at: UnixMillis, value: Vec<WorkspaceObservation>) {
        self.workspaces.insert(scope.clone(), Timed::new(at, value));
        self.settle_owners();
    }

    /// Takes a complete list of a workspace's session clusters.
    pub fn set_clusters(&mut self, workspace: WorkspaceId, at: UnixMillis, value: Vec<ClusterObservation>) {
        self.clusters.insert(workspace, Timed::new(at, value));
    }

    /// Takes a complete list of a workspace's Livy gateways.
    pub fn set_gateways(&mut self, workspace: WorkspaceId, at: UnixMillis, rows: Vec<GatewayObservation>) {
        let created = rows.iter().map(|row| (row.livy_compute_id.clone(), row.created)).collect();
        self.gateways.insert(workspace, Timed::new(at, GatewayList { rows, created }));
    }

    /// Takes what a complete pass over a gateway's history saw.
    pub fn set_sessions(&mut self, gateway: GatewayId, at: UnixMillis, value: SessionsView) {
        self.sessions.insert(gateway, Timed::new(at, value));
    }

    /// Takes the totals of a commit.
    pub fn set_ledger(&mut self, totals: Arc<LedgerSnapshot>) {
        self.ledger = totals;
    }

    /// How a target fares, to be changed; it begins with the first call.
    pub fn target(&mut self, target: &Target) -> &mut TargetStatus {
        self.targets.entry(target.clone()).or_default()
    }

    /// Forgets a target that is no longer polled.
    pub fn remove_target(&mut self, target: &Target) {
        self.targets.remove(target);
        match target.kind {
            TargetKind::SessionClusters => drop(self.clusters.remove(&target.workspace())),
            TargetKind::LivyGateways => drop(self.gateways.remove(&target.workspace())),
            TargetKind::LivySessions => drop(self.sessions.remove(&target.gateway())),
            TargetKind::Workspaces => {
                self.workspaces.remove(&target.scope);
                self.settle_owners();
            }
        }
    }

    /// What the configuration names.
    pub fn scopes(&self) -> &[ScopeId] {
        &self.scopes
    }

    /// The totals as last taken.
    pub fn ledger(&self) -> &LedgerSnapshot {
        &self.ledger
    }

    /// All targets and how they fare.
    pub fn targets(&self) -> &BTreeMap<Target, TargetStatus> {
        &self.targets
    }

    /// The gateways whose counters a scrape shows.
    pub fn shown_gateways(&self) -> impl Iterator<Item = (&GatewayId, &GatewayTotals)> {
        let gateways = self.ledger.gateways.iter().map(|(id, gateway)| (id, &**gateway));
        gateways.filter(|(id, gateway)| self.shows_counters(id, gateway))
    }

    /// Whether a scrape shows these counters: those whose baseline is complete, of a gateway that is still there.
    pub fn shows_counters(&self, id: &GatewayId, gateway: &GatewayTotals) -> bool {
        gateway.is_shown() && self.shows(id)
    }

    /// Whether this gateway is still there: unless a complete list lacks it, or its workspace is gone.
    pub fn shows(&self, gateway: &GatewayId) -> bool {
        let listed = self
            .gateways
            .get(&gateway.workspace)
            .is_none_or(|list| list.value.created.contains_key(&gateway.livy_compute_id));
        listed && self.shows_workspace(&gateway.workspace)
    }

    /// When a gateway was created, as the latest complete list told.
    pub(super) fn gateway_created(&self, gateway: &GatewayId) -> Option<UnixMillis> {
        *self.gateways.get(&gateway.workspace)?.value.created.get(&gateway.livy_compute_id)?
    }

    /// Whether the page shows what is known of this workspace. Series do not name the account, so it is shown of one:
    /// the account that lists it; where none does, the one that has counted it, unless it is no longer watched, or all
    /// of its regions were listed without it.
    pub(super) fn shows_workspace(&self, workspace: &WorkspaceId) -> bool {
        if let Some(owner) = self.owners.get(&workspace.workspace_id) {
            return *owner == workspace.account;
        }
        let may_have = |account: &str| {
            self.scopes.iter().any(|scope| scope.account == account && !self.workspaces.contains_key(scope))
        };
        let is_rival = |scope: &ScopeId| {
            let other =
                WorkspaceId { account: scope.account.clone(), workspace_id: workspace.workspace_id.clone() };
            other.account != workspace.account && may_have(&other.account) && self.has_counted(&other)
        };
        may_have(&workspace.account) && !self.scopes.iter().any(is_rival)
    }

    fn has_counted(&self, workspace: &WorkspaceId) -> bool {
        let first = GatewayId { workspace: workspace.clone(), livy_compute_id: String::new() };
        let next = self.ledger.gateways.range(first..).next();
        self.ledger.workspaces.contains_key(workspace)
            || next.is_some_and(|(gateway, _)| gateway.workspace == *workspace)
    }

    /// The region of a workspace: of the list that has it, however old, else the account's only one.
    pub(super) fn region(&self, workspace: &WorkspaceId) -> Option<&str> {
        let of_account = |scope: &&ScopeId| scope.account == workspace.account;
        let lists = |scope: &&ScopeId| {
            let list = self.workspaces.get(*scope);
            list.is_some_and(|list| list.value.iter().any(|row| row.workspace_id == workspace.workspace_id))
        };
        let mut regions = self.scopes.iter().filter(of_account);
        let listed = regions.clone().find(lists);
        let only = regions.next().filter(|_| regions.next().is_none());
        Some(&listed.or(only)?.region)
    }

    /// Each workspace has one owner, even while it passes from one account to another.
    fn settle_owners(&mut self) {
        self.owners.clear();
        for (scope, list) in &self.workspaces {
            for row in list.value.iter() {
                self.owners.entry(row.workspace_id.clone()).or_insert_with(|| scope.account.clone());
            }
        }
    }
}

/// The board at a moment: what is too old is not there.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// All of it.
    pub board: &'a Board,
    pub(super) pricing: &'a Pricing,
    /// The moment.
    pub(super) now: UnixMillis,
    pub(super) stale_after: Duration,
}

/// How the lists of a kind stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// How many were ever complete.
    pub known: usize,
    /// How many targets are without a complete list.
    pub missing: usize,
    /// When the oldest of those that are known was true.
    pub as_of: Option<UnixMillis>,
    /// How many of them are too old for the metrics.
    pub stale: usize,
}

impl<'a> View<'a> {
    /// The same with all that is known, however old: for who tells how old it is.
    pub fn of_any_age(self) -> Self {
        Self { stale_after: Duration::MAX, ..self }
    }

    /// How the lists of a kind stand, those included that are too old for this view.
    pub fn listing(self, kind: TargetKind) -> Listing {
        let Board { workspaces, clusters, gateways, sessions, targets, .. } = self.board;
        let shows = |id: &WorkspaceId| self.board.shows_workspace(id);
        let ages: Vec<UnixMillis> = match kind {
            TargetKind::Workspaces => workspaces.values().map(|list| list.at).collect(),
            TargetKind::SessionClusters => {
                clusters.iter().filter(|(id, _)| shows(id)).map(|(_, list)| list.at).collect()
            }
            TargetKind::LivyGateways => {
                gateways.iter().filter(|(id, _)| shows(id)).map(|(_, list)| list.at).collect()
            }
            TargetKind::LivySessions => {
                sessions.iter().filter(|(id, _)| shows(&id.workspace)).map(|(_, list)| list.at).collect()
            }
        };
        let polled = targets.keys().filter(|target| target.kind == kind).count();
        Listing {
            known: ages.len(),
            missing: polled.saturating_sub(ages.len()),
            as_of: ages.iter().copied().min(),
            stale: ages.iter().filter(|at| self.withdrawn_at(**at) <= self.now).count(),
        }
    }

    /// Workspaces that are listed.
    pub fn workspaces(self) -> impl Iterator<Item = (&'a ScopeId, &'a WorkspaceObservation)> {
        let all = self.fresh(&self.board.workspaces);
        let rows = all.flat_map(|(id, rows)| rows.iter().map(move |row| (id, row)));
        rows.filter(move |(scope, row)| self.board.owners.get(&row.workspace_id) == Some(&scope.account))
    }

    pub(super) fn cluster_lists(
        self,
    ) -> impl Iterator<Item = (&'a WorkspaceId, &'a Vec<ClusterObservation>)> {
        self.fresh(&self.board.clusters).filter(move |(id, _)| self.board.shows_workspace(id))
    }

    /// Session clusters that are listed.
    pub fn clusters(self) -> impl Iterator<Item = (&'a WorkspaceId, &'a ClusterObservation)> {
        self.cluster_lists().flat_map(|(id, rows)| rows.iter().map(move |row| (id, row)))
    }

    /// Livy gateways that are listed.
    pub fn gateways(self) -> impl Iterator<Item = (&'a WorkspaceId, &'a GatewayObservation)> {
        let shown = self.fresh(&self.board.gateways).filter(move |(id, _)| self.board.shows_workspace(id));
        shown.flat_map(|(id, list)| list.rows.iter().map(move |row| (id, row)))
    }

    /// What the latest complete passes over histories saw.
    pub fn sessions(self) -> impl Iterator<Item = (&'a GatewayId, &'a SessionsView)> {
        self.fresh(&self.board.sessions).filter(move |(id, _)| self.board.shows_workspace(&id.workspace))
    }

    /// When the next value gets too old.
    pub(super) fn next_withdrawal(self) -> Option<UnixMillis> {
        let ages = self.board.workspaces.values().map(|timed| timed.at);
        let ages = ages.chain(self.board.clusters.values().map(|timed| timed.at));
        let ages = ages.chain(self.board.gateways.values().map(|timed| timed.at));
        let ages = ages.chain(self.board.sessions.values().map(|timed| timed.at));
        ages.map(|at| self.withdrawn_at(at)).filter(|at| *at > self.now).min()
    }

    fn fresh<K, T>(self, all: &'a BTreeMap<K, Timed<T>>) -> impl Iterator<Item = (&'a K, &'a T)> {
        all.iter()
            .filter(move |(_, timed)| self.withdrawn_at(timed.at) > self.now)
            .map(|(key, timed)| (key, &*timed.value))
    }

    fn withdrawn_at(self, at: UnixMillis) -> UnixMillis {
        at.saturating_add(millis(self.stale_after))
    }
}
