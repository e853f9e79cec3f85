//! A session cluster: its configuration, and its state as a function of time.
//! Invariant: a state is computed from a schedule or from the last order given, never ticked.

use super::config::WorldConfig;
use super::random::{below, chance, draw, pick};
use crate::clock::{UnixMillis, millis};

/// The state of a session cluster, as ListSessionClusters spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClusterState {
    /// The session is starting.
    Starting,
    /// The session is running.
    Running,
    /// The session is stopping.
    Stopping,
    /// The session is stopped.
    Stopped,
    /// The session has failed.
    Error,
}

impl ClusterState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Starting, Self::Running, Self::Stopping, Self::Stopped, Self::Error];

    /// The API's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
            Self::Error => "Error",
        }
    }
}

/// The kinds of session clusters, as the API spells them.
pub const KINDS: [&str; 3] = ["SQL", "NOTEBOOK", "THRIFT"];

/// The code of a state that nothing is wrong with.
pub(crate) const CODE_OK: &str = "200";

/// State, reason code and last start at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) state: ClusterState,
    pub(crate) code: String,
    /// 0 where the cluster never started.
    pub(crate) start_time: UnixMillis,
}

impl Phase {
    fn of(state: ClusterState, start_time: UnixMillis) -> Self {
        Self { state, code: CODE_OK.to_owned(), start_time }
    }
}

/// What a cluster does by itself: cycles of Stopped, Starting, Running, Stopping.
#[derive(Clone, Debug)]
struct Schedule {
    seed: u64,
    period_ms: i64,
    offset_ms: i64,
    idle_ms: i64,
    start_ms: i64,
    stop_ms: i64,
    error_share: f64,
}

impl Schedule {
    fn at(&self, now: UnixMillis, created: UnixMillis) -> Phase {
        let cycle = (now + self.offset_ms).div_euclid(self.period_ms);
        let within = (now + self.offset_ms).rem_euclid(self.period_ms);
        let start_of = |cycle: i64| {
            let time = cycle * self.period_ms - self.offset_ms + self.idle_ms;
            if time > created { time } else { 0 }
        };
        if within < self.idle_ms {
            return Phase::of(ClusterState::Stopped, start_of(cycle - 1));
        }
        let start_time = start_of(cycle);
        if within < self.idle_ms + self.start_ms {
            return Phase::of(ClusterState::Starting, start_time);
        }
        if chance(draw(self.seed, 0x31, cycle.unsigned_abs()), self.error_share) {
            let codes = ["ResourceNotEnough", "DriverStartTimeout", "InvalidSparkConf"];
            let code = *pick(draw(self.seed, 0x32, cycle.unsigned_abs()), &codes);
            return Phase { code: code.to_owned(), ..Phase::of(ClusterState::Error, start_time) };
        }
        let running = within < self.period_ms - self.stop_ms;
        Phase::of(if running { ClusterState::Running } else { ClusterState::Stopping }, start_time)
    }
}

/// Where the state comes from.
#[derive(Clone, Debug)]
enum Life {
    Scheduled(Schedule),
    /// An order: `through` until `until`, then `then`.
    Ordered {
        through: Phase,
        until: UnixMillis,
        then: Phase,
    },
}

/// One item of `applicationConfigs`.
#[derive(Clone, Debug, Default)]
pub(crate) struct AppConfig {
    pub(crate) file: String,
    pub(crate) key: String,
    pub(crate) value: String,
}

/// `autoStopConfiguration`
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AutoStop {
    pub(crate) enable: bool,
    pub(crate) idle_timeout_minutes: u32,
}

/// What CreateSessionCluster takes.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterSpec {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) queue: String,
    pub(crate) release_version: String,
    pub(crate) display_release_version: String,
    pub(crate) fusion: bool,
    pub(crate) env_id: Option<String>,
    pub(crate) auto_start: bool,
    pub(crate) auto_stop: AutoStop,
    pub(crate) application_configs: Vec<AppConfig>,
    pub(crate) public_endpoint: bool,
}

/// A session cluster.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) spec: ClusterSpec,
    pub(crate) user_id: String,
    pub(crate) user_name: &'static str,
    pub(crate) created: UnixMillis,
    life: Life,
}

const MINUTE_MS: i64 = 60_000;

impl Cluster {
    /// The `number`th cluster of a workspace.
    pub(crate) fn new(config: &WorldConfig, workspace_seed: u64, number: u64, queues: &[String]) -> Self {
        let seed = draw(workspace_seed, 0x33, number);
        let random = |salt| draw(seed, salt, 0);
        let kind = KINDS[usize::try_from(number % 3).unwrap_or(0)];
        let start_ms = millis(config.cluster_start);
        let minutes = |salt, low: i64, spread| (low + below(random(salt), spread).cast_signed()) * MINUTE_MS;
        let idle_ms = minutes(1, 5, 60);
        Self {
            id: format!("sc-{seed:016x}"),
            spec: spec(seed, number, kind, queues),
            user_id: user_id(seed),
            user_name: *pick(random(2), &USERS),
            created: config.start - minutes(3, 3 * 24 * 60, 90 * 24 * 60),
            life: Life::Scheduled(Schedule {
                seed,
                period_ms: idle_ms + 2 * start_ms + minutes(4, 20, 300),
                offset_ms: minutes(5, 0, 1_000),
                idle_ms,
                start_ms,
                stop_ms: start_ms / 3,
                error_share: config.cluster_error_share,
            }),
        }
    }

    /// A cluster made by CreateSessionCluster at `now`.
    pub(crate) fn created_by_request(id: String, spec: ClusterSpec, now: UnixMillis, start_ms: i64) -> Self {
        let [through, then] = [ClusterState::Starting, ClusterState::Running].map(|s| Phase::of(s, now));
        let life = Life::Ordered { through, until: now.saturating_add(start_ms), then };
        Self { id, spec, user_id: user_id(0), user_name: USERS[0], created: now, life }
    }

    pub(crate) fn phase(&self, now: UnixMillis) -> Phase {
        match &self.life {
            Life::Scheduled(schedule) => schedule.at(now, self.created),
            Life::Ordered { until, through, .. } if now < *until => through.clone(),
            Life::Ordered { then, .. } => then.clone(),
        }
    }

    /// From `now` on Starting, `start_ms` later Running.
    pub(crate) fn start(&mut self, now: UnixMillis, start_ms: i64) {
        self.order(now, start_ms, now, [ClusterState::Starting, ClusterState::Running]);
    }

    /// From `now` on Stopping, `stop_ms` later Stopped.
    pub(crate) fn stop(&mut self, now: UnixMillis, stop_ms: i64) {
        let started = self.phase(now).start_time;
        self.order(now, stop_ms, started, [ClusterState::Stopping, ClusterState::Stopped]);
    }

    /// From `now` on in this state, until another order.
    pub(crate) fn hold(&mut self, now: UnixMillis, state: ClusterState, code: &str) {
        let phase = Phase { state, code: code.to_owned(), start_time: self.phase(now).start_time };
        self.life = Life::Ordered { through: phase.clone(), until: now, then: phase };
    }

    fn order(&mut self, now: UnixMillis, for_ms: i64, start_time: UnixMillis, states: [ClusterState; 2]) {
        let [through, then] = states.map(|state| Phase::of(state, start_time));
        self.life = Life::Ordered { through, until: now.saturating_add(for_ms), then };
    }
}

const USERS: [&str; 4] = ["li.wei", "zhang.min", "data-platform", "analyst"];

fn user_id(seed: u64) -> String {
    format!("2{:017}", below(draw(seed, 0x34, 0), 100_000_000_000_000_000))
}

fn spec(seed: u64, number: u64, kind: &'static str, queues: &[String]) -> ClusterSpec {
    const RELEASES: [&str; 3] = [
        "esr-4.3.0 (Spark 3.5.2, Scala 2.12)",
        "esr-4.0.0 (Spark 3.5.2, Scala 2.12)",
        "esr-3.3.1 (Spark 3.4.2, Scala 2.12)",
    ];
    const NAMES: [&str; 8] = [
        "adhoc_query",
        "bi-dashboard",
        "notebook_ds",
        "thrift-tableau",
        "etl_debug",
        "探索分析",
        "ml_lab",
        "reports",
    ];
    let random = |salt| draw(seed, salt, 0);
    let name = NAMES.get(usize::try_from(number).unwrap_or(usize::MAX));
    let release = *pick(random(6), &RELEASES);
    ClusterSpec {
        name: name.map_or_else(|| format!("adhoc_query_{number}"), |name| (*name).to_owned()),
        kind,
        queue: pick(random(7), queues).clone(),
        release_version: release.to_owned(),
        display_release_version: release.to_owned(),
        fusion: random(8) % 3 == 0,
        env_id: (kind == "NOTEBOOK").then(|| format!("env-{:016x}", random(9))),
        auto_start: random(10).is_multiple_of(2),
        auto_stop: AutoStop {
            enable: !random(11).is_multiple_of(4),
            idle_timeout_minutes: *pick(random(12), &[30, 45, 60, 120]),
        },
        application_configs: vec![AppConfig {
            file: "spark-defaults.conf".to_owned(),
            key: "spark.app.name".to_owned(),
            value: format!("{}_application", kind.to_lowercase()),
        }],
        public_endpoint: kind == "THRIFT" && random(13).is_multiple_of(2),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const START: UnixMillis = 1_768_213_240_000;

    fn clusters() -> Vec<Cluster> {
        let config = WorldConfig { start: START, cluster_error_share: 0.3, ..WorldConfig::default() };
        (0..9).map(|n| Cluster::new(&config, 4, n, &["root_queue".to_owned()])).collect()
    }

    #[test]
    fn states_follow_each_other_as_the_service_moves_them() {
        use ClusterState as S;
        let mut seen = BTreeSet::new();
        for cluster in clusters() {
            let mut last = cluster.phase(START);
            for step in 1..4_000 {
                let next = cluster.phase(START + step * 10_000);
                if next.state != last.state {
                    seen.insert((last.state, next.state));
                }
                assert_eq!(next.state == S::Error, next.code != CODE_OK);
                assert!(next.start_time <= START + step * 10_000);
                last = next;
            }
        }
        let expected = [
            (S::Starting, S::Running),
            (S::Starting, S::Error),
            (S::Running, S::Stopping),
            (S::Stopping, S::Stopped),
            (S::Stopped, S::Starting),
            (S::Error, S::Stopped),
        ];
        assert_eq!(seen, BTreeSet::from(expected));
    }

    #[test]
    fn orders_take_their_time() {
        let mut cluster = clusters().remove(0);
        cluster.start(START, 90_000);
        assert_eq!(cluster.phase(START + 89_999).state, ClusterState::Starting);
        let running = cluster.phase(START + 90_000);
        assert_eq!((running.state, running.start_time), (ClusterState::Running, START));
        cluster.stop(START + 100_000, 30_000);
        assert_eq!(cluster.phase(START + 129_999).state, ClusterState::Stopping);
        assert_eq!(cluster.phase(START + 130_000).state, ClusterState::Stopped);
        cluster.hold(START + 200_000, ClusterState::Error, "DriverLost");
        let failed = cluster.phase(i64::MAX);
        assert_eq!((failed.state, failed.code.as_str()), (ClusterState::Error, "DriverLost"));
    }
}
