//! One row of a Livy gateway's session history.

use super::{ReportedUsage, label_enum};
use crate::clock::UnixMillis;

label_enum! {
    /// The state of a Livy session, from ListLivyComputeSessions.
    SessionState {
        /// `starting`
        Starting => "starting",
        /// `running`
        Running => "running",
        /// `terminating`
        Terminating => "terminating",
        /// `terminated`: an end.
        Terminated => "terminated",
        /// `error`: an end.
        Error => "error",
        /// Missing, or a state that this exporter does not know.
        Unknown => "unknown",
    }
}

impl SessionState {
    /// The states in which a session has ended.
    pub const ENDED: [Self; 2] = [Self::Terminated, Self::Error];

    /// Whether the session has ended.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Terminated | Self::Error)
    }

    /// The state of this name, whatever its case.
    pub fn from_api(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|state| text.eq_ignore_ascii_case(state.as_str()) && *state != Self::Unknown)
    }
}

label_enum! {
    /// The order in which a history lists its sessions.
    HistoryOrder {
        /// Latest `createTime` first.
        NewestFirst => "newest_first",
        /// Earliest `createTime` first.
        OldestFirst => "oldest_first",
    }
}

impl HistoryOrder {
    /// The order of this name.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|order| order.as_str() == text)
    }
}

/// A Livy session as one poll saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionObservation {
    /// `sessionId`: unique within its gateway; never empty.
    pub session_id: String,
    /// `name`, empty where missing.
    pub name: String,
    /// `queue`, empty where missing.
    pub queue: String,
    /// `state`.
    pub state: SessionState,
    /// `createTime`, where it is present and positive.
    pub created: Option<UnixMillis>,
    /// `endTime`, where it is present and positive. A running session may carry one too.
    pub ended: Option<UnixMillis>,
    /// `cuHours`, `vcoreSeconds`, `mbSeconds`: what the session consumed so far.
    pub usage: ReportedUsage,
}

/// What was known of a session before it was seen this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing: it was never seen.
    New,
    /// It had been seen, but not yet by this pass.
    Known(SessionState),
    /// This pass had seen it already.
    Seen(SessionState),
}

impl Before {
    /// Whether this pass had not seen it yet.
    pub fn is_fresh(self) -> bool {
        !matches!(self, Self::Seen(_))
    }
}
