//! The Livy gateways of a workspace; beneath each, its session history.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{History, SessionsSweep, Workspace};
use crate::collect::{Notes, observe_all};
use crate::model::{GatewayObservation, Target, TargetKind, WorkspaceId};
use crate::scheduler::children::Children;
use crate::scheduler::list::keep_known;
use crate::scheduler::poll::Sweep;
use crate::scheduler::{Context, SweepError};

/// See the module.
pub(super) struct GatewaysSweep {
    context: Arc<Context>,
    workspace: Workspace,
    stop: CancellationToken,
    children: Children,
    /// As the latest complete sweep saw them.
    known: BTreeMap<String, GatewayObservation>,
}

impl GatewaysSweep {
    pub(super) fn new(context: Arc<Context>, workspace: Workspace, stop: CancellationToken) -> Self {
        Self { context, workspace, stop, children: Children::default(), known: BTreeMap::new() }
    }

    fn reconcile(&mut self, rows: &BTreeMap<String, GatewayObservation>) {
        let Some(settings) = self.context.collectors.livy_sessions else { return };
        let wanted: BTreeMap<&str, &GatewayObservation> =
            rows.iter().map(|(id, row)| (id.as_str(), row)).collect();
        self.children.reconcile(&self.stop, wanted, |row, stop| {
            let scope = &self.workspace.scope.id;
            let target = Target::livy_sessions(scope, &self.workspace.workspace_id, &row.livy_compute_id);
            let history = History {
                context: Arc::clone(&self.context),
                workspace: self.workspace.clone(),
                target: target.clone(),
                gateway: target.gateway(),
                created: row.created,
                page_size: settings.collector.page_size,
                client: self.workspace.scope.client.clone(),
            };
            let sweep = SessionsSweep::new(history, settings);
            self.context.spawn(target, settings.collector, sweep, stop);
        });
    }
}

impl Sweep for GatewaysSweep {
    async fn sweep(&mut self, deadline: Instant) -> Result<(), SweepError> {
        let client = self.workspace.scope.client.until(deadline);
        let page = client.list_livy_compute(&self.workspace.workspace_id).await?;
        self.context.own.sweeps.page(TargetKind::LivyGateways);
        let mut notes = Notes::default();
        // The list has no pages; should it repeat a gateway, the last row counts.
        let seen = observe_all(page.rows, &mut notes);
        let unusable = page.row_count.saturating_sub(seen.len());
        let mut rows: BTreeMap<String, GatewayObservation> =
            seen.into_iter().map(|row| (row.livy_compute_id.clone(), row)).collect();
        keep_known(&mut rows, &self.known, unusable);
        self.known.clone_from(&rows);
        self.context.note(&notes);
        self.reconcile(&rows);
        let workspace = WorkspaceId {
            account: self.workspace.scope.id.account.clone(),
            workspace_id: self.workspace.workspace_id.clone(),
        };
        let now = self.context.clock.now();
        self.context
            .exposition
            .update(|board| board.set_gateways(workspace, now, rows.into_values().collect()));
        Ok(())
    }
}
