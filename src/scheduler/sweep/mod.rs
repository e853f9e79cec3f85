//! One file a kind of target: how it is read.

mod history;
mod livy_gateways;
mod livy_sessions;
mod session_clusters;
mod workspaces;

pub(super) use workspaces::WorkspacesSweep;

use history::History;
use livy_gateways::GatewaysSweep;
use livy_sessions::SessionsSweep;
use session_clusters::ClustersSweep;

/// What the sweeps of a workspace share.
#[derive(Clone)]
struct Workspace {
    scope: crate::model::ScopeId,
    workspace_id: String,
    /// Since when its account and region are watched.
    watched_since: crate::clock::UnixMillis,
}
