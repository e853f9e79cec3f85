//! The workspaces of an account in a region, as ListWorkspaces has them or as the settings name them; beneath each, its
//! session clusters and Livy gateways.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{ClustersSweep, GatewaysSweep, Workspace};
use crate::clock::UnixMillis;
use crate::config::WorkspaceFilter;
use crate::model::{FailureReason, ScopeId, Target, TargetKind, WorkspaceId, WorkspaceObservation};
use crate::scheduler::children::Children;
use crate::scheduler::list::{keep_known, read_list};
use crate::scheduler::poll::{Round, Sweep};
use crate::scheduler::{Context, Settings, SweepError};

/// See the module.
pub(in crate::scheduler) struct WorkspacesSweep {
    context: Arc<Context>,
    scope: ScopeId,
    /// By what is polled, and the id of the workspace.
    children: Children<(TargetKind, String)>,
    /// As the latest complete list had them, whether they are watched or not.
    known: BTreeMap<String, WorkspaceObservation>,
    /// When that was; `None` = there is none.
    listed: Option<UnixMillis>,
    /// Since when the scope is watched, as far as that was asked for.
    watched_since: Option<UnixMillis>,
    /// Watched workspaces of which the ledger has handed over what other accounts had counted.
    taken_over: BTreeSet<String>,
}

impl WorkspacesSweep {
    pub(in crate::scheduler) fn new(context: Arc<Context>, scope: ScopeId) -> Self {
        Self {
            context,
            scope,
            children: Children::default(),
            known: BTreeMap::new(),
            listed: None,
            watched_since: None,
            taken_over: BTreeSet::new(),
        }
    }

    /// Leaves out what another scope watches already; returns who that is.
    fn claim(&self, rows: &mut Vec<WorkspaceObservation>) -> Vec<String> {
        let mut conflicts = Vec::new();
        rows.retain(|row| match self.context.claims.claim(&row.workspace_id, &self.scope) {
            Ok(()) => true,
            Err(owner) => {
                let id = &row.workspace_id;
                conflicts
                    .push(format!("{id} (watched by account {}, region {})", owner.account, owner.region));
                false
            }
        });
        conflicts
    }

    /// Lets go of all workspaces but these.
    fn let_go(&mut self, rows: &[WorkspaceObservation]) {
        let stays = |id: &str| rows.iter().any(|row| row.workspace_id == id);
        self.children.keep(|(_, id)| stays(id));
        self.taken_over.retain(|id| stays(id));
        // Once its targets are told to end, and not before, another scope may have a workspace.
        self.context.claims.keep(&self.scope, stays);
    }

    /// Takes over what other accounts have counted of those of these workspaces that are new here: once nobody counts
    /// there any more, and before anything beneath them begins. Of the others nothing is asked.
    async fn take_over(&mut self, rows: &[WorkspaceObservation]) -> Result<(), SweepError> {
        let ids = rows.iter().map(|row| &row.workspace_id);
        let new: BTreeSet<String> = ids.filter(|id| !self.taken_over.contains(*id)).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        let Context { polled, ledger, .. } = &*self.context;
        polled.ended_elsewhere(&self.scope, &new).await;
        let owned = new.iter().map(|id| self.workspace(id)).collect();
        for WorkspaceId { account, workspace_id } in ledger.take_over(owned).await? {
            let (from, to) = (account, &self.scope.account);
            tracing::info!(
                workspace_id,
                from,
                to,
                "what was counted of the workspace passes to another account"
            );
        }
        self.taken_over.extend(new);
        Ok(())
    }

    fn workspace(&self, id: &str) -> WorkspaceId {
        WorkspaceId { account: self.scope.account.clone(), workspace_id: id.to_owned() }
    }

    fn start(context: &Arc<Context>, kind: TargetKind, workspace: Workspace, stop: CancellationToken) {
        let target = Target::of_workspace(kind, &workspace.scope, &workspace.workspace_id);
        if kind == TargetKind::LivyGateways {
            let sweep = GatewaysSweep::new(Arc::clone(context), workspace, stop.clone());
            context.spawn(target, sweep, stop);
        } else {
            let sweep = ClustersSweep::new(Arc::clone(context), workspace);
            context.spawn(target, sweep, stop);
        }
    }

    fn reconcile(&mut self, settings: &Settings, rows: &[WorkspaceObservation], watched_since: UnixMillis) {
        let mut kinds = Vec::new();
        kinds.extend(settings.collectors.session_clusters.map(|_| TargetKind::SessionClusters));
        kinds.extend(settings.collectors.livy_gateways.map(|_| TargetKind::LivyGateways));
        let mut wanted = BTreeMap::new();
        let ledger = self.context.ledger.snapshot();
        for (row, kind) in rows.iter().flat_map(|row| kinds.iter().map(move |kind| (row, *kind))) {
            let (scope, workspace_id) = (self.scope.clone(), row.workspace_id.clone());
            // Another account may have watched it before this one was.
            let before = ledger.watched_since(&self.workspace(&workspace_id));
            let watched_since = before.map_or(watched_since, |before| watched_since.min(before));
            let workspace = Workspace { scope, workspace_id, watched_since };
            wanted.insert((kind, row.workspace_id.clone()), (kind, workspace));
        }
        let context = &self.context;
        self.children.reconcile(&context.stop, wanted, |(kind, workspace), stop| {
            Self::start(context, kind, workspace, stop);
        });
    }

    /// What is watched of the latest complete list, and what the settings name beside it.
    fn chosen(&self, filter: &WorkspaceFilter) -> Vec<WorkspaceObservation> {
        let mut chosen = BTreeMap::new();
        if filter.discover {
            let matches =
                |(id, row): &(&String, &WorkspaceObservation)| filter.matches(id, &row.name, &row.tags);
            chosen.extend(self.known.iter().filter(matches).map(|(id, row)| (id.clone(), row.clone())));
        }
        for id in &filter.ids {
            chosen.entry(id.clone()).or_insert_with(|| WorkspaceObservation::unlisted(id));
        }
        chosen.into_values().collect()
    }

    /// Watches what the settings choose of what is known; returns what somebody else watches.
    async fn watch(
        &mut self,
        settings: &Settings,
        filter: &WorkspaceFilter,
        watched_since: UnixMillis,
    ) -> Result<Vec<String>, SweepError> {
        let conflicts = self.watch_free(settings, filter, watched_since).await?;
        if conflicts.is_empty() || filter.ids.is_empty() {
            return Ok(conflicts);
        }
        // What the settings name for this scope is let go by whoever has it; this one has just done the same.
        self.context.claims.vacated(&self.scope).await;
        self.watch_free(settings, filter, watched_since).await
    }

    /// The same of what nobody else watches now.
    async fn watch_free(
        &mut self,
        settings: &Settings,
        filter: &WorkspaceFilter,
        watched_since: UnixMillis,
    ) -> Result<Vec<String>, SweepError> {
        let mut rows = self.chosen(filter);
        let conflicts = self.claim(&mut rows);
        self.let_go(&rows);
        let taken_over = self.take_over(&rows).await;
        if taken_over.is_ok() {
            self.reconcile(settings, &rows, watched_since);
        }
        // What is named is known without a list; what was listed is as old as the list.
        if let Some(at) = if filter.discover { self.listed } else { Some(self.context.clock.now()) } {
            self.context.exposition.update(|board| board.set_workspaces(&self.scope, at, rows));
        }
        taken_over.map(|()| conflicts)
    }

    async fn discover(&mut self, round: &Round) -> Result<(), SweepError> {
        let Round { settings, client, .. } = round;
        let page_size = settings.collectors.workspaces.page_size;
        let mut found = BTreeMap::new();
        let fetch =
            |token: Option<String>| async move { client.list_workspaces(token.as_deref(), page_size).await };
        let (pages_max, kind) = (settings.pages_max, TargetKind::Workspaces);
        let unusable = read_list(&self.context, pages_max, kind, &mut found, id_of, fetch).await?;
        keep_known(&mut found, &self.known, unusable);
        self.known = found;
        self.listed = Some(self.context.clock.now());
        Ok(())
    }

    /// Since when the scope is watched; from the first time that this is asked.
    async fn watched_since(&mut self, begun: UnixMillis) -> Result<UnixMillis, SweepError> {
        let since = self.context.ledger.watch_scope(self.scope.clone(), begun).await?;
        self.watched_since = Some(since);
        Ok(since)
    }
}

fn id_of(row: &WorkspaceObservation) -> &str {
    &row.workspace_id
}

impl Sweep for WorkspacesSweep {
    async fn sweep(&mut self, round: Round) -> Result<(), SweepError> {
        let begun = self.context.clock.now();
        let filter = &round.scope.workspaces;
        if filter.discover {
            if !filter.ids.is_empty() && self.children.is_empty() {
                // What the settings name does not wait for a list that may be refused.
                let watched_since = self.watched_since(begun).await?;
                self.watch(&round.settings, filter, watched_since).await?;
            }
            self.discover(&round).await?;
        }
        let watched_since = self.watched_since(begun).await?;
        // The list may have taken long, and what is chosen of it may be another thing by now.
        let settings = self.context.settings();
        let Some(scope) = settings.scopes.get(&self.scope) else { return Ok(()) };
        let conflicts = self.watch(&settings, &scope.workspaces, watched_since).await?;
        if conflicts.is_empty() {
            return Ok(());
        }
        let message = format!(
            "reached a second time, and left out here: workspace {}; give each workspace to one account and region, by \
             workspaces.include, exclude, tags or ids",
            conflicts.join(", ")
        );
        Err(SweepError::new(FailureReason::Conflict, message))
    }

    async fn adopt(&mut self, settings: &Settings) -> bool {
        let Some(scope) = settings.scopes.get(&self.scope) else { return false };
        if !scope.workspaces.discover {
            // Should it be asked for again one day, it is asked for anew.
            (self.known, self.listed) = (BTreeMap::new(), None);
        }
        let Some(watched_since) = self.watched_since else { return false };
        match self.watch(settings, &scope.workspaces, watched_since).await {
            // Where another one is about to let go of a workspace; where not, the sweep says so.
            Ok(conflicts) => !conflicts.is_empty() || scope.workspaces.discover && self.listed.is_none(),
            // The sweep tries again, and says what the ledger says.
            Err(_) => true,
        }
    }
}

impl Drop for WorkspacesSweep {
    fn drop(&mut self) {
        self.children = Children::default();
        self.context.claims.release(&self.scope);
    }
}
