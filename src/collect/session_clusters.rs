//! Session clusters.

use super::Notes;
use crate::api::wire;
use crate::model::{ClusterKind, ClusterObservation, ClusterState};

/// A row of ListSessionClusters, or the object of GetSessionCluster.
pub(super) fn observe(row: wire::SessionCluster, notes: &mut Notes) -> Option<ClusterObservation> {
    let auto_stop = row.auto_stop.unwrap_or_default();
    Some(ClusterObservation {
        session_cluster_id: notes.id("sessionClusters[]", row.session_cluster_id)?,
        name: notes.label(row.name),
        kind: notes.known("kind", row.kind.as_deref(), ClusterKind::from_api, ClusterKind::Unknown),
        state: notes.known("state", row.state.as_deref(), ClusterState::from_api, ClusterState::Unknown),
        reason_code: notes.label(row.state_change_reason.and_then(|reason| reason.code)),
        queue: notes.label(row.queue),
        release_version: notes.label(row.display_release_version.or(row.release_version)),
        fusion: row.fusion.unwrap_or(false),
        user_name: notes.label(row.user_name),
        created: row.created,
        started: row.started,
        auto_start: row.auto_start.and_then(|auto_start| auto_start.enable),
        auto_stop_timeout_seconds: auto_stop
            .idle_timeout_minutes
            .filter(|_| auto_stop.enable == Some(true))
            .map(|minutes| minutes.saturating_mul(60)),
        public_endpoint: row.public_endpoint,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_counts_only_where_auto_stop_is_on() {
        let row = |enable| wire::SessionCluster {
            session_cluster_id: Some("sc-1".into()),
            auto_stop: Some(wire::AutoStop { enable, idle_timeout_minutes: Some(45) }),
            ..wire::SessionCluster::default()
        };
        let timeout = |enable| observe(row(enable), &mut Notes::default()).unwrap().auto_stop_timeout_seconds;
        assert_eq!((timeout(Some(true)), timeout(Some(false)), timeout(None)), (Some(2_700), None, None));
    }

    #[test]
    fn the_version_that_the_console_shows_is_preferred() {
        let row = wire::SessionCluster {
            session_cluster_id: Some("sc-1".into()),
            release_version: Some("esr-4.0.0".into()),
            display_release_version: Some("esr-4.0.0 (Spark 3.5.2, Scala 2.12)".into()),
            ..wire::SessionCluster::default()
        };
        let seen = observe(row, &mut Notes::default()).unwrap();
        assert_eq!(seen.release_version, "esr-4.0.0 (Spark 3.5.2, Scala 2.12)");
        assert_eq!((seen.kind, seen.state), (ClusterKind::Unknown, ClusterState::Unknown));
    }
}
