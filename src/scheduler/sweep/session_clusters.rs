//! The session clusters of a workspace. One that a complete list lacks is asked for by name before it is let go.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Workspace;
use crate::clock::{UnixMillis, millis};
use crate::collect::{Notes, Observe};
use crate::ledger::ClusterSweep;
use crate::model::{ClusterObservation, FailureReason, TargetKind, WorkspaceId};
use crate::scheduler::list::read_list;
use crate::scheduler::poll::{Round, Sweep};
use crate::scheduler::{Context, SweepError};

/// Missing clusters that one sweep asks for by name; the others wait for the next one.
const CONFIRMATIONS_MAX: usize = 20;

/// See the module.
pub(super) struct ClustersSweep {
    context: Arc<Context>,
    workspace: Workspace,
    /// As the latest complete list had them, and those that it lacked and that are not known to be gone.
    known: BTreeMap<String, ClusterObservation>,
    /// Since when a cluster is missing without an answer to whether it is gone.
    missing_since: BTreeMap<String, UnixMillis>,
}

impl ClustersSweep {
    pub(super) fn new(context: Arc<Context>, workspace: Workspace) -> Self {
        Self { context, workspace, known: BTreeMap::new(), missing_since: BTreeMap::new() }
    }

    async fn list(
        &self,
        round: &Round,
        rows: &mut BTreeMap<String, ClusterObservation>,
    ) -> Result<(), SweepError> {
        let Round { settings, client, .. } = round;
        let page_size = settings.collectors.session_clusters.map_or(1, |timing| timing.page_size);
        let workspace_id = &self.workspace.workspace_id;
        let fetch = |token: Option<String>| async move {
            client.list_session_clusters(workspace_id, token.as_deref(), page_size).await
        };
        read_list(&self.context, settings.pages_max, TargetKind::SessionClusters, rows, id_of, fetch).await?;
        Ok(())
    }

    /// Puts back what is known and missing, unless GetSessionCluster has it no more either, or has not said so for as
    /// long as a gauge may be old. An error is the first question that was not answered: it concerns that cluster alone.
    async fn confirm(
        &mut self,
        round: &Round,
        rows: &mut BTreeMap<String, ClusterObservation>,
    ) -> Result<(), SweepError> {
        self.missing_since.retain(|id, _| self.known.contains_key(id) && !rows.contains_key(id));
        let missing = self.known.iter().filter(|(id, _)| !rows.contains_key(*id));
        let missing: Vec<_> = missing.map(|(id, known)| (id.clone(), known.clone())).collect();
        let mut outcome = Ok(());
        for (number, (id, known)) in missing.into_iter().enumerate() {
            if number < CONFIRMATIONS_MAX {
                match round.client.get_session_cluster(&self.workspace.workspace_id, &id).await {
                    Ok(row) => {
                        let mut notes = Notes::default();
                        rows.extend(row.observe(&mut notes).map(|row| (id.clone(), row)));
                        self.context.note(&notes);
                        self.missing_since.remove(&id);
                        continue;
                    }
                    Err(error) if error.reason() == FailureReason::NotFound => continue,
                    Err(error) => outcome = outcome.and(Err(error.into())),
                }
            }
            let now = self.context.clock.now();
            let since = *self.missing_since.entry(id.clone()).or_insert(now);
            if now.saturating_sub(since) < millis(round.settings.stale_after) {
                rows.insert(id, known);
            }
        }
        outcome
    }
}

fn id_of(row: &ClusterObservation) -> &str {
    &row.session_cluster_id
}

impl Sweep for ClustersSweep {
    async fn sweep(&mut self, round: Round) -> Result<(), SweepError> {
        let mut rows = BTreeMap::new();
        let listed = self.list(&round, &mut rows).await;
        let confirmed = if listed.is_ok() { self.confirm(&round, &mut rows).await } else { Ok(()) };
        if listed.is_ok() {
            self.known.clone_from(&rows);
        }
        let workspace = WorkspaceId {
            account: self.workspace.scope.account.clone(),
            workspace_id: self.workspace.workspace_id.clone(),
        };
        let at = self.context.clock.now();
        let seen = rows.values().map(|row| (row.session_cluster_id.clone(), row.kind, row.state)).collect();
        let complete = listed.is_ok() && confirmed.is_ok();
        let sweep = ClusterSweep { workspace: workspace.clone(), seen, complete, at };
        self.context.ledger.apply_clusters(sweep).await?;
        listed?;
        self.context
            .exposition
            .update(|board| board.set_clusters(workspace, at, rows.into_values().collect()));
        confirmed
    }
}
