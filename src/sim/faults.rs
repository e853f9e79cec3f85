//! Faults on demand: what goes wrong, for which requests, how often.
//! Invariant: a fault changes answers only, never the world, so the truth stays the truth.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::routes::{Operation, Route};
use super::throttle::ThrottleForm;

/// Something that goes wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A throttled answer.
    Throttle(ThrottleForm),
    /// This 5xx status with an error body.
    ServerError(u16),
    /// The connection is reset (TCP RST) instead of an answer.
    Reset,
    /// No answer, until the faults are cleared or the simulator stops; then a reset.
    Hang,
    /// Half of the body that Content-Length announces, then the end of the connection.
    Cut,
    /// The body comes in pieces with this pause before each but the first.
    SlowBody(Duration),
    /// An HTML page with this status.
    Html(u16),
    /// Status 200 with a body that ends in the middle of the JSON.
    BadJson,
    /// 403 with this code (`Forbidden.RAM`, `NoPermission`) and an `AccessDeniedDetail`.
    Denied(&'static str),
    /// 404 `InvalidAccessKeyId.NotFound`.
    InvalidKey,
    /// The service's own clock is ahead of real time by these seconds (negative: behind): requests are judged by it, and
    /// `Date` tells it.
    ClockSkew(i64),
    /// HTTP 200 with an envelope whose code is not that of success.
    BusinessError,
    /// `nextToken` is the token that the request came with.
    RepeatedToken,
    /// A page without rows whose `nextToken` leads on.
    EmptyPageWithToken,
    /// `totalCount` is wrong by this much.
    WrongTotal(i64),
    /// This many rows seem inserted at the head of the list since its first page (negative: removed). Concerns
    /// and counts later pages only.
    PageShift(i64),
    /// One row of the list is a text instead of an object.
    MalformedRow,
    /// One row of the list has a field of another type in every place.
    MistypedRow,
    /// Numbers come as texts.
    NumbersAsStrings,
    /// Every field of a row is null but for the ids.
    Nulls,
    /// Times come as text (`2024-09-01 06:23:01`, UTC+8).
    DatesAsText,
    /// States that no page documents.
    UnknownState,
    /// Every name that people choose is this one.
    Named(&'static str),
}

impl Fault {
    /// Whether it takes the place of the answer; else it changes one.
    const fn replaces(&self) -> bool {
        matches!(
            self,
            Self::Throttle(_)
                | Self::ServerError(_)
                | Self::Reset
                | Self::Hang
                | Self::Html(_)
                | Self::Denied(_)
                | Self::InvalidKey
                | Self::BusinessError
        )
    }
}

/// Which requests a fault concerns. Empty: all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    operation: Option<Operation>,
    workspace: Option<String>,
    resource: Option<String>,
}

impl Scope {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests of one operation.
    pub fn of(operation: Operation) -> Self {
        Self { operation: Some(operation), ..Self::default() }
    }

    /// Only those to a workspace.
    #[must_use]
    pub fn workspace(self, id: &str) -> Self {
        Self { workspace: Some(id.to_owned()), ..self }
    }

    /// Only those to a Livy gateway, or to a session cluster by its path.
    #[must_use]
    pub fn resource(self, id: &str) -> Self {
        Self { resource: Some(id.to_owned()), ..self }
    }

    fn covers(&self, route: &Route) -> bool {
        self.operation.is_none_or(|o| o == route.operation)
            && self.workspace.as_ref().is_none_or(|w| *w == route.workspace)
            && self.resource.as_ref().is_none_or(|r| *r == route.resource)
    }
}

/// The armed faults.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Armed>);

#[derive(Debug, Default)]
struct Armed {
    list: Vec<(Fault, Scope, Option<u64>)>,
    /// Cancelled when the faults are cleared: what hangs ends.
    hold: CancellationToken,
}

impl Faults {
    /// The next `count` requests of a scope meet this fault.
    pub fn next(&self, count: u64, fault: Fault, scope: Scope) {
        self.lock().list.push((fault, scope, Some(count)));
    }

    /// Every request of a scope meets this fault, until [`Faults::clear`].
    pub fn always(&self, fault: Fault, scope: Scope) {
        self.lock().list.push((fault, scope, None));
    }

    /// Disarms every fault and ends what hangs.
    pub fn clear(&self) {
        let old = std::mem::take(&mut *self.lock());
        old.hold.cancel();
    }

    /// How many faults are armed and not used up.
    pub fn armed(&self) -> usize {
        self.lock().list.len()
    }

    /// The faults that a request meets, each counted down: at most one that takes the place of the answer, in the
    /// order in which they were armed. The token ends a hang.
    pub(crate) fn take(&self, route: &Route, later_page: bool) -> (Vec<Fault>, CancellationToken) {
        let mut armed = self.lock();
        let mut met: Vec<Fault> = Vec::new();
        for (fault, scope, left) in &mut armed.list {
            let replaced = fault.replaces() && met.iter().any(Fault::replaces);
            let early = matches!(fault, Fault::PageShift(_)) && !later_page;
            if !scope.covers(route) || replaced || early || *left == Some(0) {
                continue;
            }
            met.push(fault.clone());
            if let Some(left) = left {
                *left -= 1;
            }
        }
        armed.list.retain(|(_, _, left)| *left != Some(0));
        (met, armed.hold.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Armed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(operation: Operation, workspace: &str) -> Route {
        Route { operation, workspace: workspace.to_owned(), resource: String::new() }
    }

    #[test]
    fn faults_keep_to_their_scope_and_count() {
        let faults = Faults::default();
        faults.next(2, Fault::Reset, Scope::of(Operation::ListWorkspaceQueues).workspace("w-1"));
        faults.always(Fault::WrongTotal(1), Scope::any());
        let met = |operation, workspace| faults.take(&route(operation, workspace), false).0;
        let total = vec![Fault::WrongTotal(1)];
        assert_eq!(met(Operation::ListWorkspaceQueues, "w-2"), total);
        assert_eq!(met(Operation::ListLivyCompute, "w-1"), total);
        for _ in 0..2 {
            assert_eq!(met(Operation::ListWorkspaceQueues, "w-1"), [Fault::Reset, Fault::WrongTotal(1)]);
        }
        assert_eq!(met(Operation::ListWorkspaceQueues, "w-1"), total);
        assert_eq!(faults.armed(), 1);
        faults.clear();
        assert_eq!(met(Operation::ListWorkspaceQueues, "w-1"), []);
    }

    #[test]
    fn of_two_replacements_the_second_waits_and_shifts_wait_for_a_later_page() {
        let faults = Faults::default();
        let to = route(Operation::ListWorkspaces, "");
        faults.next(1, Fault::Reset, Scope::any());
        faults.next(1, Fault::ServerError(500), Scope::any());
        faults.next(1, Fault::PageShift(1), Scope::any());
        assert_eq!(faults.take(&to, false).0, [Fault::Reset]);
        assert_eq!(faults.take(&to, false).0, [Fault::ServerError(500)]);
        assert_eq!(faults.take(&to, false).0, []);
        assert_eq!(faults.take(&to, true).0, [Fault::PageShift(1)]);
        assert_eq!(faults.armed(), 0);
    }

    #[test]
    fn clearing_ends_what_hangs() {
        let faults = Faults::default();
        faults.next(1, Fault::Hang, Scope::any());
        let (_, hold) = faults.take(&route(Operation::ListWorkspaces, ""), false);
        assert!(!hold.is_cancelled());
        faults.clear();
        assert!(hold.is_cancelled());
    }
}
