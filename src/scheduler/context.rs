//! What all polls share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::FirstPass;
use super::poll::{self, Sweep};
use crate::api::Client;
use crate::clock::Clock;
use crate::collect::Notes;
use crate::config::{Collector, Collectors, WorkspaceFilter};
use crate::ledger::Ledger;
use crate::metrics::{Exposition, OwnMetrics};
use crate::model::{ScopeId, Target};

/// An account in a region: where to poll, and what of it.
pub struct Scope {
    /// Its name.
    pub id: ScopeId,
    /// Speaks to it.
    pub client: Client,
    /// Which of its workspaces are watched.
    pub workspaces: WorkspaceFilter,
    /// Pages of one history that are asked for at a time.
    pub max_in_flight: usize,
}

/// What all polls share.
pub struct Context {
    /// What is polled, and how often.
    pub collectors: Collectors,
    /// The most pages of one sweep.
    pub pages_max: u32,
    /// How old what is shown may be.
    pub stale_after: Duration,
    /// How long an ended session is kept after the service lists it no more.
    pub retention: Duration,
    /// Where sessions and changes are counted.
    pub ledger: Ledger,
    /// Where complete sweeps are shown.
    pub exposition: Arc<Exposition>,
    /// Where the exporter counts what it does.
    pub own: Arc<OwnMetrics>,
    /// The time of day.
    pub clock: Clock,
    /// Which targets are still without a first sweep.
    pub first_pass: FirstPass,
    /// Ends all polls.
    pub stop: CancellationToken,
    /// All polls.
    pub tasks: TaskTracker,
    /// Which scope watches a workspace.
    pub claims: Claims,
}

impl Context {
    /// Starts to poll a target until `stop`.
    pub(super) fn spawn<S: Sweep + 'static>(
        self: &Arc<Self>,
        target: Target,
        timing: Collector,
        sweep: S,
        stop: CancellationToken,
    ) {
        let first = self.first_pass.expect_one();
        self.tasks.spawn(poll::poll(Arc::clone(self), target, timing, sweep, stop, first));
    }

    /// Counts what was odd about rows.
    pub(super) fn note(&self, notes: &Notes) {
        notes.malformed.iter().for_each(|field| self.own.api.malformed_field(field));
        self.own.api.cut_labels(notes.cut_labels);
    }
}

/// Which scope watches a workspace: a workspace that two of them reach must not be counted twice.
#[derive(Debug, Default)]
pub struct Claims(Mutex<BTreeMap<String, ScopeId>>);

impl Claims {
    /// Claims what the settings name by id; they name no workspace twice.
    pub(super) fn reserve(&self, scope: &Scope) {
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        claims.extend(scope.workspaces.ids.iter().map(|id| (id.clone(), scope.id.clone())));
    }

    /// Claims a workspace for a scope.
    ///
    /// # Errors
    /// The scope that has it already.
    pub(super) fn claim(&self, workspace_id: &str, scope: &ScopeId) -> Result<(), ScopeId> {
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match claims.get(workspace_id) {
            Some(owner) if owner != scope => Err(owner.clone()),
            Some(_) => Ok(()),
            None => {
                claims.insert(workspace_id.to_owned(), scope.clone());
                Ok(())
            }
        }
    }

    /// Lets go of the workspaces of a scope that are no longer listed.
    pub(super) fn keep(&self, scope: &ScopeId, is_listed: impl Fn(&str) -> bool) {
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|workspace_id, owner| owner != scope || is_listed(workspace_id));
    }
}
