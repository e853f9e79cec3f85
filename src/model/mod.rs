//! What the rooms hand to each other: observations of the remote resources, usage figures, closed label sets.
//! Invariant: plain data; no I/O, no clock, no imports from other modules but the clock's timestamp type.

mod counts;
mod cut;
mod format;
mod identity;
mod label;
mod resource;
mod session;
mod usage;

pub use counts::SessionCounts;
pub use cut::Cut;
pub use format::Format;
pub use identity::{GatewayId, ScopeId, Target, WorkspaceId};
pub use label::{Action, FailureReason, Outcome, TargetKind};
pub use resource::{
    ClusterKind, ClusterObservation, ClusterState, GatewayObservation, GatewayState, WorkspaceObservation,
};
pub use session::{Before, HistoryOrder, SessionObservation, SessionState};
pub use usage::{ReportedUsage, Usage};

/// What becomes of usage from before the exporter's first sweep of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// It is part of the counters, which appear at their value when that sweep is complete.
    Include,
    /// The counters appear at 0 when that sweep is complete and count what comes after.
    Exclude,
}

/// Declares a closed set of label values: the variants, their text, and all of them in declaration order.
macro_rules! label_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident => $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every value, in the order of declaration, so that each can be exposed from the start.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The label value.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
use label_enum;
