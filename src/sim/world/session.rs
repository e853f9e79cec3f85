//! One Livy session as a function of its gateway's seed and its index. Invariant: nothing is stored; figures are integers.

use super::config::{FigureGrowth, WorldConfig};
use super::random::{below, chance, draw, mix, pick};
use crate::clock::{UnixMillis, millis};
use crate::model::Usage;

/// The state of a Livy session, as ListLivyComputeSessions spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionState {
    /// Resources are being allocated.
    Starting,
    /// Statements run.
    Running,
    /// It is being shut down.
    Terminating,
    /// It ended.
    Terminated,
    /// It failed.
    Error,
}

impl SessionState {
    /// The API's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Terminating => "terminating",
            Self::Terminated => "terminated",
            Self::Error => "error",
        }
    }

    /// Whether the session has ended.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Terminated | Self::Error)
    }
}

/// What becomes of the figures some time after they were final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Revision {
    None,
    Down,
    Up,
}

/// The whole life of one session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) created: UnixMillis,
    running_from: UnixMillis,
    running_to: UnixMillis,
    /// `endTime` once it has passed.
    pub(crate) ended: UnixMillis,
    fails: bool,
    /// Allocated vcores, driver included.
    pub(crate) vcores: i64,
    /// Allocated memory in MiB.
    pub(crate) memory_mb: i64,
    revision: Revision,
    /// When the figures stop growing, before any revision.
    final_at: UnixMillis,
    revised_at: UnixMillis,
}

const START_MS: (u64, u64) = (15_000, 60_000);
const TERMINATION_MS: (u64, u64) = (3_000, 12_000);
const MB_PER_CU: i64 = 4_096;

/// What each draw is for, so that one property of a session says nothing about another.
mod salt {
    pub(super) const START: u64 = 0x11;
    pub(super) const OCTAVE: u64 = 0x12;
    pub(super) const RUN: u64 = 0x13;
    pub(super) const TERMINATION: u64 = 0x14;
    pub(super) const FAILS: u64 = 0x15;
    pub(super) const VCORES: u64 = 0x16;
    pub(super) const MEMORY: u64 = 0x17;
    pub(super) const REVISION: u64 = 0x18;
    pub(super) const ID: u64 = 0x19;
    pub(super) const NAME: u64 = 0x1a;
    pub(super) const USER: u64 = 0x1b;
}

impl Session {
    pub(crate) fn new(config: &WorldConfig, seed: u64, index: u64, created: UnixMillis) -> Self {
        let draw = |salt| draw(seed, salt, index);
        let fails = chance(draw(salt::FAILS), config.error_share);
        let run = run_ms(config, draw(salt::OCTAVE), draw(salt::RUN)) / if fails { 2 } else { 1 };
        let running_from = later(created, between(draw(salt::START), START_MS));
        let running_to = later(running_from, run);
        let ended = later(running_to, between(draw(salt::TERMINATION), TERMINATION_MS));
        let vcores = *pick(draw(salt::VCORES), &[3, 5, 9, 9, 17, 33, 65]);
        let revision = match draw(salt::REVISION) {
            r if chance(r, config.downward_share) => Revision::Down,
            r if chance(r, config.downward_share + config.late_growth_share) => Revision::Up,
            _ => Revision::None,
        };
        let grown_at = if config.growth == FigureGrowth::AtEnd { ended } else { running_to };
        let final_at = grown_at.saturating_add(millis(config.figures_lag));
        Self {
            created,
            running_from,
            running_to,
            ended,
            fails,
            vcores,
            memory_mb: vcores * pick(draw(salt::MEMORY), &[4_096, 4_096, 4_096, 8_192, 2_048]),
            revision,
            final_at,
            revised_at: final_at.saturating_add(millis(config.revision_delay).max(1)),
        }
    }

    pub(crate) fn state(&self, now: UnixMillis) -> SessionState {
        match now {
            t if t < self.running_from => SessionState::Starting,
            t if t < self.running_to => SessionState::Running,
            t if t < self.ended => SessionState::Terminating,
            _ if self.fails => SessionState::Error,
            _ => SessionState::Terminated,
        }
    }

    /// What an answer at `now` shows.
    pub(crate) fn shown(&self, now: UnixMillis, config: &WorldConfig) -> Usage {
        let all = self.usage_after(self.running_to - self.running_from);
        if now < self.final_at {
            return match config.growth {
                FigureGrowth::AtEnd => Usage::ZERO,
                FigureGrowth::WhileRunning => {
                    let seen = now.saturating_sub(millis(config.figures_lag));
                    self.usage_after(seen.clamp(self.running_from, self.running_to) - self.running_from)
                }
            };
        }
        match self.revision {
            Revision::Down if now >= self.revised_at => scale(all, 9, 10),
            Revision::Up if now >= self.revised_at => scale(all, 21, 20),
            _ => all,
        }
    }

    /// The highest that any answer up to `now` could have shown.
    pub(crate) fn peak(&self, now: UnixMillis, config: &WorldConfig) -> Usage {
        self.shown(if self.revision == Revision::Down { now.min(self.final_at) } else { now }, config)
    }

    /// Allocation × whole seconds; 1 CU covers 1 vcore and 4 GiB.
    fn usage_after(&self, run_ms: i64) -> Usage {
        let seconds = run_ms / 1_000;
        let cu = self.vcores.max(self.memory_mb / MB_PER_CU);
        Usage {
            // One CU-second is 10⁹ / 3600 = 2.5·10⁶ / 9 nano-CU-hours.
            nano_cu_hours: cu * seconds * 2_500_000 / 9,
            vcore_seconds: self.vcores * seconds,
            mb_seconds: self.memory_mb * seconds,
        }
    }
}

/// `sessionId`, unique within the gateway.
pub(crate) fn session_id(seed: u64, index: u64) -> String {
    format!("livy-{:016x}", mix(index ^ draw(seed, salt::ID, 0)))
}

/// `name` and `proxyUser`.
pub(crate) fn session_name(seed: u64, index: u64) -> (String, &'static str) {
    const JOBS: [&str; 8] = [
        "orders-daily-etl",
        "clickstream-sessions",
        "risk-features",
        "adhoc-notebook",
        "inventory-sync",
        "日报汇总",
        "ads-attribution",
        "table-compaction",
    ];
    const USERS: [&str; 5] = ["etl", "li.wei", "analyst", "airflow", "zhang.min"];
    let job = pick(draw(seed, salt::NAME, index), &JOBS);
    (format!("{job}-{index}"), *pick(draw(seed, salt::USER, index), &USERS))
}

/// A run between the shortest and the longest: each doubling of the shortest is as likely as the next.
fn run_ms(config: &WorldConfig, octave: u64, within: u64) -> u64 {
    let ms = |d| millis(d).unsigned_abs();
    let shortest = ms(config.run_min).max(1_000);
    let longest = ms(config.run_max).max(shortest);
    let octaves = u64::from((longest / shortest).ilog2()) + 1;
    let low = shortest << below(octave, octaves);
    (low + below(within, low)).min(longest)
}

fn between(random: u64, (low, spread): (u64, u64)) -> u64 {
    low + below(random, spread)
}

fn later(time: UnixMillis, by: u64) -> UnixMillis {
    time.saturating_add_unsigned(by)
}

fn scale(usage: Usage, by: i64, of: i64) -> Usage {
    let scaled =
        |figure: i64| i64::try_from(i128::from(figure) * i128::from(by) / i128::from(of)).unwrap_or(i64::MAX);
    Usage {
        nano_cu_hours: scaled(usage.nano_cu_hours),
        vcore_seconds: scaled(usage.vcore_seconds),
        mb_seconds: scaled(usage.mb_seconds),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn config() -> WorldConfig {
        WorldConfig { start: 1_768_213_240_000, ..WorldConfig::default() }
    }

    #[test]
    fn figures_only_grow_and_stop_at_allocation_times_seconds() {
        let config = config();
        for index in 0..200 {
            let session = Session::new(&config, 5, index, config.start);
            let mut last = Usage::ZERO;
            let end = session.final_at + 10_000;
            for step in 0..=50 {
                let now = session.created + (end - session.created) * step / 50;
                let shown = session.shown(now, &config);
                assert_eq!(shown.highest(last), shown, "session {index} at step {step}");
                assert_eq!(shown, session.peak(now, &config));
                last = shown;
            }
            let seconds = (session.running_to - session.running_from) / 1_000;
            assert_eq!(last.vcore_seconds, session.vcores * seconds);
            assert_eq!(last.mb_seconds, session.memory_mb * seconds);
            assert!(last.nano_cu_hours * 9 / 2_500_000 >= session.vcores * seconds - 1);
        }
    }

    #[test]
    fn the_last_part_shows_late_or_all_of_it_at_the_end() {
        let late = WorldConfig { figures_lag: Duration::from_secs(300), ..config() };
        let session = Session::new(&late, 5, 1, late.start);
        let all = session.shown(i64::MAX, &late);
        assert!(all.exceeds(session.shown(session.ended, &late)));
        assert!(session.state(session.ended).is_ended());
        assert_eq!(session.shown(session.running_to + 300_000, &late), all);

        let at_end = WorldConfig { growth: FigureGrowth::AtEnd, figures_lag: Duration::ZERO, ..config() };
        let session = Session::new(&at_end, 5, 1, at_end.start);
        assert_eq!(session.shown(session.ended - 1, &at_end), Usage::ZERO);
        assert_eq!(session.shown(session.ended, &at_end), all);
    }

    #[test]
    fn a_revision_downwards_leaves_the_peak() {
        let config = WorldConfig { downward_share: 1.0, ..config() };
        let session = Session::new(&config, 5, 3, config.start);
        let (before, after) = (session.revised_at - 1, session.revised_at);
        let all = session.shown(before, &config);
        assert_eq!(session.shown(after, &config).vcore_seconds, all.vcore_seconds * 9 / 10);
        assert_eq!(session.peak(after, &config), all);

        let config = WorldConfig { downward_share: 0.0, late_growth_share: 1.0, ..config };
        let session = Session::new(&config, 5, 3, config.start);
        assert_eq!(session.shown(after, &config).vcore_seconds, all.vcore_seconds * 21 / 20);
        assert_eq!(session.peak(after, &config), session.shown(after, &config));
    }

    #[test]
    fn runs_stay_within_their_bounds_and_spread() {
        let config = config();
        let runs: Vec<u64> = (0..1_000).map(|i| run_ms(&config, draw(1, 1, i), draw(1, 2, i))).collect();
        assert!(runs.iter().all(|ms| (30_000..=7_200_000).contains(ms)));
        assert!(runs.iter().filter(|ms| **ms < 120_000).count() > 150);
        assert!(runs.iter().filter(|ms| **ms > 1_800_000).count() > 150);
    }
}
