//! What a history lists: how many sessions in which state, and those that may still change. Invariant: kept up session
//! by session from what was known of each before, so that nothing is counted twice.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::{UnixMillis, millis};
use crate::model::{Before, SessionCounts, SessionObservation, SessionState, Usage};

/// The most unsettled sessions that are followed one by one; a gateway with more is swept whole.
pub(super) const UNSETTLED_MAX: usize = 100_000;

/// A session that may still change: active, or ended a short while ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// As last seen.
    pub seen: SessionObservation,
    /// Its place in the list, from 0.
    pub index: u64,
    /// When it counts as settled; `None` while it is active.
    pub settles: Option<UnixMillis>,
}

/// When sessions settle.
#[derive(Clone, Copy, Debug)]
pub struct Settling {
    /// The time of day.
    pub now: UnixMillis,
    /// How long after its end a session may still change.
    pub settle: Duration,
}

impl Settling {
    /// When a session settles: `settle` after its end, or after `since` where that is not known; `None` while it is
    /// active. What is in no known state counts as active.
    pub fn of(self, state: SessionState, ended: Option<UnixMillis>, since: UnixMillis) -> Option<UnixMillis> {
        state.is_ended().then(|| ended.unwrap_or(since).saturating_add(millis(self.settle)))
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    pub(super) counts: SessionCounts,
    pub(super) unsettled: HashMap<String, Unsettled>,
    /// There were more than can be followed.
    pub(super) overflowed: bool,
}

impl Listing {
    /// What the ledger remembers.
    pub fn remembered(counts: SessionCounts, unsettled: Vec<Unsettled>) -> Self {
        let overflowed = unsettled.len() > UNSETTLED_MAX;
        let by_id = |session: Unsettled| (session.seen.session_id.clone(), session);
        Self { counts, unsettled: unsettled.into_iter().map(by_id).collect(), overflowed }
    }

    /// Notes a session that this pass had not seen yet and that is not counted yet. Returns whether it may still change.
    pub(super) fn add(&mut self, session: &SessionObservation, index: u64, settling: Settling) -> bool {
        self.counts.add(&session.queue, session.state, 1);
        self.follow(session, index, settling)
    }

    /// Notes a session of which `before` is known; counts it only if it is new.
    pub(super) fn update(
        &mut self,
        session: &SessionObservation,
        before: Before,
        index: u64,
        settling: Settling,
    ) {
        match before {
            Before::New => self.counts.add(&session.queue, session.state, 1),
            Before::Known(state) | Before::Seen(state) if state != session.state => {
                self.counts.take_back(&session.queue, state);
                self.counts.add(&session.queue, session.state, 1);
            }
            Before::Known(_) | Before::Seen(_) => {}
        }
        self.follow(session, index, settling);
    }

    /// Sessions that are listed.
    pub(super) fn total(&self) -> u64 {
        self.counts.total()
    }

    /// Forgets a session that is no longer listed.
    pub(super) fn remove(&mut self, session_id: &str) {
        if let Some(gone) = self.unsettled.remove(session_id) {
            self.counts.take_back(&gone.seen.queue, gone.seen.state);
        }
    }

    /// Listed sessions by queue and state.
    pub fn counts(&self) -> &SessionCounts {
        &self.counts
    }

    /// The active sessions with the most CU-hours, up to `limit`, the largest first, and how many more there are.
    pub fn active(&self, limit: usize) -> (Vec<&SessionObservation>, u64) {
        let is_active =
            |entry: &&Unsettled| !entry.seen.state.is_ended() && entry.seen.state != SessionState::Unknown;
        let size = |session: &SessionObservation| session.usage.or(Usage::ZERO).nano_cu_hours;
        let mut active: Vec<&SessionObservation> =
            self.unsettled.values().filter(is_active).map(|entry| &entry.seen).collect();
        active.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.session_id.cmp(&b.session_id)));
        let dropped = active.len().saturating_sub(limit) as u64;
        active.truncate(limit);
        (active, dropped)
    }

    fn follow(&mut self, session: &SessionObservation, index: u64, settling: Settling) -> bool {
        // An end without a time counts from when it was first seen; one with a time needs no look-up.
        let known = session.ended.is_none().then(|| self.unsettled.get(&session.session_id)).flatten();
        let since = known
            .and_then(|known| known.settles)
            .map_or(settling.now, |settles| settles.saturating_sub(millis(settling.settle)));
        let settles = settling.of(session.state, session.ended, since);
        if settles.is_some_and(|settles| settles <= settling.now) {
            self.unsettled.remove(&session.session_id);
            return false;
        }
        if self.unsettled.len() >= UNSETTLED_MAX && !self.unsettled.contains_key(&session.session_id) {
            self.overflowed = true;
            return false;
        }
        let entry = Unsettled { seen: session.clone(), index, settles };
        self.unsettled.insert(session.session_id.clone(), entry);
        true
    }
}
