//! What polls are told, and may be told anew while they run. Invariant: a sweep works with one set of settings from its
//! begin to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::api::Client;
use crate::config::{Collector, Collectors, WorkspaceFilter};
use crate::model::{ScopeId, Target, TargetKind};

/// What is polled, how often, and of whom.
pub struct Settings {
    /// What is polled, and how often.
    pub collectors: Collectors,
    /// The most pages of one sweep.
    pub pages_max: u32,
    /// How old what is shown may be.
    pub stale_after: Duration,
    /// How long an ended session is kept after the service lists it no more.
    pub retention: Duration,
    /// The accounts in their regions.
    pub scopes: BTreeMap<ScopeId, Arc<Scope>>,
}

/// An account in a region: where to poll, and what of it.
pub struct Scope {
    /// Its name.
    pub id: ScopeId,
    /// Speaks to it.
    pub client: Client,
    /// Changes with the way to the service and with the source of the keys: what was found before is looked at anew.
    pub access: u64,
    /// Which of its workspaces are watched.
    pub workspaces: WorkspaceFilter,
    /// Pages of one history that are asked for at a time.
    pub max_in_flight: usize,
}

impl Settings {
    /// The workspaces that they name by id, each with whom they name it for.
    pub(super) fn named(&self) -> BTreeMap<String, ScopeId> {
        let ids = |scope: &Arc<Scope>| {
            scope.workspaces.ids.iter().map(|id| (id.clone(), scope.id.clone())).collect::<Vec<_>>()
        };
        self.scopes.values().flat_map(ids).collect()
    }

    /// How a target is polled, and by whom; `None` where it is not, any more or for now.
    pub(super) fn of(&self, target: &Target) -> Option<(Collector, &Arc<Scope>)> {
        let Collectors { workspaces, session_clusters, livy_gateways, livy_sessions } = &self.collectors;
        let collector = match target.kind {
            TargetKind::Workspaces => Some(*workspaces),
            TargetKind::SessionClusters => *session_clusters,
            TargetKind::LivyGateways => *livy_gateways,
            TargetKind::LivySessions => livy_sessions.map(|sessions| sessions.collector),
        };
        Some((collector?, self.scopes.get(&target.scope)?))
    }
}
