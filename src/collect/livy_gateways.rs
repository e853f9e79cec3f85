//! Livy gateways.

use super::Notes;
use crate::api::wire;
use crate::model::{GatewayObservation, GatewayState};

/// A row of ListLivyCompute.
pub(super) fn observe(row: wire::LivyCompute, notes: &mut Notes) -> Option<GatewayObservation> {
    Some(GatewayObservation {
        livy_compute_id: notes.id("livyComputes[]", row.compute_id)?,
        name: notes.label(row.name),
        state: notes.known("status", row.status.as_deref(), GatewayState::from_api, GatewayState::Unknown),
        queue: notes.label(row.queue),
        created_by: notes.label(row.created_by),
        created: row.created,
        started: row.started,
    })
}
