//! Workspaces, session clusters and Livy gateways as one poll saw them.

use super::label_enum;
use crate::clock::UnixMillis;

/// A workspace, from ListWorkspaces. Texts are empty where missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceObservation {
    /// `workspaceId`; never empty.
    pub workspace_id: String,
    /// `workspaceName`
    pub name: String,
    /// `workspaceStatus`, as the API writes it.
    pub status: String,
    /// `paymentType`, as the API writes it.
    pub payment_type: String,
    /// `createTime`, where it is present and positive.
    pub created: Option<UnixMillis>,
    /// `tags`: keys and values, for the choice of what is watched.
    pub tags: Vec<(String, String)>,
}

impl WorkspaceObservation {
    /// A workspace of which only the id is known.
    pub fn unlisted(workspace_id: &str) -> Self {
        Self {
            workspace_id: workspace_id.to_owned(),
            name: String::new(),
            status: String::new(),
            payment_type: String::new(),
            created: None,
            tags: Vec::new(),
        }
    }
}

label_enum! {
    /// The state of a session cluster, from ListSessionClusters.
    ClusterState {
        /// `Starting`
        Starting => "Starting",
        /// `Running`
        Running => "Running",
        /// `Stopping`
        Stopping => "Stopping",
        /// `Stopped`
        Stopped => "Stopped",
        /// `Error`: the cluster failed.
        Error => "Error",
        /// Missing, or a state that this exporter does not know.
        Unknown => "unknown",
    }
}

label_enum! {
    /// The kind of a session cluster.
    ClusterKind {
        /// A SQL session.
        Sql => "SQL",
        /// A notebook session.
        Notebook => "NOTEBOOK",
        /// A Thrift server.
        Thrift => "THRIFT",
        /// Missing, or a kind that this exporter does not know.
        Unknown => "unknown",
    }
}

/// A session cluster, from ListSessionClusters or GetSessionCluster. Texts are empty where missing.
/// The `connectionToken` is a secret and has no place here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterObservation {
    /// `sessionClusterId`; never empty.
    pub session_cluster_id: String,
    /// `name`
    pub name: String,
    /// `kind`
    pub kind: ClusterKind,
    /// `state`
    pub state: ClusterState,
    /// `stateChangeReason.code`
    pub reason_code: String,
    /// `queueName`
    pub queue: String,
    /// `displayReleaseVersion`, else `releaseVersion`
    pub release_version: String,
    /// `fusion`: the Fusion engine accelerates it.
    pub fusion: bool,
    /// `userName`
    pub user_name: String,
    /// `gmtCreate`, where it is present and positive.
    pub created: Option<UnixMillis>,
    /// `startTime`, where it is present and positive.
    pub started: Option<UnixMillis>,
    /// `autoStartConfiguration.enable`
    pub auto_start: Option<bool>,
    /// `autoStopConfiguration.idleTimeoutMinutes` in seconds, where auto-stop is enabled.
    pub auto_stop_timeout_seconds: Option<u64>,
    /// `publicEndpointEnabled`
    pub public_endpoint: Option<bool>,
}

label_enum! {
    /// The state of a Livy gateway, from `status` of ListLivyCompute.
    GatewayState {
        /// `Starting`
        Starting => "Starting",
        /// `Running`
        Running => "Running",
        /// `Stopping`
        Stopping => "Stopping",
        /// `Stopped`
        Stopped => "Stopped",
        /// `Error`
        Error => "Error",
        /// Missing, or a state that this exporter does not know.
        Unknown => "unknown",
    }
}

/// A Livy gateway, from ListLivyCompute. Texts are empty where missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayObservation {
    /// `computeId`; never empty.
    pub livy_compute_id: String,
    /// `name`
    pub name: String,
    /// `status`
    pub state: GatewayState,
    /// `queueName`
    pub queue: String,
    /// `createdBy`
    pub created_by: String,
    /// `gmtCreate`, where it is present and positive.
    pub created: Option<UnixMillis>,
    /// `startTime`, where it is present and positive.
    pub started: Option<UnixMillis>,
}

macro_rules! from_api {
    ($($name:ident),+) => {$(
        impl $name {
            /// The value of this name, whatever its case.
            pub fn from_api(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| text.eq_ignore_ascii_case(v.as_str()) && *v != Self::Unknown)
            }
        }
    )+};
}
from_api!(ClusterState, ClusterKind, GatewayState);
