//! Livy sessions.

use super::Notes;
use crate::api::wire;
use crate::model::{ReportedUsage, SessionObservation, SessionState};

/// A row of ListLivyComputeSessions.
pub(super) fn observe(row: wire::LivySession, notes: &mut Notes) -> Option<SessionObservation> {
    Some(SessionObservation {
        session_id: notes.id("sessions[]", row.session_id)?,
        name: notes.label(row.name),
        queue: notes.label(row.queue),
        state: notes.known("state", row.state.as_deref(), SessionState::from_api, SessionState::Unknown),
        created: row.created,
        ended: row.ended,
        usage: ReportedUsage {
            nano_cu_hours: row.nano_cu_hours,
            vcore_seconds: row.vcore_seconds,
            mb_seconds: row.mb_seconds,
        },
    })
}
