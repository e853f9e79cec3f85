//! A row of ListWorkspaces.

use super::lenient::{List, Text, Timestamp};
use super::{Row, wire_object};
use crate::clock::UnixMillis;

wire_object! {
    /// A workspace, from ListWorkspaces.
    Workspace, reported as "" {
        /// `workspaceId`; there in every row that a page hands out.
        workspace_id: String, read as Text, "workspaceId";
        /// `workspaceName`
        name: String, read as Text, "workspaceName";
        /// `workspaceStatus`
        status: String, read as Text, "workspaceStatus";
        /// `paymentType`
        payment_type: String, read as Text, "paymentType";
        /// `createTime`
        created: UnixMillis, read as Timestamp, "createTime";
        /// `tags`
        tags: Vec<WorkspaceTag>, read as List<WorkspaceTag>, "tags";
    }
}

wire_object! {
    /// One of `tags` of a workspace.
    WorkspaceTag, reported as "tags[]." {
        /// `tagKey`
        key: String, read as Text, "tagKey";
        /// `tagValue`
        value: String, read as Text, "tagValue";
    }
}

impl Row for Workspace {
    const ROW: &'static str = "workspaces[]";

    fn has_id(&self) -> bool {
        self.workspace_id.is_some()
    }
}
