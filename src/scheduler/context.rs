//! What all polls share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::alone::Polled;
use super::poll::{self, Sweep};
use super::{FirstPass, Scope, Settings};
use crate::clock::Clock;
use crate::collect::Notes;
use crate::ledger::Ledger;
use crate::metrics::{Exposition, OwnMetrics};
use crate::model::{ScopeId, Target};

/// What polls work with, whatever the settings.
pub struct Surroundings {
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
}

/// What all polls share.
pub(super) struct Context {
    /// As they are now.
    pub(super) settings: watch::Sender<Arc<Settings>>,
    pub(super) ledger: Ledger,
    pub(super) exposition: Arc<Exposition>,
    pub(super) own: Arc<OwnMetrics>,
    pub(super) clock: Clock,
    pub(super) first_pass: FirstPass,
    /// Ends all polls.
    pub(super) stop: CancellationToken,
    /// All polls.
    pub(super) tasks: TaskTracker,
    /// Which scope watches a workspace.
    pub(super) claims: Claims,
    /// Which targets are polled.
    pub(super) polled: Polled,
}

impl Context {
    pub(super) fn new(surroundings: Surroundings, settings: Settings) -> Self {
        let Surroundings { ledger, exposition, own, clock, first_pass } = surroundings;
        Self {
            settings: watch::Sender::new(Arc::new(settings)),
            ledger,
            exposition,
            own,
            clock,
            first_pass,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            claims: Claims::default(),
            polled: Polled::default(),
        }
    }

    /// The settings as they are now.
    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.borrow())
    }

    /// Starts to poll a target until `stop`.
    pub(super) fn spawn<S: Sweep + 'static>(
        self: &Arc<Self>,
        target: Target,
        sweep: S,
        stop: CancellationToken,
    ) {
        let first = self.first_pass.expect_one();
        self.tasks.spawn(poll::poll(Arc::clone(self), target, sweep, stop, first));
    }

    /// Counts what was odd about rows.
    pub(super) fn note(&self, notes: &Notes) {
        notes.malformed.iter().for_each(|field| self.own.api.malformed_field(field));
        self.own.api.cut_labels(notes.cut_labels);
    }
}

/// Which scope watches a workspace: a workspace that two of them reach must not be counted twice.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<BTreeMap<String, ScopeId>>);

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

    /// Lets go of all workspaces of a scope.
    pub(super) fn release(&self, scope: &ScopeId) {
        self.keep(scope, |_| false);
    }

    /// Lets go of the workspaces of a scope that are no longer listed.
    pub(super) fn keep(&self, scope: &ScopeId, is_listed: impl Fn(&str) -> bool) {
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|workspace_id, owner| owner != scope || is_listed(workspace_id));
    }
}
