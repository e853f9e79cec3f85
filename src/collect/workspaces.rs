//! Workspaces.

use super::Notes;
use crate::api::wire;
use crate::model::WorkspaceObservation;

/// A row of ListWorkspaces.
pub(super) fn observe(row: wire::Workspace, notes: &mut Notes) -> Option<WorkspaceObservation> {
    Some(WorkspaceObservation {
        workspace_id: notes.id("workspaces[]", row.workspace_id)?,
        name: notes.label(row.name),
        status: notes.label(row.status),
        payment_type: notes.label(row.payment_type),
        created: row.created,
    })
}
