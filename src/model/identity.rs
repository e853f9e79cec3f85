//! Names of what is watched.

use super::TargetKind;

/// An account in a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeId {
    /// The account's name in the configuration.
    pub account: String,
    /// Region id such as `cn-hangzhou`.
    pub region: String,
}

/// A workspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkspaceId {
    /// The account's name in the configuration.
    pub account: String,
    /// `workspaceId`
    pub workspace_id: String,
}

/// A Livy gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayId {
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// `computeId`
    pub livy_compute_id: String,
}

/// One thing that is polled on its own. Ids that its kind does not have are empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// What is polled there.
    pub kind: TargetKind,
    /// Where.
    pub scope: ScopeId,
    /// `workspaceId`
    pub workspace_id: String,
    /// `computeId`
    pub livy_compute_id: String,
}

impl Target {
    /// The workspaces of an account in a region.
    pub fn workspaces(scope: &ScopeId) -> Self {
        let none = String::new;
        Self {
            kind: TargetKind::Workspaces,
            scope: scope.clone(),
            workspace_id: none(),
            livy_compute_id: none(),
        }
    }

    /// Something of a workspace.
    pub fn of_workspace(kind: TargetKind, scope: &ScopeId, workspace_id: &str) -> Self {
        Self { kind, scope: scope.clone(), workspace_id: workspace_id.into(), livy_compute_id: String::new() }
    }

    /// The session history of a Livy gateway.
    pub fn livy_sessions(scope: &ScopeId, workspace_id: &str, livy_compute_id: &str) -> Self {
        Self {
            livy_compute_id: livy_compute_id.into(),
            ..Self::of_workspace(TargetKind::LivySessions, scope, workspace_id)
        }
    }

    /// The workspace that it is about, or is in.
    pub fn workspace(&self) -> WorkspaceId {
        WorkspaceId { account: self.scope.account.clone(), workspace_id: self.workspace_id.clone() }
    }

    /// The gateway that it is about.
    pub fn gateway(&self) -> GatewayId {
        GatewayId { workspace: self.workspace(), livy_compute_id: self.livy_compute_id.clone() }
    }
}
