//! How many sessions are listed in which state.

use std::collections::BTreeMap;

use super::SessionState;

/// Livy sessions by queue and state. A queue that was counted once stays, at zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionCounts(BTreeMap<String, BTreeMap<SessionState, u64>>);

impl SessionCounts {
    /// Counts that many sessions more.
    pub fn add(&mut self, queue: &str, state: SessionState, count: u64) {
        // By reference where the queue is known: this is done for every session of a history.
        let states = match self.0.get_mut(queue) {
            Some(states) => states,
            None => self.0.entry(queue.to_owned()).or_default(),
        };
        *states.entry(state).or_default() += count;
    }

    /// Takes one session back, if there is one.
    pub fn take_back(&mut self, queue: &str, state: SessionState) {
        if let Some(count) = self.0.get_mut(queue).and_then(|states| states.get_mut(&state)) {
            *count = count.saturating_sub(1);
        }
    }

    /// Sessions of a queue in a state.
    pub fn get(&self, queue: &str, state: SessionState) -> u64 {
        self.0.get(queue).and_then(|states| states.get(&state)).copied().unwrap_or(0)
    }

    /// Queues that have or had sessions, in order.
    pub fn queues(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// All sessions.
    pub fn total(&self) -> u64 {
        self.0.values().flat_map(BTreeMap::values).sum()
    }
}

impl<Q: AsRef<str>> FromIterator<(Q, SessionState, u64)> for SessionCounts {
    fn from_iter<I: IntoIterator<Item = (Q, SessionState, u64)>>(counts: I) -> Self {
        counts.into_iter().fold(Self::default(), |mut sum, (queue, state, count)| {
            sum.add(queue.as_ref(), state, count);
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_leaves_its_queue_and_never_less_than_nothing() {
        let mut counts: SessionCounts =
            [("q", SessionState::Running, 2), ("r", SessionState::Error, 1)].into_iter().collect();
        counts.take_back("q", SessionState::Running);
        counts.take_back("r", SessionState::Error);
        counts.take_back("r", SessionState::Error);
        counts.take_back("s", SessionState::Error);
        assert_eq!((counts.get("q", SessionState::Running), counts.get("r", SessionState::Error)), (1, 0));
        assert_eq!(counts.total(), 1);
        assert_eq!(counts.queues().collect::<Vec<_>>(), ["q", "r"]);
    }
}
