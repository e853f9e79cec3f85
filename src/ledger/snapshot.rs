//! The totals as readers see them. Invariant: immutable; every snapshot is a state that is on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Histogram;
use crate::clock::UnixMillis;
use crate::model::{Baseline, ClusterKind, ClusterState, GatewayId, HistoryOrder, Usage, WorkspaceId};

/// Names a counter series within the ledger, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey(pub(super) i64);

/// All totals at one commit.
#[derive(Clone, Debug, Default)]
pub struct LedgerSnapshot {
    /// By gateway.
    pub gateways: BTreeMap<GatewayId, Arc<GatewayTotals>>,
    /// By workspace.
    pub workspaces: BTreeMap<WorkspaceId, Arc<WorkspaceTotals>>,
    /// Livy sessions that the ledger holds.
    pub sessions: u64,
}

impl LedgerSnapshot {
    /// Since when a workspace is known to be watched, under whichever account: what is created in it later has no usage
    /// from before.
    pub fn watched_since(&self, workspace: &WorkspaceId) -> Option<UnixMillis> {
        let first = GatewayId { workspace: workspace.clone(), livy_compute_id: String::new() };
        let gateways = self.gateways.range(first..).take_while(|(id, _)| id.workspace == *workspace);
        // The first pass over a gateway that was there before began at its cut.
        let passes = gateways.filter_map(|(_, gateway)| match gateway.born_watched {
            false => Some(gateway.baseline_cut),
            true => gateway.baseline_complete,
        });
        let clusters = self.workspaces.get(workspace).and_then(|workspace| workspace.clusters_complete);
        passes.chain(clusters).min()
    }
}

/// What a gateway's sessions add up to.
#[derive(Clone, Debug)]
pub struct GatewayTotals {
    pub(super) key: i64,
    /// What becomes of usage from before [`Self::baseline_cut`].
    pub baseline: Baseline,
    /// Sessions created before this are baseline.
    pub baseline_cut: UnixMillis,
    /// When a pass had first seen the whole history; counters are shown from then on.
    pub baseline_complete: Option<UnixMillis>,
    /// The gateway came into being under watch: nothing of it is from before.
    pub born_watched: bool,
    pub(super) pass: i64,
    pub(super) complete_pass: i64,
    /// When the latest pass that saw the whole history ended.
    pub full_pass_at: Option<UnixMillis>,
    /// The order of the history, as that pass proved it.
    pub history_order: Option<HistoryOrder>,
    /// The latest creation among the sessions that are no longer kept.
    pub pruned_through: Option<UnixMillis>,
    /// The file was restored from a copy: not to be shown before a pass has brought it up to date.
    pub resweep: bool,
    /// By queue.
    pub series: BTreeMap<String, SeriesTotals>,
    /// From `createTime` to `endTime` of the sessions that ended.
    pub durations: Histogram,
}

impl GatewayTotals {
    /// Whether the counters may be shown: a pass has seen the whole history, and none is due to bring them up to date.
    pub fn is_shown(&self) -> bool {
        self.baseline_complete.is_some() && !self.resweep
    }
}

/// What the sessions of one queue of a gateway add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesTotals {
    /// Its name for [`super::Ledger::release`].
    pub key: SeriesKey,
    /// Still to be shown at zero.
    pub held: bool,
    /// Sum of the highest figures ever observed.
    pub highest: Usage,
    /// The part of it that a baseline of `exclude` leaves out.
    pub base: Usage,
    /// Highest minus latest figures: what a downward revision took back.
    pub over: Usage,
    /// Sessions that came into being.
    pub created: u64,
    /// Sessions that ended `terminated`.
    pub terminated: u64,
    /// Sessions that ended in `error`.
    pub error: u64,
}

impl SeriesTotals {
    /// A series without sessions.
    pub(super) fn new(key: SeriesKey, held: bool) -> Self {
        Self {
            key,
            held,
            highest: Usage::ZERO,
            base: Usage::ZERO,
            over: Usage::ZERO,
            created: 0,
            terminated: 0,
            error: 0,
        }
    }

    /// What the counters show.
    pub fn usage(&self) -> Usage {
        self.highest.minus(self.base)
    }
}

/// What a workspace's session clusters add up to.
#[derive(Clone, Debug, Default)]
pub struct WorkspaceTotals {
    pub(super) key: i64,
    /// When a sweep had first seen all session clusters; counters are shown from then on.
    pub clusters_complete: Option<UnixMillis>,
    /// Changes into each state.
    pub changes: BTreeMap<(ClusterKind, ClusterState), u64>,
    /// From `Starting` to `Running`, as observed; one a kind that has been seen.
    pub start_durations: BTreeMap<ClusterKind, Histogram>,
}
