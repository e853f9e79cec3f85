//! The rows of the answers, as tolerant of their form as the service is free with it.
//! Invariant: a value of any form costs at most its own field, a row of any form at most itself; no secret is kept.

mod body;
mod lenient;
mod livy_compute;
mod livy_session;
mod number;
mod session_cluster;
mod workspace;

pub(super) use body::{Body, Found, parse};
pub use livy_compute::LivyCompute;
pub use livy_session::LivySession;
pub use session_cluster::{AutoStart, AutoStop, SessionCluster, StateChangeReason};
pub use workspace::{Workspace, WorkspaceTag};

/// Names of the fields whose value had to be dropped, in the order of the answer.
pub(super) type Malformed = Vec<&'static str>;

/// A JSON object that is read field by field.
pub(super) trait Object: Default {
    /// The names under which its malformed fields are reported.
    const FIELDS: &'static [&'static str];

    /// Takes the value of a field, as JSON text; an unknown field is ignored.
    fn set(&mut self, key: &str, json: &str, malformed: &mut Malformed);
}

/// An object of a list.
pub(super) trait Row: Object {
    /// The name under which its malformed rows are reported.
    const ROW: &'static str;

    /// Whether the row carries its id: without one it can be told from no other row.
    fn has_id(&self) -> bool;
}

/// Every name that [`RequestObserver::on_malformed`](super::RequestObserver::on_malformed) can be called with.
pub fn malformed_names() -> impl Iterator<Item = &'static str> {
    let mut names = [
        body::Head::FIELDS,
        Workspace::FIELDS,
        WorkspaceTag::FIELDS,
        SessionCluster::FIELDS,
        StateChangeReason::FIELDS,
        AutoStart::FIELDS,
        AutoStop::FIELDS,
        LivyCompute::FIELDS,
        LivySession::FIELDS,
        &[Workspace::ROW, SessionCluster::ROW, LivyCompute::ROW, LivySession::ROW],
    ]
    .concat();
    names.sort_unstable();
    names.dedup();
    names.into_iter()
}

/// Declares an object of the wire: each field's Rust type, how it is read, and its key. A field is `None` where the
/// key is absent or its value null, an empty text, the text `null`, or malformed.
macro_rules! wire_object {
    (
        $(#[$meta:meta])* $name:ident, reported as $prefix:literal {
            $($(#[$fmeta:meta])* $field:ident: $type:ty, read as $reader:ty, $key:literal;)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$fmeta])* pub $field: Option<$type>,)+ }

        impl crate::api::wire::Object for $name {
            const FIELDS: &'static [&'static str] = &[$(concat!($prefix, $key)),+];

            fn set(&mut self, key: &str, json: &str, malformed: &mut crate::api::wire::Malformed) {
                match key {
                    $($key => {
                        self.$field =
                            crate::api::wire::lenient::read::<$reader>(json, concat!($prefix, $key), malformed);
                    })+
                    _ => {}
                }
            }
        }
    };
}
use wire_object;

#[cfg(test)]
mod tests {
    #[test]
    fn the_names_of_malformed_fields_are_a_closed_set() {
        let names: Vec<_> = super::malformed_names().collect();
        assert!(names.contains(&"cuHours") && names.contains(&"sessions[]") && names.contains(&"totalCount"));
        assert!(names.contains(&"autoStopConfiguration.enable"));
    }
}
