//! What is watched and how it fares: as a page at `/`, which works without scripts or anything from elsewhere, and as JSON
//! at `/api/v1/status`. Invariant: both show the same; the page leaves out what would make it long, and says how much.

mod advice;
mod failing;
mod page;
mod places;
mod sections;
mod targets;
pub(super) mod text;

#[cfg(test)]
pub(super) mod tests;

use serde::{Serialize, Serializer};

pub use advice::{Advice, advice};
pub(super) use page::render;
pub(super) use places::named;
pub(super) use text::{Escaped, written};

use super::Stage;
use crate::clock::UnixMillis;
use crate::model::FailureReason;

/// The version of the JSON: raised when a field changes its meaning or goes.
pub const API_VERSION: u32 = 1;

/// What is shown.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// [`API_VERSION`]
    pub api_version: u32,
    /// The program's version.
    pub version: &'static str,
    /// How far the exporter has come; in JSON `starting`, `ready` or `draining`.
    #[serde(serialize_with = "stage_name")]
    pub stage: Stage,
    /// Targets without a first sweep, well ended or not.
    pub waiting: usize,
    /// When this was so.
    #[serde(serialize_with = "moment")]
    pub as_of: UnixMillis,
    /// When the exporter started.
    #[serde(serialize_with = "moment")]
    pub started: UnixMillis,
    /// How the settings were read.
    pub config: ConfigStatus,
    /// How much is watched.
    pub watched: Watched,
    /// The ledger.
    pub ledger: LedgerRow,
    /// By account.
    pub credentials: Vec<CredentialsRow>,
    /// Who consumed most.
    pub consumers: Consumers,
    /// Session clusters that failed, at most [`ROWS_MAX`].
    pub failed_clusters: Vec<ClusterRow>,
    /// One a target.
    pub targets: Vec<TargetRow>,
}

/// How the settings were read.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConfigStatus {
    /// When those in force were read.
    #[serde(serialize_with = "moment")]
    pub loaded: UnixMillis,
    /// Why those that were read since then were refused, if they were; free of secrets.
    pub refused: Option<String>,
    /// Keys that were changed and take effect at a restart.
    pub awaiting_restart: Vec<&'static str>,
}

/// The most rows of a list that is cut.
pub const ROWS_MAX: usize = 10;

/// Counts of what the latest complete lists have, however old these are; none where there was no such list yet.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Watched {
    /// Accounts of the settings, each in each of its regions.
    pub scopes: Vec<ScopeRow>,
    /// Workspaces.
    pub workspaces: Option<usize>,
    /// Session clusters.
    pub session_clusters: Option<usize>,
    /// Those of them that are in `Error`.
    pub session_clusters_failed: Option<usize>,
    /// Livy gateways.
    pub livy_gateways: Option<usize>,
    /// Livy sessions that have not ended.
    pub livy_sessions_active: Option<u64>,
    /// How the lists stand that these counts are of.
    pub lists: Lists,
}

/// How the lists of each kind stand.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Lists {
    /// Of workspaces.
    pub workspaces: ListState,
    /// Of session clusters.
    pub session_clusters: ListState,
    /// Of Livy gateways.
    pub livy_gateways: ListState,
    /// Of Livy sessions.
    pub livy_sessions: ListState,
}

/// How the lists of a kind stand.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ListState {
    /// Whether they are polled, by the settings.
    pub enabled: bool,
    /// Targets with a complete list.
    pub complete: usize,
    /// Targets without one.
    pub missing: usize,
    /// How many of the complete ones are too old for the metrics, which leave them out.
    pub stale: usize,
    /// When the oldest of the complete ones was true.
    #[serde(serialize_with = "optional_moment")]
    pub as_of: Option<UnixMillis>,
}

/// An account in a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ScopeRow {
    /// The account's name in the configuration.
    pub account: String,
    /// Region id.
    pub region: String,
}

/// How the ledger stands.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LedgerRow {
    /// Livy sessions that it holds.
    pub sessions: u64,
    /// Its file and log, in bytes.
    pub size_bytes: u64,
    /// The latest transaction that reached the disk since the start.
    #[serde(serialize_with = "optional_moment")]
    pub last_commit: Option<UnixMillis>,
    /// Since when transactions fail, if the latest one did.
    #[serde(serialize_with = "optional_moment")]
    pub commits_failing_since: Option<UnixMillis>,
    /// The latest automatic backup.
    #[serde(serialize_with = "optional_moment")]
    pub last_backup: Option<UnixMillis>,
    /// Whether there are automatic backups.
    pub backups_enabled: bool,
    /// Since when these fail, if the latest one did.
    #[serde(serialize_with = "optional_moment")]
    pub backups_failing_since: Option<UnixMillis>,
    /// Why the latest one failed, in words.
    pub backup_error: Option<String>,
}

/// How the keys of an account stand.
#[derive(Clone, Debug, Serialize)]
pub struct CredentialsRow {
    /// The account's name in the configuration.
    pub account: String,
    /// Whether there are any.
    pub held: bool,
    /// Whether they are temporary: with a security token.
    pub temporary: bool,
    /// When they expire; without it, temporary ones do not say, and others do not.
    #[serde(serialize_with = "optional_moment")]
    pub expires: Option<UnixMillis>,
}

/// The largest counters, each list at most [`ROWS_MAX`] long.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Consumers {
    /// CU-seconds of all gateways that are shown.
    pub cu_seconds: f64,
    /// Livy gateways, by what the counters have.
    pub gateways: Vec<ConsumerRow>,
    /// How many there are in all.
    pub gateways_total: usize,
    /// Queues of gateways, by what the counters have.
    pub queues: Vec<ConsumerRow>,
    /// How many there are in all.
    pub queues_total: usize,
    /// Sessions that have not ended, by what each has consumed so far.
    pub sessions: Vec<SessionRow>,
}

/// Where something is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The account's name in the configuration.
    pub account: String,
    /// `workspaceId`; empty where it has none.
    pub workspace_id: String,
    /// The workspace's name; empty where it is not known.
    pub workspace_name: String,
    /// `computeId`; empty where it has none.
    pub livy_compute_id: String,
    /// The gateway's name; empty where it is not known.
    pub livy_gateway_name: String,
}

/// A counter and its value.
#[derive(Clone, Debug, Serialize)]
pub struct ConsumerRow {
    /// Which gateway.
    #[serde(flatten)]
    pub place: Place,
    /// Which queue; of a gateway as a whole, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// What `livy_cu_seconds_total` shows.
    pub cu_seconds: f64,
}

/// A Livy session that has not ended.
#[derive(Clone, Debug, Serialize)]
pub struct SessionRow {
    /// Of which gateway.
    #[serde(flatten)]
    pub place: Place,
    /// `sessionId`
    pub session_id: String,
    /// `name`
    pub name: String,
    /// `queue`
    pub queue: String,
    /// `state`
    pub state: &'static str,
    /// What it has consumed so far.
    pub cu_seconds: f64,
}

/// A session cluster in `Error`.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterRow {
    /// In which workspace.
    #[serde(flatten)]
    pub place: Place,
    /// `sessionClusterId`
    pub session_cluster_id: String,
    /// `name`
    pub name: String,
    /// `kind`
    pub kind: &'static str,
    /// `stateChangeReason.code`; empty where there is none.
    pub code: String,
}

/// A target.
#[derive(Clone, Debug, Serialize)]
pub struct TargetRow {
    /// What is polled there.
    #[serde(rename = "target")]
    pub kind: &'static str,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// Its region.
    pub region: String,
    /// When its latest sweep that ended well did so.
    #[serde(serialize_with = "optional_moment")]
    pub last_success: Option<UnixMillis>,
    /// How long its latest sweep took.
    pub last_duration_seconds: Option<f64>,
    /// How far the running sweep has come, 0 to 1.
    pub progress: Option<f64>,
    /// Since when its sweeps fail, if the latest one did.
    #[serde(serialize_with = "optional_moment")]
    pub failing_since: Option<UnixMillis>,
    /// The latest sweep that failed, however the ones since then ended.
    pub last_failure: Option<FailureRow>,
}

impl TargetRow {
    /// Why its latest sweep failed, if it did.
    fn failure(&self) -> Option<&FailureRow> {
        self.last_failure.as_ref().filter(|_| self.failing_since.is_some())
    }
}

/// A sweep that failed.
#[derive(Clone, Debug, Serialize)]
pub struct FailureRow {
    /// When.
    #[serde(serialize_with = "moment")]
    pub at: UnixMillis,
    /// From the closed set that the metrics use.
    #[serde(serialize_with = "reason_name")]
    pub reason: FailureReason,
    /// In plain words.
    #[serde(flatten)]
    pub advice: Advice,
    /// Where there is more about it.
    pub documentation: String,
    /// The service's error code, where it gave one.
    pub code: Option<String>,
    /// What the service calls the request in its own logs.
    pub request_id: Option<String>,
    /// In words; free of secrets.
    pub message: String,
}

impl FailureRow {
    /// A failure, with what there is to say about its reason.
    pub fn new(at: UnixMillis, reason: FailureReason, message: String) -> Self {
        let documentation = super::docs::about(reason);
        Self { at, reason, advice: advice(reason), documentation, code: None, request_id: None, message }
    }
}

fn stage_name<S: Serializer>(stage: &Stage, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match stage {
        Stage::Starting { .. } => "starting",
        Stage::Ready => "ready",
        Stage::Draining => "draining",
    })
}

fn reason_name<S: Serializer>(reason: &FailureReason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.as_str())
}

/// A moment in RFC 3339, to the second; null where it is beyond the calendar.
pub(super) fn moment<S: Serializer>(at: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
    text::rfc3339(*at).serialize(serializer)
}

/// As [`moment`], or null.
pub(super) fn optional_moment<S: Serializer>(
    at: &Option<UnixMillis>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.and_then(text::rfc3339).serialize(serializer)
}

/// The status as JSON.
pub(super) fn json(status: &Status) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = serde_json::to_vec(status)?;
    json.push(b'\n');
    Ok(json)
}
