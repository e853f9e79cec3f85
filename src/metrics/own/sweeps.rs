//! How sweeps fare.

use std::time::Duration;

use prometheus::{Histogram, IntCounter};

use super::make::Maker;
use super::series::Vector;
use crate::model::{FailureReason, TargetKind};

/// Seconds that a sweep takes.
const SWEEP_BUCKETS: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0];

/// Sweeps, and what they left out.
#[derive(Debug)]
pub struct SweepMetrics {
    sweep_duration: Vector<Histogram>,
    sweep_failures: Vector<IntCounter>,
    sweep_pages: Vector<IntCounter>,
    sweep_restarts: Vector<IntCounter>,
    full_sweeps: IntCounter,
    sweep_surprises: IntCounter,
    dropped_series: Vector<IntCounter>,
}

impl SweepMetrics {
    pub(super) fn new(make: &Maker) -> Result<Self, prometheus::Error> {
        let metrics = Self {
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
            dropped_series: make.counters(
                "exporter_dropped_series_total",
                "Series that a complete sweep left out because of a limit.",
                &["family"],
            )?,
        };
        for kind in TargetKind::ALL {
            metrics.sweep_duration.with_label_values(&[kind.as_str()]);
            metrics.sweep_pages.with_label_values(&[kind.as_str()]);
            metrics.sweep_restarts.with_label_values(&[kind.as_str()]);
            for reason in FailureReason::ALL {
                metrics.sweep_failures.with_label_values(&[kind.as_str(), reason.as_str()]);
            }
        }
        metrics.dropped_series.with_label_values(&["livy_session_info"]);
        Ok(metrics)
    }

    /// A sweep ended.
    pub fn sweep(&self, kind: TargetKind, took: Duration, failure: Option<FailureReason>) {
        self.sweep_duration.with_label_values(&[kind.as_str()]).observe(took.as_secs_f64());
        if let Some(reason) = failure {
            self.sweep_failures.with_label_values(&[kind.as_str(), reason.as_str()]).inc();
        }
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

    /// Series were left out because of a limit.
    pub fn dropped_series(&self, family: &'static str, count: u64) {
        self.dropped_series.with_label_values(&[family]).inc_by(count);
    }
}
