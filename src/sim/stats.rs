//! What the simulator was asked, so that a test can assert on rates.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
    /// The most requests that came within one second.
    pub in_second_max: usize,
}

impl Stats {
    /// All requests, whatever came of them.
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }

    /// Requests that were answered with this status.
    pub fn with_status(&self, status: u16) -> u64 {
        self.requests.iter().filter(|((_, s), _)| *s == Some(status)).map(|(_, count)| count).sum()
    }

    /// Requests of an operation, whatever came of them.
    pub fn count(&self, operation: Operation) -> u64 {
        self.requests.iter().filter(|((o, _), _)| *o == Some(operation)).map(|(_, count)| count).sum()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Record>);

#[derive(Debug, Default)]
struct Record {
    stats: Stats,
    in_flight: usize,
    /// When the requests of the last second came.
    latest: VecDeque<Instant>,
}

impl Recorder {
    pub(crate) fn stats(&self) -> Stats {
        self.lock().stats.clone()
    }

    /// Notes a new connection.
    pub(crate) fn connection(&self) {
        self.lock().stats.connections += 1;
    }

    /// Notes the begin of a request; what it returns notes the end when it is dropped.
    pub(crate) fn begin(&self, version: Version) -> InFlight<'_> {
        let (mut state, now) = (self.lock(), Instant::now());
        let Record { stats, in_flight, latest } = &mut *state;
        *in_flight += 1;
        stats.http2_requests += u64::from(version == Version::HTTP_2);
        stats.in_flight_max = stats.in_flight_max.max(*in_flight);
        latest.push_back(now);
        while latest.front().is_some_and(|at| now.duration_since(*at) >= Duration::from_secs(1)) {
            latest.pop_front();
        }
        stats.in_second_max = stats.in_second_max.max(latest.len());
        drop(state);
        InFlight { recorder: self, operation: None, status: None }
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
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
        state.in_flight -= 1;
        *state.stats.requests.entry((self.operation, self.status)).or_default() += 1;
    }
}
