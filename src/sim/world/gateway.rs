//! A Livy gateway: which sessions exist at a time, and at which place of the list.
//! Invariant: any row of any page is computed in constant time, whatever the length of the history.

use std::collections::BTreeMap;
use std::ops::Range;

use super::config::{HistoryOrder, WorldConfig};
use super::random::{Permutation, below, chance, draw, pick};
use super::session::{Session, SessionState};
use crate::clock::{UnixMillis, millis};
use crate::model::Usage;

const HOUR_MS: u64 = 3_600_000;
/// At most this many sessions in a row share one `createTime`.
const EQUAL_TIMES_MAX: u64 = 8;

const SALT_JITTER: u64 = 0x21;
const SALT_EQUAL: u64 = 0x22;
const SALT_QUEUE: u64 = 0x23;
const SALT_ORDER: u64 = 0x24;

/// When each session of a gateway is created: index ↔ time, both ways without a search.
#[derive(Clone, Debug)]
pub(crate) struct Births {
    seed: u64,
    /// Sessions created before `epoch`, spread over `span_ms`.
    history: u64,
    span_ms: u64,
    /// From here on sessions are born at an even rate.
    epoch: UnixMillis,
    per_hour: u64,
    equal_share: f64,
}

impl Births {
    /// The first moment at which session `index` can be created; the next one's is the last.
    fn slot(&self, index: u64) -> UnixMillis {
        let share = |part: u64, of: u64, span: u64| {
            u64::try_from(u128::from(part) * u128::from(span) / u128::from(of.max(1))).unwrap_or(u64::MAX)
        };
        match index.checked_sub(self.history) {
            None => {
                let start = self.epoch.saturating_sub_unsigned(self.span_ms);
                start.saturating_add_unsigned(share(index, self.history, self.span_ms))
            }
            Some(later) => self.epoch.saturating_add_unsigned(share(later, self.per_hour, HOUR_MS)),
        }
    }

    fn own_time(&self, index: u64) -> UnixMillis {
        let start = self.slot(index);
        let width = self.slot(index + 1).saturating_sub(start).unsigned_abs();
        start.saturating_add_unsigned(below(draw(self.seed, SALT_JITTER, index), width))
    }

    /// Whether a session has the `createTime` of the one before; never across the epoch.
    fn shares_time(&self, index: u64) -> bool {
        !index.is_multiple_of(EQUAL_TIMES_MAX)
            && index != self.history
            && chance(draw(self.seed, SALT_EQUAL, index), self.equal_share)
    }

    /// `createTime` of session `index`; never less than that of the session before.
    pub(crate) fn created(&self, index: u64) -> UnixMillis {
        let mut first = index;
        while self.shares_time(first) {
            first -= 1;
        }
        self.own_time(first)
    }

    /// How many sessions have a `createTime` of at most `now`.
    pub(crate) fn born(&self, now: UnixMillis) -> u64 {
        let Some(last) = self.last_slot(now) else { return 0 };
        let mut born = last + u64::from(self.own_time(last) <= now);
        while born > 0 && self.shares_time(born) {
            born += 1;
        }
        if self.per_hour == 0 { born.min(self.history) } else { born }
    }

    /// The last session whose slot has begun.
    fn last_slot(&self, now: UnixMillis) -> Option<u64> {
        let reach = |passed: i64, count: u64, span: u64| {
            // slot(i) = ⌊i·span/count⌋ ≤ passed exactly where i·span < (passed + 1)·count.
            let last = ((u128::from(passed.unsigned_abs()) + 1) * u128::from(count) - 1) / u128::from(span);
            u64::try_from(last).unwrap_or(u64::MAX)
        };
        if now >= self.epoch && self.per_hour > 0 {
            let later = reach(now.saturating_sub(self.epoch), self.per_hour, HOUR_MS);
            return Some(self.history.saturating_add(later));
        }
        let last = self.history.checked_sub(1)?;
        let passed = now.saturating_sub(self.epoch.saturating_sub_unsigned(self.span_ms));
        (passed >= 0).then(|| reach(passed, self.history, self.span_ms).min(last))
    }
}

/// What one gateway did for one queue, up to a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueTruth {
    /// The sum over all sessions ever born of the highest figures that any answer could have shown.
    pub usage: Usage,
    /// Sessions ever born.
    pub created: u64,
    /// Sessions that ended, by state.
    pub ended: BTreeMap<&'static str, u64>,
}

/// A Livy gateway.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created_by: &'static str,
    pub(crate) created: UnixMillis,
    pub(crate) seed: u64,
    births: Births,
    /// The queues of its sessions; the first is the gateway's own and takes most.
    queues: Vec<String>,
    /// Queues that half of the sessions use from a time on.
    pub(crate) later_queues: Vec<(UnixMillis, String)>,
}

impl Gateway {
    /// The `number`th gateway of a workspace. With `history` it was there before the world's clock started,
    /// else it begins empty at `epoch`.
    pub(crate) fn new(
        config: &WorldConfig,
        workspace_seed: u64,
        number: u64,
        epoch: UnixMillis,
        history: u64,
        mut queues: Vec<String>,
    ) -> Self {
        const NAMES: [&str; 5] = ["etl-gateway", "analytics-gateway", "airflow", "数据开发", "ml-features"];
        let seed = draw(workspace_seed, 0x25, number);
        let own = usize::try_from(number).unwrap_or(0) % queues.len();
        queues.rotate_left(own);
        let span_ms = millis(config.history_span).unsigned_abs().max(1);
        let age_ms = if history > 0 { span_ms.saturating_add(HOUR_MS) } else { 0 };
        Self {
            id: format!("lc-{seed:016x}"),
            name: match NAMES.get(usize::try_from(number).unwrap_or(usize::MAX)) {
                Some(name) => (*name).to_owned(),
                None => format!("gateway-{number}"),
            },
            created_by: *pick(seed, &["admin", "data-platform", "li.wei"]),
            created: epoch.saturating_sub_unsigned(age_ms),
            seed,
            births: Births {
                seed,
                history,
                span_ms,
                epoch,
                per_hour: u64::from(config.births_per_hour).min(HOUR_MS),
                equal_share: config.equal_time_share,
            },
            queues,
            later_queues: Vec::new(),
        }
    }

    /// The gateway's own queue.
    pub(crate) fn queue(&self) -> &str {
        &self.queues[0]
    }

    pub(crate) fn session(&self, config: &WorldConfig, index: u64) -> Session {
        Session::new(config, self.seed, index, self.births.created(index))
    }

    pub(crate) fn session_queue(&self, index: u64, created: UnixMillis) -> &str {
        let random = draw(self.seed, SALT_QUEUE, index);
        let later = self.later_queues.iter().rev().find(|(from, _)| *from <= created);
        match later {
            Some((_, queue)) if random.is_multiple_of(2) => queue,
            _ if chance(random, 0.7) => self.queue(),
            _ => pick::<String>(draw(self.seed, SALT_QUEUE + 1, index), &self.queues),
        }
    }

    /// How many sessions were ever born.
    pub(crate) fn born(&self, now: UnixMillis) -> u64 {
        self.births.born(now)
    }

    /// The indices of the sessions that the history still lists.
    pub(crate) fn listed(&self, config: &WorldConfig, now: UnixMillis) -> Range<u64> {
        let hidden = match config.retention {
            Some(retention) => self.births.born(now.saturating_sub(millis(retention)).saturating_sub(1)),
            None => 0,
        };
        hidden..self.births.born(now)
    }

    /// The index of the session at place `position` of the list.
    pub(crate) fn at_position(&self, order: HistoryOrder, listed: &Range<u64>, position: u64) -> u64 {
        match order {
            HistoryOrder::NewestFirst => listed.end - 1 - position,
            HistoryOrder::OldestFirst => listed.start + position,
            HistoryOrder::Shuffled => self.shuffled(listed, listed.start + position),
        }
    }

    /// Cycle walking: a permutation of a power of four, followed until it comes back into the listed range.
    /// The ranges' numbers are taken modulo that power, so that retention moves the window without a reshuffle.
    fn shuffled(&self, listed: &Range<u64>, index: u64) -> u64 {
        let room = (listed.end - listed.start).max(self.births.history);
        let permutation = Permutation::covering(room, draw(self.seed, SALT_ORDER, 0));
        let mask = permutation.size() - 1;
        let mut index = index;
        loop {
            let residue = permutation.apply(index & mask);
            index = listed.start + (residue.wrapping_sub(listed.start) & mask);
            if index < listed.end {
                return index;
            }
        }
    }

    /// The sums that a perfect reader of every answer up to `now` would arrive at, by queue.
    #[expect(clippy::expect_used, reason = "a million sessions of a day each are far below 64 bits")]
    pub(crate) fn truth(&self, config: &WorldConfig, now: UnixMillis) -> BTreeMap<String, QueueTruth> {
        let mut truth: BTreeMap<&str, (QueueTruth, [u64; 2])> = BTreeMap::new();
        for index in 0..self.born(now) {
            let session = self.session(config, index);
            let (queue, ended) = truth.entry(self.session_queue(index, session.created)).or_default();
            queue.usage = queue.usage.checked_add(session.peak(now, config)).expect("in range");
            queue.created += 1;
            match session.state(now) {
                SessionState::Terminated => ended[0] += 1,
                SessionState::Error => ended[1] += 1,
                _ => {}
            }
        }
        let name = |(queue, (truth, ended)): (&str, (QueueTruth, [u64; 2]))| {
            let states = [SessionState::Terminated, SessionState::Error].map(SessionState::as_str);
            (queue.to_owned(), QueueTruth { ended: states.into_iter().zip(ended).collect(), ..truth })
        };
        truth.into_iter().map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    const START: UnixMillis = 1_768_213_240_000;

    fn config() -> WorldConfig {
        WorldConfig { start: START, equal_time_share: 0.3, history: 1_000, ..WorldConfig::default() }
    }

    fn gateway(config: &WorldConfig) -> Gateway {
        let queues = vec!["root_queue".to_owned(), "dev_queue".to_owned()];
        Gateway::new(config, 9, 0, config.start, config.history, queues)
    }

    #[test]
    fn index_and_time_agree_at_every_birth() {
        for (history, births_per_hour) in [(1_000, 60), (0, 60), (3, 0), (50, 3_600_000), (2_000, 7)] {
            let config = WorldConfig { history, births_per_hour, ..config() };
            let births = gateway(&config).births;
            assert_eq!(births.born(START - 1), history);
            assert_eq!(births.born(0), 0);
            let mut last = 0;
            for index in 0..if births_per_hour == 0 { history } else { 3_000 } {
                let created = births.created(index);
                assert!(created >= last, "time goes back at {index}");
                assert!(births.born(created) > index && births.born(created - 1) <= index, "{index}");
                assert_eq!(created < START, index < history, "{index}");
                last = created;
            }
        }
    }

    #[test]
    fn some_times_are_equal_and_some_are_not() {
        let births = gateway(&config()).births;
        let times: BTreeSet<i64> = (0..1_000).map(|i| births.created(i)).collect();
        assert!((650..850).contains(&times.len()), "{}", times.len());
    }

    #[test]
    fn every_order_lists_every_session_once_and_retention_hides_the_old() {
        let config = WorldConfig { retention: Some(Duration::from_secs(24 * 3_600)), ..config() };
        let gateway = gateway(&config);
        for now in [START, START + 3_600_000, START + 1_000_000_000] {
            let listed = gateway.listed(&config, now);
            let oldest = now - 24 * 3_600_000;
            assert!(listed.start > 0 && gateway.births.created(listed.start) >= oldest);
            assert!(gateway.births.created(listed.start - 1) < oldest);
            for order in [HistoryOrder::NewestFirst, HistoryOrder::OldestFirst, HistoryOrder::Shuffled] {
                let places = 0..listed.end - listed.start;
                let seen: BTreeSet<u64> = places.map(|p| gateway.at_position(order, &listed, p)).collect();
                assert!(seen.into_iter().eq(listed.clone()), "{order:?}");
            }
        }
    }

    #[test]
    fn a_birth_moves_one_row_of_the_shuffled_order() {
        let gateway = gateway(&config());
        let order = |end: u64| -> Vec<u64> {
            (0..end).map(|p| gateway.at_position(HistoryOrder::Shuffled, &(0..end), p)).collect()
        };
        let (before, after) = (order(1_000), order(1_001));
        let moved: Vec<usize> = (0..1_000).filter(|p| before[*p] != after[*p]).collect();
        assert!(moved.len() <= 1, "{moved:?}");
        assert!(before.windows(2).filter(|w| w[0] + 1 == w[1]).count() < 20);
    }

    #[test]
    fn a_later_queue_takes_half_of_the_later_sessions() {
        let mut gateway = gateway(&config());
        gateway.later_queues.push((START, "new_queue".to_owned()));
        let with = |from: u64| {
            let queue = |i: &u64| gateway.session_queue(*i, gateway.births.created(*i)) == "new_queue";
            (from..from + 1_000).filter(queue).count()
        };
        assert_eq!(with(0), 0);
        assert!((400..600).contains(&with(1_000)), "{}", with(1_000));
    }
}
