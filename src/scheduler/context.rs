//! What all polls share.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::alone::Polled;
use super::claims::Claims;
use super::poll::{self, Sweep};
use super::{FirstPass, Settings};
use crate::clock::Clock;
use crate::collect::Notes;
use crate::ledger::Ledger;
use crate::metrics::{Exposition, OwnMetrics};
use crate::model::Target;

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
