//! What a simulated world looks like. Invariant: two worlds of one configuration are equal.

use std::time::Duration;

use crate::clock::{Clock, UnixMillis};

/// The order in which ListLivyComputeSessions gives the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryOrder {
    /// Latest `createTime` first.
    NewestFirst,
    /// Earliest `createTime` first.
    OldestFirst,
    /// A fixed pseudo-random order. A birth puts the new row in the place of another, which moves to the end;
    /// the whole order changes only when the history outgrows the next power of four.
    Shuffled,
}

/// When the usage figures of a session show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FigureGrowth {
    /// They grow, second by second, while the session runs.
    WhileRunning,
    /// They are 0 until the session has ended.
    AtEnd,
}

/// What ListLivyComputeSessions says as `endTime` of a session that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunningEnd {
    /// `null`
    Null,
    /// The field is missing.
    Absent,
    /// 0
    Zero,
    /// The present time.
    Now,
}

/// How a world is made. `Default` is the demo world.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// Worlds of different seeds differ in ids, names, times and figures.
    pub seed: u64,
    /// The one region of the world.
    pub region: String,
    /// Virtual time when the clock starts.
    pub start: UnixMillis,
    /// Pace of the virtual clock, in multiples of real time; 0 stands still.
    pub speed: f64,
    /// Workspaces.
    pub workspaces: u32,
    /// Queues of each workspace: `root_queue`, `dev_queue`, then named ones. At least 1.
    pub queues: u32,
    /// Session clusters of each workspace.
    pub session_clusters: u32,
    /// Share of the session clusters' cycles that end in `Error`.
    pub cluster_error_share: f64,
    /// Virtual time that a session cluster takes to start; stopping takes a third of it.
    pub cluster_start: Duration,
    /// Livy gateways of each workspace.
    pub gateways: u32,
    /// Sessions that are in each gateway's history when the clock starts.
    pub history: u64,
    /// How far the history reaches back; its sessions are spread evenly over it.
    pub history_span: Duration,
    /// Sessions that are born in each gateway each virtual hour; at most 3,600,000.
    pub births_per_hour: u32,
    /// The shortest run of a session.
    pub run_min: Duration,
    /// The longest run of a session. Runs are spread evenly over the orders of magnitude between the two.
    pub run_max: Duration,
    /// Share of the sessions that end in `error`.
    pub error_share: f64,
    /// The order of the history.
    pub order: HistoryOrder,
    /// A session whose `createTime` is longer ago than this leaves the list; `None` = never.
    pub retention: Option<Duration>,
    /// When figures show.
    pub growth: FigureGrowth,
    /// By how much the figures lag behind; the last part shows only this long after the session stopped running.
    pub figures_lag: Duration,
    /// Share of the sessions whose figures fall by a tenth, [`WorldConfig::revision_delay`] after they were final.
    pub downward_share: f64,
    /// Share of the sessions whose figures rise by a twentieth, [`WorldConfig::revision_delay`] after they were final.
    pub late_growth_share: f64,
    /// How long after a session's figures are final they are revised.
    pub revision_delay: Duration,
    /// Share of the sessions whose `createTime` equals that of the session before.
    pub equal_time_share: f64,
    /// `endTime` of a session that has not ended.
    pub running_end: RunningEnd,
}

impl Default for WorldConfig {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3_600);
        Self {
            seed: 1,
            region: "cn-hangzhou".to_owned(),
            start: Clock::System.now(),
            speed: 1.0,
            workspaces: 2,
            queues: 3,
            session_clusters: 6,
            cluster_error_share: 0.1,
            cluster_start: Duration::from_secs(90),
            gateways: 2,
            history: 500,
            history_span: 72 * HOUR,
            births_per_hour: 60,
            run_min: Duration::from_secs(30),
            run_max: 2 * HOUR,
            error_share: 0.06,
            order: HistoryOrder::NewestFirst,
            retention: None,
            growth: FigureGrowth::WhileRunning,
            figures_lag: Duration::from_secs(20),
            downward_share: 0.0,
            late_growth_share: 0.0,
            revision_delay: Duration::from_secs(600),
            equal_time_share: 0.01,
            running_end: RunningEnd::Null,
        }
    }
}
