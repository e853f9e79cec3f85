//! The validated settings.

use std::path::PathBuf;
use std::time::Duration;

use globset::{GlobMatcher, GlobSet};
use secrecy::SecretString;

pub use super::credentials::{
    AccessKey, Credentials, EcsRole, OidcRole, Profile, Role, Secret, read_profile_file, read_secret,
};
use super::pricing::Pricing;
pub use crate::model::Baseline;

/// Everything the daemon is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// At least one; names are unique.
    pub accounts: Vec<Account>,
    /// What is polled, and how often.
    pub collectors: Collectors,
    /// Limits of the API client, for each account and region.
    pub api: Api,
    /// The durable usage ledger.
    pub ledger: Ledger,
    /// What the metrics page shows.
    pub exposition: Exposition,
    /// What usage costs.
    pub pricing: Pricing,
    /// The HTTP server.
    pub web: Web,
    /// Logging.
    pub log: Log,
}

/// An Alibaba Cloud account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Value of the label `account`.
    pub name: String,
    /// Where its keys come from.
    pub credentials: Credentials,
    /// Region ids such as `cn-hangzhou`; at least one, each once.
    pub regions: Vec<String>,
    /// Which of the service's endpoints to use.
    pub network: Network,
    /// Instead of the service's own endpoint: `https://host[:port]`, or `http://` towards loopback or with `allow_http`.
    pub endpoint: Option<Endpoint>,
    /// Instead of STS's own endpoint: `https://host[:port]`, or `http://` towards loopback.
    pub sts_endpoint: Option<Endpoint>,
    /// Instead of the metadata service of ECS, `http://100.100.100.200`: another `http://` address of this machine.
    pub metadata_endpoint: Option<Endpoint>,
    /// Whether keys may come in the clear from another machine.
    pub allow_http: bool,
    /// Which workspaces to watch.
    pub workspaces: WorkspaceFilter,
    /// What it has of its own among the limits and ways of the API client.
    pub api: AccountApi,
}

/// Which of the service's endpoints to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// `emr-serverless-spark.{region}.aliyuncs.com`
    Public,
    /// `emr-serverless-spark-vpc.{region}.aliyuncs.com`
    Vpc,
}

/// Scheme, host and port of an HTTP service; no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether to use TLS.
    pub https: bool,
    /// Host and, where it is not the scheme's own, port: the value of the `Host` header.
    pub authority: String,
}

/// Which workspaces to watch: those of `ids`, and those that are discovered: by ListWorkspaces, where they match an
/// include and no exclude by id or by name, and all of the tags.
#[derive(Clone, Debug)]
pub struct WorkspaceFilter {
    /// Whether ListWorkspaces is asked at all.
    pub discover: bool,
    /// Globs to keep.
    pub include: GlobSet,
    /// Globs to leave out.
    pub exclude: GlobSet,
    /// Keys of tags, each once, with a glob for the value.
    pub tags: Vec<(String, GlobMatcher)>,
    /// Ids that are watched whether they are discovered or not, each once; with these, the account has one region.
    pub ids: Vec<String>,
}

impl WorkspaceFilter {
    /// Whether a discovered workspace of this id, name and tags is watched.
    pub fn matches(&self, workspace_id: &str, name: &str, tags: &[(String, String)]) -> bool {
        let hits = |set: &GlobSet| set.is_match(workspace_id) || set.is_match(name);
        let tagged = |(key, glob): &(String, GlobMatcher)| {
            tags.iter().any(|(name, value)| name == key && glob.is_match(value))
        };
        self.ids.iter().any(|id| id == workspace_id)
            || hits(&self.include) && !hits(&self.exclude) && self.tags.iter().all(tagged)
    }
}

/// What is polled, and how often.
#[derive(Clone, Debug)]
pub struct Collectors {
    /// ListWorkspaces; discovery cannot be switched off.
    pub workspaces: Collector,
    /// ListSessionClusters; `None` when disabled.
    pub session_clusters: Option<Collector>,
    /// ListLivyCompute; `None` when disabled.
    pub livy_gateways: Option<Collector>,
    /// ListLivyComputeSessions; `None` when disabled. Needs `livy_gateways`.
    pub livy_sessions: Option<LivySessions>,
}

/// How one kind of target is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collector {
    /// From the start of one sweep to the start of the next; 1 s to 24 h.
    pub interval: Duration,
    /// The longest that one sweep may take; 1 s to 24 h.
    pub deadline: Duration,
    /// Rows asked for in one page; 1 to 100. Without use where the operation has no paging.
    pub page_size: u32,
}

/// How the Livy session history is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LivySessions {
    /// Interval, deadline and page size.
    pub collector: Collector,
    /// From one sweep of the whole history to the next, while polls in between need only parts of it; 1 min to 7 days.
    pub full_sweep_interval: Duration,
    /// How long after its end a session may still change and is looked at by every poll; 0 s to 7 days.
    pub settle: Duration,
    /// The most active sessions of one gateway that get series of their own, largest CU-hours first; 0 to 100,000.
    pub series_limit: usize,
}

/// Limits of the API client, for each account and region.
#[derive(Clone, Debug)]
pub struct Api {
    /// Requests started in a second; 0.1 to 1000.
    pub requests_per_second: f64,
    /// Requests in flight; 1 to 64.
    pub max_in_flight: usize,
    /// To a connection; 100 ms to 5 min.
    pub connect_timeout: Duration,
    /// From the start of one attempt to the end of its answer; 100 ms to 5 min.
    pub timeout: Duration,
    /// Attempts after the first; 0 to 10.
    pub retries: usize,
    /// The largest body of an answer that is read, in bytes; 64 KiB to 256 MiB.
    pub body_bytes_max: usize,
    /// The most pages of one sweep; 1 to 1,000,000.
    pub pages_max: u32,
    /// PEM file with certificate authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Proxy for all requests, `http://[user:password@]host:port`; else the environment's (`HTTPS_PROXY`, `NO_PROXY`, …).
    pub proxy: Option<SecretString>,
}

/// What an account has of its own in the place of a key of [`Api`]: its quota, and the way to it.
#[derive(Clone, Debug, Default)]
pub struct AccountApi {
    /// See [`Api::requests_per_second`].
    pub requests_per_second: Option<f64>,
    /// See [`Api::max_in_flight`].
    pub max_in_flight: Option<usize>,
    /// See [`Api::ca_file`].
    pub ca_file: Option<PathBuf>,
    /// See [`Api::proxy`].
    pub proxy: Option<SecretString>,
}

impl AccountApi {
    /// The limits of the account: its own, else those of all.
    pub fn over(&self, all: &Api) -> Api {
        Api {
            requests_per_second: self.requests_per_second.unwrap_or(all.requests_per_second),
            max_in_flight: self.max_in_flight.unwrap_or(all.max_in_flight),
            ca_file: self.ca_file.clone().or_else(|| all.ca_file.clone()),
            proxy: self.proxy.clone().or_else(|| all.proxy.clone()),
            ..all.clone()
        }
    }
}

/// The durable usage ledger.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The SQLite file, on a local disk; its directory is created at need.
    pub path: PathBuf,
    /// What becomes of usage from before the exporter's first sweep of a gateway.
    pub baseline: Baseline,
    /// How long an ended session is kept after the service lists it no more; its part of the totals stays for good.
    /// 1 day to 10 years.
    pub retention: Duration,
    /// From one automatic backup to the next; 1 min to 30 days, `None` = none are made.
    pub backup_interval: Option<Duration>,
}

/// What the metrics page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exposition {
    /// How long a counter that appears after its gateway's baseline is shown at 0 first; 0 s to 1 h.
    pub zero_hold: Duration,
    /// Gauges without a complete sweep for this long are withdrawn; 10 s to 7 days.
    pub stale_after: Duration,
    /// Whether OpenMetrics tells when counters were at zero, where that is known.
    pub created_timestamps: bool,
}

/// The HTTP server.
#[derive(Clone, Debug)]
pub struct Web {
    /// At least one, each once.
    pub listen_addresses: Vec<ListenAddress>,
    /// Whether the sockets come from systemd, and `listen_addresses` tells only where they are.
    pub systemd_socket: bool,
    /// Path of the metrics page; starts with `/`.
    pub telemetry_path: String,
    /// The web configuration file of the exporter-toolkit, which is read again when it changes: TLS, passwords, headers.
    pub config_file: Option<PathBuf>,
    /// What is cut.
    pub limits: WebLimits,
    /// How long the server still answers after the signal to end, not ready; 0 s to 5 min.
    pub drain_delay: Duration,
    /// How long answers under way may take to end after that; 0 s to 5 min.
    pub drain_timeout: Duration,
    /// Whether whoever reaches the server may have the settings read again, by `POST /-/reload`.
    pub enable_lifecycle: bool,
}

/// Where the HTTP server is.
#[derive(Clone, Debug)]
pub struct WebPlace {
    /// See [`Web::listen_addresses`].
    pub listen_addresses: Vec<ListenAddress>,
    /// See [`Web::config_file`].
    pub config_file: Option<PathBuf>,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// `host:port`; the host may be a name, empty (all addresses) or an IPv6 address in brackets.
    Tcp(String),
    /// A Unix socket, by its path.
    Unix(PathBuf),
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Bounds on what a client may ask of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebLimits {
    /// Connections open at a time; 1 to 65,536.
    pub max_connections: usize,
    /// The head of a request; 8 KiB to 1 MiB.
    pub head_bytes_max: usize,
    /// Path and query of a request; 256 B to 64 KiB, at most `head_bytes_max`.
    pub uri_bytes_max: usize,
    /// From the first byte of a head to its last, and for a TLS handshake; 100 ms to 5 min.
    pub head_timeout: Duration,
    /// Of a connection without a request; 1 s to 1 h.
    pub idle_timeout: Duration,
    /// From a request to the last byte of its answer; 1 s to 1 h.
    pub write_timeout: Duration,
}

/// Logging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least severe level that is written.
    pub level: LogLevel,
    /// How lines look.
    pub format: LogFormat,
}

/// A log level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
