//! The exporter's own metrics, with the `prometheus` crate: counted where things happen, encoded at each scrape.

use std::time::Duration;

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder,
};

use super::family::PREFIX;
use crate::clock::UnixMillis;
use crate::model::{Action, FailureReason, Outcome, TargetKind};

/// Seconds that an API request takes.
const REQUEST_BUCKETS: [f64; 10] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Seconds that a sweep takes.
const SWEEP_BUCKETS: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0];
/// Seconds that a commit takes.
const COMMIT_BUCKETS: [f64; 9] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// See the module.
#[derive(Debug)]
pub struct OwnMetrics {
    registry: Registry,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    throttled: IntCounterVec,
    sweep_duration: HistogramVec,
    sweep_failures: IntCounterVec,
    sweep_pages: IntCounterVec,
    sweep_restarts: IntCounterVec,
    full_sweeps: IntCounter,
    sweep_surprises: IntCounter,
    malformed_fields: IntCounterVec,
    cut_labels: IntCounter,
    dropped_series: IntCounterVec,
    ledger_sessions: IntGauge,
    ledger_size: IntGauge,
    commit_duration: Histogram,
    commit_failures: IntCounter,
    pruned_sessions: IntCounter,
    last_backup: Gauge,
    backup_failures: IntCounter,
    snapshot_age: Gauge,
    refused_connections: IntCounter,
}

/// A family of the exporter's own, for its documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFamily {
    /// The whole name.
    pub name: String,
    /// As the text format writes it.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: Vec<String>,
    /// What it tells.
    pub help: String,
}

impl OwnMetrics {
    /// All of them, the closed label sets at zero; `fields` are the names that [`Self::malformed_field`] may be told.
    ///
    /// # Errors
    /// Where two families contradict each other, which is a defect.
    pub fn new(fields: impl Iterator<Item = &'static str>) -> Result<Self, prometheus::Error> {
        let make = Maker(Registry::new());
        let own = Self {
            requests: make.counters(
                "exporter_api_requests_total",
                "Requests to the EMR Serverless Spark API, attempt by attempt, by how they ended.",
                &["action", "outcome"],
            )?,
            request_duration: make.histograms(
                "exporter_api_request_duration_seconds",
                "Time from sending a request to the end of its answer, in seconds.",
                &["action"],
                &REQUEST_BUCKETS,
            )?,
            throttled: make.counters(
                "exporter_api_throttled_total",
                "Requests that the service answered with a plea to slow down.",
                &["action"],
            )?,
            sweep_duration: make.histograms(
                "exporter_sweep_duration_seconds",
                "Time that one sweep of a target took, in seconds, whether it ended well or failed.",
                &["target"],
                &SWEEP_BUCKETS,
            )?,
            sweep_failures: make.counters(
                "exporter_sweep_failures_total",
                "Sweeps that failed, by kind of target and reason.",
                &["target", "reason"],
            )?,
            sweep_pages: make.counters(
                "exporter_sweep_pages_total",
                "Pages that sweeps have read.",
                &["target"],
            )?,
            sweep_restarts: make.counters(
                "exporter_sweep_restarts_total",
                "Passes over a list that began again because it moved under the sweep.",
                &["target"],
            )?,
            full_sweeps: make.counter(
                "exporter_full_sweeps_total",
                "Sweeps of a whole session history; the other polls of Livy sessions read only parts of it.",
            )?,
            sweep_surprises: make.counter(
                "exporter_sweep_surprises_total",
                "Polls of parts of a session history that found something unexpected and gave way to a full sweep.",
            )?,
            malformed_fields: make.counters(
                "exporter_malformed_fields_total",
                "Fields of the service's answers that could not be understood and were left out (`[]` at the end: \
                 a whole row).",
                &["field"],
            )?,
            cut_labels: make.counter(
                "exporter_cut_labels_total",
                "Texts of the service's answers that were too long for a label and were cut.",
            )?,
            dropped_series: make.counters(
                "exporter_dropped_series_total",
                "Series that a complete sweep left out because of a limit.",
                &["family"],
            )?,
            ledger_sessions: make.gauge("exporter_ledger_sessions", "Livy sessions that the ledger holds.")?,
            ledger_size: make
                .gauge("exporter_ledger_size_bytes", "Size of the ledger's file and its log, in bytes.")?,
            commit_duration: make.histogram(
                "exporter_ledger_commit_duration_seconds",
                "Time that one transaction of the ledger took until it was on disk, in seconds.",
                &COMMIT_BUCKETS,
            )?,
            commit_failures: make.counter(
                "exporter_ledger_commit_failures_total",
                "Transactions of the ledger that did not reach the disk; what they held is counted by a later sweep.",
            )?,
            pruned_sessions: make.counter(
                "exporter_ledger_pruned_sessions_total",
                "Ended Livy sessions that the ledger no longer keeps one by one (ledger.retention); their usage stays \
                 in the counters.",
            )?,
            last_backup: make.float_gauge(
                "exporter_ledger_last_backup_timestamp_seconds",
                "When the latest automatic backup of the ledger was complete, in seconds since the epoch; 0 if there \
                 is none.",
            )?,
            backup_failures: make.counter(
                "exporter_ledger_backup_failures_total",
                "Automatic backups of the ledger that failed; the one before is kept.",
            )?,
            snapshot_age: make.float_gauge(
                "exporter_snapshot_age_seconds",
                "Time since the families of the watched resources were last rendered, in seconds.",
            )?,
            refused_connections: make.counter(
                "exporter_http_connections_refused_total",
                "Connections that were closed at once because web.max_connections were open.",
            )?,
            registry: make.0,
        };
        own.begin_at_zero(fields)?;
        Ok(own)
    }

    /// One attempt of a request ended.
    pub fn request(&self, action: Action, outcome: Outcome, took: Duration) {
        self.requests.with_label_values(&[action.as_str(), outcome.as_str()]).inc();
        self.request_duration.with_label_values(&[action.as_str()]).observe(took.as_secs_f64());
        if outcome == Outcome::Failure(FailureReason::Throttled) {
            self.throttled.with_label_values(&[action.as_str()]).inc();
        }
    }

    /// A field of an answer was not understood. `field` is from a closed set: the names of the API's fields.
    pub fn malformed_field(&self, field: &'static str) {
        self.malformed_fields.with_label_values(&[field]).inc();
    }

    /// Texts were cut to the length of a label.
    pub fn cut_labels(&self, count: u64) {
        self.cut_labels.inc_by(count);
    }

    /// A page was read.
    pub fn page(&self, kind: TargetKind) {
        self.sweep_pages.with_label_values(&[kind.as_str()]).inc();
    }

    /// A list moved under a sweep and is read again.
    pub fn restart(&self, kind: TargetKind) {
        self.sweep_restarts.with_label_values(&[kind.as_str()]).inc();
    }

    /// A whole session history is about to be swept.
    pub fn full_sweep(&self) {
        self.full_sweeps.inc();
    }

    /// A poll of parts of a history gives way to a full sweep.
    pub fn surprise(&self) {
        self.sweep_surprises.inc();
    }

    /// A sweep ended.
    pub fn sweep(&self, kind: TargetKind, took: Duration, failure: Option<FailureReason>) {
        self.sweep_duration.with_label_values(&[kind.as_str()]).observe(took.as_secs_f64());
        if let Some(reason) = failure {
            self.sweep_failures.with_label_values(&[kind.as_str(), reason.as_str()]).inc();
        }
    }

    /// Series were left out because of a limit.
    pub fn dropped_series(&self, family: &'static str, count: u64) {
        self.dropped_series.with_label_values(&[family]).inc_by(count);
    }

    /// A transaction of the ledger ended.
    pub fn commit(&self, took: Duration, ok: bool) {
        self.commit_duration.observe(took.as_secs_f64());
        if !ok {
            self.commit_failures.inc();
        }
    }

    /// The ledger let go of ended sessions.
    pub fn pruned_sessions(&self, count: u64) {
        self.pruned_sessions.inc_by(count);
    }

    /// An automatic backup of the ledger was complete at this time, in ms since the epoch.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch fit a float's 53 bits")]
    pub fn backup(&self, at: UnixMillis) {
        self.last_backup.set(at as f64 / 1_000.0);
    }

    /// An automatic backup of the ledger failed.
    pub fn backup_failed(&self) {
        self.backup_failures.inc();
    }

    /// A connection was refused.
    pub fn refused_connection(&self) {
        self.refused_connections.inc();
    }

    /// The families as they are now, in the text format, with the figures that only a scrape asks for.
    ///
    /// # Errors
    /// Where the registry's families contradict each other, which is a defect.
    pub fn encode(
        &self,
        sessions: u64,
        ledger_bytes: u64,
        snapshot_age: Duration,
    ) -> Result<Vec<u8>, prometheus::Error> {
        self.ledger_sessions.set(sessions.cast_signed());
        self.ledger_size.set(ledger_bytes.cast_signed());
        self.snapshot_age.set(snapshot_age.as_secs_f64());
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        Ok(out)
    }

    /// What these families are called and mean.
    pub fn catalogue(&self) -> Vec<OwnFamily> {
        let describe = |family: prometheus::proto::MetricFamily| {
            let labels = family.get_metric().first().map(|metric| metric.get_label());
            let labels = labels.into_iter().flatten().map(|label| label.name().to_owned()).collect();
            let kind = match family.get_field_type() {
                prometheus::proto::MetricType::COUNTER => "counter",
                prometheus::proto::MetricType::HISTOGRAM => "histogram",
                _ => "gauge",
            };
            OwnFamily { name: family.name().to_owned(), kind, labels, help: family.help().to_owned() }
        };
        self.registry.gather().into_iter().map(describe).collect()
    }

    fn begin_at_zero(&self, fields: impl Iterator<Item = &'static str>) -> Result<(), prometheus::Error> {
        for action in Action::ALL {
            self.throttled.with_label_values(&[action.as_str()]);
            self.request_duration.with_label_values(&[action.as_str()]);
            for outcome in Outcome::all() {
                self.requests.with_label_values(&[action.as_str(), outcome.as_str()]);
            }
        }
        for kind in TargetKind::ALL {
            self.sweep_duration.with_label_values(&[kind.as_str()]);
            self.sweep_pages.with_label_values(&[kind.as_str()]);
            self.sweep_restarts.with_label_values(&[kind.as_str()]);
            for reason in FailureReason::ALL {
                self.sweep_failures.with_label_values(&[kind.as_str(), reason.as_str()]);
            }
        }
        for field in fields {
            self.malformed_fields.with_label_values(&[field]);
        }
        self.dropped_series.with_label_values(&["livy_session_info"]);
        let build = prometheus::IntGaugeVec::new(
            Opts::new(format!("{PREFIX}exporter_build_info"), "The running program: its version; always 1."),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        self.registry.register(Box::new(build))?;
        self.registry.register(Box::new(ProcessCollector::for_self()))
    }
}

/// Makes families and registers them.
struct Maker(Registry);

impl Maker {
    fn add<T: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: T,
    ) -> Result<T, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(Opts::new(format!("{PREFIX}{name}"), help), labels)?)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::new(format!("{PREFIX}{name}"), help)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::new(format!("{PREFIX}{name}"), help)?)
    }

    fn float_gauge(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.add(Gauge::new(format!("{PREFIX}{name}"), help)?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, prometheus::Error> {
        let options = HistogramOpts::new(format!("{PREFIX}{name}"), help).buckets(buckets.to_vec());
        self.add(HistogramVec::new(options, labels)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        let options = HistogramOpts::new(format!("{PREFIX}{name}"), help).buckets(buckets.to_vec());
        self.add(Histogram::with_opts(options)?)
    }
}
