//! What the client does, and what the service's answers are like.

use std::time::Duration;

use prometheus::{Histogram, IntCounter};

use super::make::Maker;
use super::series::Vector;
use crate::model::{Action, FailureReason, Outcome};

/// Seconds that an API request takes.
const REQUEST_BUCKETS: [f64; 10] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Requests, and what was odd about their answers.
#[derive(Debug)]
pub struct ApiMetrics {
    requests: Vector<IntCounter>,
    request_duration: Vector<Histogram>,
    throttled: Vector<IntCounter>,
    malformed_fields: Vector<IntCounter>,
    cut_labels: IntCounter,
}

impl ApiMetrics {
    pub(super) fn new(
        make: &Maker,
        fields: impl Iterator<Item = &'static str>,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Self {
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
        };
        for action in Action::ALL {
            metrics.throttled.with_label_values(&[action.as_str()]);
            metrics.request_duration.with_label_values(&[action.as_str()]);
            for outcome in Outcome::all() {
                metrics.requests.with_label_values(&[action.as_str(), outcome.as_str()]);
            }
        }
        for field in fields {
            metrics.malformed_fields.with_label_values(&[field]);
        }
        Ok(metrics)
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
}
