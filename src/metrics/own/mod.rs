//! The exporter's own metrics: counted where things happen, written at each scrape.

mod api;
mod credentials;
mod ledger;
mod make;
mod process;
mod scopes;
mod series;
mod sweeps;
mod template;
mod web;

use std::time::Duration;

use prometheus::{Gauge, IntGauge};

pub use api::ApiMetrics;
pub use credentials::CredentialsMetrics;
pub use ledger::LedgerMetrics;
use make::{Families, Maker};
use process::Process;
pub use process::ProcessFigures;
pub use scopes::ScopeMetrics;
pub use sweeps::SweepMetrics;
pub use web::WebMetrics;

use super::Family;
use super::lines::{self, seconds};
use super::memory::{Memory, Text};
use crate::build_info;
use crate::clock::UnixMillis;
use crate::model::{Format, ScopeId};

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
    /// How the HTTP server fares.
    pub web: WebMetrics,
    snapshot_age: Gauge,
    config_loaded: IntGauge,
    config_loaded_at: Gauge,
    awaiting_restart: IntGauge,
    families: Families,
    process: Process,
}

/// What only a scrape asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scrape {
    /// Sessions in the ledger.
    pub ledger_sessions: u64,
    /// The ledger on disk.
    pub ledger_bytes: u64,
    /// Since the families of the watched resources were rendered.
    pub snapshot_age: Duration,
    /// Of this process.
    pub process: ProcessFigures,
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
        let make = Maker::default();
        let build = make.gauges(
            "exporter_build_info",
            "The running program: its version, the commit it was built from and that commit's date; always 1.",
            &["version", "revision", "build_date"],
        )?;
        build.with_label_values(&[build_info::VERSION, build_info::REVISION, build_info::DATE]).set(1);
        let own = Self {
            api: ApiMetrics::new(&make, fields)?,
            credentials: CredentialsMetrics::new(&make)?,
            scopes: ScopeMetrics::new(&make, scopes)?,
            sweeps: SweepMetrics::new(&make)?,
            ledger: LedgerMetrics::new(&make)?,
            web: WebMetrics::new(&make)?,
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
            awaiting_restart: make.gauge(
                "exporter_config_keys_awaiting_restart",
                "Settings that differ from what they were at the start and take effect at a restart only.",
            )?,
            families: make.families(),
            process: Process::new(),
        };
        own.credentials.watch(scopes.iter().map(|scope| scope.account.clone()));
        Ok(own)
    }

    /// Good settings were read and are in force, but for so many that take a restart.
    pub fn config_loaded(&self, at: UnixMillis, awaiting_restart: usize) {
        self.config_loaded.set(1);
        self.config_loaded_at.set(seconds(at));
        self.awaiting_restart.set(i64::try_from(awaiting_restart).unwrap_or(i64::MAX));
    }

    /// Settings were read and refused; those before them are in force.
    pub fn config_refused(&self) {
        self.config_loaded.set(0);
    }

    /// These scopes are watched from now on, and no others.
    pub fn watch(&self, scopes: &[ScopeId]) {
        self.scopes.watch(scopes);
        self.credentials.watch(scopes.iter().map(|scope| scope.account.clone()));
    }

    /// The families as they are now, with the figures that only a scrape asks for: the end of a page.
    pub fn encode(&self, format: Format, scrape: &Scrape, memory: &Memory) -> Text {
        self.ledger.size(scrape.ledger_sessions, scrape.ledger_bytes);
        self.snapshot_age.set(scrape.snapshot_age.as_secs_f64());
        let mut out = memory.text();
        let mut values = Vec::new();
        for family in &self.families {
            family.write(format, &mut values, &mut out);
        }
        self.process.write(&scrape.process, format, &mut out);
        if format == Format::OpenMetrics {
            out.extend_from_slice(lines::END);
        }
        out
    }

    /// What these families are called and mean.
    pub fn catalogue(&self) -> Vec<OwnFamily> {
        let describe = |family: &Family| OwnFamily {
            name: family.name(),
            kind: family.kind.as_str(),
            labels: family.labels.iter().map(|label| (*label).to_owned()).collect(),
            help: family.help.to_owned(),
        };
        let counted = self.families.iter().map(|family| family.family());
        counted.chain(Process::families()).map(describe).collect()
    }
}
