//! The session clusters of a workspace. One that a complete list lacks is asked for by name before it is let go.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::Workspace;
use crate::api::Client;
use crate::collect::{Notes, Observe};
use crate::ledger::ClusterSweep;
use crate::model::{ClusterObservation, FailureReason, TargetKind, WorkspaceId};
use crate::scheduler::list::read_list;
use crate::scheduler::poll::Sweep;
use crate::scheduler::{Context, SweepError};

/// Missing clusters that one sweep asks for by name; the others wait for the next one.
const CONFIRMATIONS_MAX: usize = 20;

/// See the module.
pub(super) struct ClustersSweep {
    context: Arc<Context>,
    workspace: Workspace,
    /// As the latest complete sweep saw them.
    known: BTreeMap<String, ClusterObservation>,
}

impl ClustersSweep {
    pub(super) fn new(context: Arc<Context>, workspace: Workspace) -> Self {
        Self { context, workspace, known: BTreeMap::new() }
    }

    async fn read(
        &self,
        client: &Client,
        rows: &mut BTreeMap<String, ClusterObservation>,
    ) -> Result<(), SweepError> {
        let page_size = self.context.collectors.session_clusters.map_or(1, |timing| timing.page_size);
        let workspace_id = &self.workspace.workspace_id;
        let fetch = |token: Option<String>| async move {
            client.list_session_clusters(workspace_id, token.as_deref(), page_size).await
        };
        read_list(&self.context, TargetKind::SessionClusters, rows, id_of, fetch).await?;
        self.confirm(client, rows).await
    }

    /// Keeps what is known and missing, unless GetSessionCluster has it no more either.
    async fn confirm(
        &self,
        client: &Client,
        rows: &mut BTreeMap<String, ClusterObservation>,
    ) -> Result<(), SweepError> {
        let missing: Vec<_> = self.known.iter().filter(|(id, _)| !rows.contains_key(*id)).collect();
        for (number, (id, known)) in missing.into_iter().enumerate() {
            if number >= CONFIRMATIONS_MAX {
                rows.insert(id.clone(), known.clone());
                continue;
            }
            match client.get_session_cluster(&self.workspace.workspace_id, id).await {
                Ok(row) => {
                    let mut notes = Notes::default();
                    rows.extend(row.observe(&mut notes).map(|row| (id.clone(), row)));
                    self.context.note(&notes);
                }
                Err(error) if error.reason() == FailureReason::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn id_of(row: &ClusterObservation) -> &str {
    &row.session_cluster_id
}

impl Sweep for ClustersSweep {
    async fn sweep(&mut self, deadline: Instant) -> Result<(), SweepError> {
        let mut rows = BTreeMap::new();
        let outcome = self.read(&self.workspace.scope.client.until(deadline), &mut rows).await;
        let workspace = WorkspaceId {
            account: self.workspace.scope.id.account.clone(),
            workspace_id: self.workspace.workspace_id.clone(),
        };
        let at = self.context.clock.now();
        let seen = rows.values().map(|row| (row.session_cluster_id.clone(), row.kind, row.state)).collect();
        let sweep = ClusterSweep { workspace: workspace.clone(), seen, complete: outcome.is_ok(), at };
        self.context.ledger.apply_clusters(sweep).await?;
        outcome?;
        self.known.clone_from(&rows);
        self.context
            .exposition
            .update(|board| board.set_clusters(workspace, at, rows.into_values().collect()));
        Ok(())
    }
}
