//! How the exporter's own HTTP server fares.

use prometheus::{Gauge, IntCounter, IntGauge};

use super::make::Maker;
use super::series::Vector;
use crate::clock::UnixMillis;
use crate::metrics::lines::seconds;
use crate::model::Cut;

/// What the server refuses or cuts, and its web configuration file.
#[derive(Debug)]
pub struct WebMetrics {
    cuts: Vector<IntCounter>,
    config_successful: IntGauge,
    config_success_at: Gauge,
}

impl WebMetrics {
    pub(super) fn new(make: &Maker) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            cuts: make.counters(
                "exporter_http_rejections_total",
                "Connections and requests that the exporter's own HTTP server refused or cut, by the limit or the check \
                 that they failed.",
                &["reason"],
            )?,
            config_successful: make.gauge(
                "exporter_web_config_last_reload_successful",
                "Whether the web configuration file was good (1) or refused (0) when it was last read; 1 without one.",
            )?,
            config_success_at: make.float_gauge(
                "exporter_web_config_last_reload_success_timestamp_seconds",
                "When a web configuration file last came into force, in Unix seconds; 0 without one.",
            )?,
        };
        for cut in Cut::ALL {
            metrics.cuts.with_label_values(&[cut.as_str()]);
        }
        metrics.config_successful.set(1);
        Ok(metrics)
    }

    /// Something was refused or cut.
    pub fn cut(&self, cut: Cut) {
        self.cuts.with_label_values(&[cut.as_str()]).inc();
    }

    /// The web configuration file was read.
    pub fn config_read(&self, is_good: bool, at: UnixMillis) {
        self.config_successful.set(is_good.into());
        if is_good {
            self.config_success_at.set(seconds(at));
        }
    }
}
