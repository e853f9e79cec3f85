//! From the rows of the API's answers to observations, and from pages to a verdict on the list that they make up.
//! Invariant: pure; no clock, no socket, no file.

mod history;
mod listing;
mod livy_gateways;
mod livy_sessions;
mod notes;
mod order;
mod session_clusters;
mod steady;
mod tracker;
mod workspaces;

pub use history::{HistoryError, HistoryPage, HistoryPass, ReadPages, Verdict};
pub use listing::{Listing, Settling, Unsettled};
pub use notes::Notes;
pub use steady::{Advance, SteadyPoll, Surprise};
pub use tracker::Tracker;

use crate::api::wire;
use crate::model::{ClusterObservation, GatewayObservation, SessionObservation, WorkspaceObservation};

/// A row that can be observed.
pub trait Observe {
    /// What comes of it.
    type Observation;

    /// Turns the row into an observation; `None` where its id cannot serve as one. What was odd goes to `notes`.
    fn observe(self, notes: &mut Notes) -> Option<Self::Observation>;
}

/// Turns rows into observations.
pub fn observe_all<R: Observe>(rows: Vec<R>, notes: &mut Notes) -> Vec<R::Observation> {
    rows.into_iter().filter_map(|row| row.observe(notes)).collect()
}

macro_rules! observe {
    ($($row:ty => $observation:ty, $with:path;)+) => {$(
        impl Observe for $row {
            type Observation = $observation;

            fn observe(self, notes: &mut Notes) -> Option<$observation> {
                $with(self, notes)
            }
        }
    )+};
}
observe! {
    wire::Workspace => WorkspaceObservation, workspaces::observe;
    wire::SessionCluster => ClusterObservation, session_clusters::observe;
    wire::LivyCompute => GatewayObservation, livy_gateways::observe;
    wire::LivySession => SessionObservation, livy_sessions::observe;
}
