//! What the simulator was asked, so that a test can assert on rates.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Version;

use super::routes::Operation;

/// What the simulator was asked since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests by operation (`None`: a path that is none) and status (`None`: no answer).
    pub requests: BTreeMap<(Option<Operation>, Option<u16>), u64>,
    /// The highest number of requests at work at once.
    pub in_flight_max: usize,
    /// Connections that were accepted.
    pub connections: u64,
    /// Requests that came by HTTP/2.
    pub http2_requests: u64,
}

impl Stats {
    /// Requests of an operation, whatever came of them.
    pub fn count(&self, operation: Operation) -> u64 {
        self.requests.iter().filter(|((o, _), _)| *o == Some(operation)).map(|(_, count)| count).sum()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<(Stats, usize)>);

impl Recorder {
    pub(crate) fn stats(&self) -> Stats {
        self.lock().0.clone()
    }

    /// Notes a new connection.
    pub(crate) fn connection(&self) {
        self.lock().0.connections += 1;
    }

    /// Notes the begin of a request; what it returns notes the end when it is dropped.
    pub(crate) fn begin(&self, version: Version) -> InFlight<'_> {
        let mut state = self.lock();
        state.1 += 1;
        state.0.http2_requests += u64::from(version == Version::HTTP_2);
        state.0.in_flight_max = state.0.in_flight_max.max(state.1);
        InFlight { recorder: self, operation: None, status: None }
    }

    fn lock(&self) -> MutexGuard<'_, (Stats, usize)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request at work.
pub(crate) struct InFlight<'a> {
    recorder: &'a Recorder,
    pub(crate) operation: Option<Operation>,
    pub(crate) status: Option<u16>,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut state = self.recorder.lock();
        state.1 -= 1;
        *state.0.requests.entry((self.operation, self.status)).or_default() += 1;
    }
}
