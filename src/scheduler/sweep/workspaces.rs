//! The workspaces of an account in a region, as ListWorkspaces has them or as the settings name them; beneath each, its
//! session clusters and Livy gateways.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{ClustersSweep, GatewaysSweep, Workspace};
use crate::clock::UnixMillis;
use crate::model::{FailureReason, Target, TargetKind, WorkspaceObservation};
use crate::scheduler::children::Children;
use crate::scheduler::list::{keep_known, read_list};
use crate::scheduler::poll::Sweep;
use crate::scheduler::{Context, Scope, SweepError};

/// See the module.
pub(in crate::scheduler) struct WorkspacesSweep {
    context: Arc<Context>,
    scope: Arc<Scope>,
    children: Children,
    /// As the latest complete sweep saw them.
    known: BTreeMap<String, WorkspaceObservation>,
}

impl WorkspacesSweep {
    pub(in crate::scheduler) fn new(context: Arc<Context>, scope: Arc<Scope>) -> Self {
        Self { context, scope, children: Children::default(), known: BTreeMap::new() }
    }

    /// Leaves out what another scope watches already; returns who that is.
    fn claim(&self, rows: &mut Vec<WorkspaceObservation>) -> Vec<String> {
        let mut conflicts = Vec::new();
        rows.retain(|row| match self.context.claims.claim(&row.workspace_id, &self.scope.id) {
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

    fn start(&self, workspace: &Workspace, stop: &CancellationToken) {
        let Context { collectors, .. } = &*self.context;
        let of = |kind| Target::of_workspace(kind, &self.scope.id, &workspace.workspace_id);
        if let Some(timing) = collectors.session_clusters {
            let sweep = ClustersSweep::new(Arc::clone(&self.context), workspace.clone());
            self.context.spawn(of(TargetKind::SessionClusters), timing, sweep, stop.clone());
        }
        if let Some(timing) = collectors.livy_gateways {
            let sweep = GatewaysSweep::new(Arc::clone(&self.context), workspace.clone(), stop.clone());
            self.context.spawn(of(TargetKind::LivyGateways), timing, sweep, stop.clone());
        }
    }

    fn reconcile(&mut self, rows: &[WorkspaceObservation], watched_since: UnixMillis) {
        let mut children = std::mem::take(&mut self.children);
        let wanted: BTreeMap<&str, Workspace> = rows
            .iter()
            .map(|row| {
                let workspace_id = row.workspace_id.clone();
                let workspace = Workspace { scope: Arc::clone(&self.scope), workspace_id, watched_since };
                (row.workspace_id.as_str(), workspace)
            })
            .collect();
        children.reconcile(&self.context.stop, wanted, |workspace, stop| self.start(&workspace, &stop));
        self.children = children;
    }
}

fn id_of(row: &WorkspaceObservation) -> &str {
    &row.workspace_id
}

impl WorkspacesSweep {
    /// What is watched of a complete list, and what the settings name beside it.
    fn chosen(&self, found: BTreeMap<String, WorkspaceObservation>) -> Vec<WorkspaceObservation> {
        let filter = &self.scope.workspaces;
        let mut chosen = found;
        chosen.retain(|id, row| filter.matches(id, &row.name, &row.tags));
        for id in &filter.ids {
            chosen.entry(id.clone()).or_insert_with(|| WorkspaceObservation::unlisted(id));
        }
        chosen.into_values().collect()
    }

    async fn discover(
        &mut self,
        deadline: Instant,
    ) -> Result<BTreeMap<String, WorkspaceObservation>, SweepError> {
        let page_size = self.context.collectors.workspaces.page_size;
        let mut found = BTreeMap::new();
        let client = &self.scope.client.until(deadline);
        let fetch =
            |token: Option<String>| async move { client.list_workspaces(token.as_deref(), page_size).await };
        let unusable = read_list(&self.context, TargetKind::Workspaces, &mut found, id_of, fetch).await?;
        keep_known(&mut found, &self.known, unusable);
        self.known.clone_from(&found);
        Ok(found)
    }
}

impl Sweep for WorkspacesSweep {
    async fn sweep(&mut self, deadline: Instant) -> Result<(), SweepError> {
        let begun = self.context.clock.now();
        let mut found = BTreeMap::new();
        if self.scope.workspaces.discover {
            let named = self.chosen(BTreeMap::new());
            if !named.is_empty() && self.children.is_empty() {
                // What the settings name does not wait for a list that may be refused.
                let watched_since = self.context.ledger.watch_scope(self.scope.id.clone(), begun).await?;
                self.reconcile(&named, watched_since);
            }
            found = self.discover(deadline).await?;
        }
        let watched_since = self.context.ledger.watch_scope(self.scope.id.clone(), begun).await?;
        let mut rows = self.chosen(found);
        let conflicts = self.claim(&mut rows);
        self.reconcile(&rows, watched_since);
        // Once its targets are told to end, and not before, another scope may have a workspace.
        self.context.claims.keep(&self.scope.id, |id| rows.iter().any(|row| row.workspace_id == id));
        let now = self.context.clock.now();
        self.context.exposition.update(|board| board.set_workspaces(&self.scope.id, now, rows));
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
}
