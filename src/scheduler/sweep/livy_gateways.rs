//! The Livy gateways of a workspace; beneath each, its session history.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{History, SessionsSweep, Workspace};
use crate::collect::{Notes, observe_all};
use crate::model::{GatewayObservation, Target, TargetKind, WorkspaceId};
use crate::scheduler::children::Children;
use crate::scheduler::list::keep_known;
use crate::scheduler::poll::{Round, Sweep};
use crate::scheduler::{Context, Settings, SweepError};

/// See the module.
pub(super) struct GatewaysSweep {
    context: Arc<Context>,
    workspace: Workspace,
    stop: CancellationToken,
    children: Children<String>,
    /// As the latest complete sweep saw them.
    known: BTreeMap<String, GatewayObservation>,
}

impl GatewaysSweep {
    pub(super) fn new(context: Arc<Context>, workspace: Workspace, stop: CancellationToken) -> Self {
        Self { context, workspace, stop, children: Children::default(), known: BTreeMap::new() }
    }

    /// Polls the history of each known gateway, if histories are polled.
    fn reconcile(&mut self, settings: &Settings) {
        let is_polled = settings.collectors.livy_sessions.is_some();
        let wanted = self.known.iter().filter(|_| is_polled).map(|(id, row)| (id.clone(), row)).collect();
        self.children.reconcile(&self.stop, wanted, |row, stop| {
            let scope = &self.workspace.scope;
            let target = Target::livy_sessions(scope, &self.workspace.workspace_id, &row.livy_compute_id);
            let history = History {
                context: Arc::clone(&self.context),
                watched_since: self.workspace.watched_since,
                target: target.clone(),
                gateway: target.gateway(),
                created: row.created,
            };
            self.context.spawn(target, SessionsSweep::new(history), stop);
        });
    }
}

impl Sweep for GatewaysSweep {
    async fn sweep(&mut self, round: Round) -> Result<(), SweepError> {
        let page = round.client.list_livy_compute(&self.workspace.workspace_id).await?;
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
        self.reconcile(&self.context.settings());
        let workspace = WorkspaceId {
            account: self.workspace.scope.account.clone(),
            workspace_id: self.workspace.workspace_id.clone(),
        };
        let now = self.context.clock.now();
        self.context
            .exposition
            .update(|board| board.set_gateways(workspace, now, rows.into_values().collect()));
        Ok(())
    }

    async fn adopt(&mut self, settings: &Settings) -> bool {
        self.reconcile(settings);
        false
    }
}
