//! The exporter's own metrics, with the `prometheus` crate: counted where things happen, encoded at each scrape.

mod api;
mod credentials;
mod ledger;
mod make;
mod scopes;
mod sweeps;

use std::time::Duration;

use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder, Gauge, IntCounter, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

pub use api::ApiMetrics;
pub use credentials::CredentialsMetrics;
pub use ledger::LedgerMetrics;
use make::Maker;
pub use scopes::ScopeMetrics;
pub use sweeps::SweepMetrics;

use super::family::PREFIX;
use super::page::seconds;
use crate::build_info;
use crate::clock::UnixMillis;
use crate::model::ScopeId;

/// See the module.
#[derive(Debug)]
pub struct OwnMetrics {
    /// What the client does.
    pub api: ApiMetrics,
    /// How the accounts' keys stand.
    pub credentials: CredentialsMetrics,
    /// How each account and region is received.
    pub scopes: ScopeMetrics,
    /// How sweeps fare.
    pub sweeps: SweepMetrics,
    /// How the ledger fares.
    pub ledger: LedgerMetrics,
    snapshot_age: Gauge,
    config_loaded: IntGauge,
    config_loaded_at: Gauge,
    refused_connections: IntCounter,
    registry: Registry,
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
    /// All of them, the closed label sets at zero; `fields` are the names that [`ApiMetrics::malformed_field`] may be
    /// told, `scopes` what the configuration names.
    ///
    /// # Errors
    /// Where two families contradict each other, which is a defect.
    pub fn new(
        fields: impl Iterator<Item = &'static str>,
        scopes: &[ScopeId],
    ) -> Result<Self, prometheus::Error> {
        let make = Maker(Registry::new());
        let own = Self {
            api: ApiMetrics::new(&make, fields)?,
            credentials: CredentialsMetrics::new(&make)?,
            scopes: ScopeMetrics::new(&make, scopes)?,
            sweeps: SweepMetrics::new(&make)?,
            ledger: LedgerMetrics::new(&make)?,
            snapshot_age: make.float_gauge(
                "exporter_snapshot_age_seconds",
                "Time since the families of the watched resources were last rendered, in seconds.",
            )?,
            config_loaded: make.gauge(
                "exporter_config_last_reload_successful",
                "Whether the settings were good (1) or refused (0) when they were last read.",
            )?,
            config_loaded_at: make.float_gauge(
                "exporter_config_last_reload_success_timestamp_seconds",
                "When settings were last read that were good, in Unix seconds.",
            )?,
            refused_connections: make.counter(
                "exporter_http_connections_refused_total",
                "Connections that were closed at once because web.max_connections were open.",
            )?,
            registry: make.0,
        };
        let build = Opts::new(
            format!("{PREFIX}exporter_build_info"),
            "The running program: its version, the commit it was built from and that commit's date; always 1.",
        );
        let build = IntGaugeVec::new(build, &["version", "revision", "build_date"])?;
        build.with_label_values(&[build_info::VERSION, build_info::REVISION, build_info::DATE]).set(1);
        own.registry.register(Box::new(build))?;
        own.registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(own)
    }

    /// Good settings were read and are in force.
    pub fn config_loaded(&self, at: UnixMillis) {
        self.config_loaded.set(1);
        self.config_loaded_at.set(seconds(at));
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
        self.ledger.size(sessions, ledger_bytes);
        self.snapshot_age.set(snapshot_age.as_secs_f64());
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        Ok(out)
    }

    /// What these families are called and mean.
    pub fn catalogue(&self) -> Vec<OwnFamily> {
        // The registry leaves out a family without a series.
        self.credentials.keys("", Some(0));
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
        let families = self.registry.gather().into_iter().map(describe).collect();
        self.credentials.keys("", None);
        families
    }
}
