//! Workspaces.

use super::Notes;
use crate::api::wire;
use crate::model::WorkspaceObservation;

/// A tag without a value is one all the same.
fn tag(tag: wire::WorkspaceTag) -> Option<(String, String)> {
    Some((tag.key?, tag.value.unwrap_or_default()))
}

/// A row of ListWorkspaces.
pub(super) fn observe(row: wire::Workspace, notes: &mut Notes) -> Option<WorkspaceObservation> {
    Some(WorkspaceObservation {
        workspace_id: notes.id("workspaces[]", row.workspace_id)?,
        name: notes.label(row.name),
        status: notes.label(row.status),
        payment_type: notes.label(row.payment_type),
        created: row.created,
        tags: row.tags.unwrap_or_default().into_iter().filter_map(tag).collect(),
    })
}
