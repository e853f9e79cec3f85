//! A row of ListSessionClusters, and the object of GetSessionCluster.
//! Invariant: `connectionToken`, a secret, is not among the fields.

use super::lenient::{Count, Flag, Nested, Text, Timestamp};
use super::{Row, wire_object};
use crate::clock::UnixMillis;

wire_object! {
    /// A session cluster, from ListSessionClusters or GetSessionCluster.
    SessionCluster, reported as "" {
        /// `sessionClusterId`; there in every row that a page hands out.
        session_cluster_id: String, read as Text, "sessionClusterId";
        /// `name`
        name: String, read as Text, "name";
        /// `kind`, as the API writes it.
        kind: String, read as Text, "kind";
        /// `state`, as the API writes it.
        state: String, read as Text, "state";
        /// `stateChangeReason`
        state_change_reason: StateChangeReason, read as Nested<StateChangeReason>, "stateChangeReason";
        /// `queueName`
        queue: String, read as Text, "queueName";
        /// `userName`
        user_name: String, read as Text, "userName";
        /// `releaseVersion`
        release_version: String, read as Text, "releaseVersion";
        /// `displayReleaseVersion`
        display_release_version: String, read as Text, "displayReleaseVersion";
        /// `fusion`
        fusion: bool, read as Flag, "fusion";
        /// `gmtCreate`
        created: UnixMillis, read as Timestamp, "gmtCreate";
        /// `startTime`
        started: UnixMillis, read as Timestamp, "startTime";
        /// `autoStartConfiguration`
        auto_start: AutoStart, read as Nested<AutoStart>, "autoStartConfiguration";
        /// `autoStopConfiguration`
        auto_stop: AutoStop, read as Nested<AutoStop>, "autoStopConfiguration";
        /// `publicEndpointEnabled`
        public_endpoint: bool, read as Flag, "publicEndpointEnabled";
    }
}

wire_object! {
    /// `stateChangeReason` of a session cluster.
    StateChangeReason, reported as "stateChangeReason." {
        /// `code`
        code: String, read as Text, "code";
    }
}

wire_object! {
    /// `autoStartConfiguration` of a session cluster.
    AutoStart, reported as "autoStartConfiguration." {
        /// `enable`
        enable: bool, read as Flag, "enable";
    }
}

wire_object! {
    /// `autoStopConfiguration` of a session cluster.
    AutoStop, reported as "autoStopConfiguration." {
        /// `enable`
        enable: bool, read as Flag, "enable";
        /// `idleTimeoutMinutes`
        idle_timeout_minutes: u64, read as Count, "idleTimeoutMinutes";
    }
}

impl Row for SessionCluster {
    const ROW: &'static str = "sessionClusters[]";

    fn has_id(&self) -> bool {
        self.session_cluster_id.is_some()
    }
}
