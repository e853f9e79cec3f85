//! How the client of each account and region is received by the service.

use prometheus::{Gauge, IntGauge};

use super::make::Maker;
use super::series::Vector;
use crate::model::{FailureReason, ScopeId};

/// Gauges of each account and region.
#[derive(Debug)]
pub struct ScopeMetrics {
    allowed_requests: Vector<Gauge>,
    open_circuits: Vector<IntGauge>,
    clock_offset: Vector<Gauge>,
}

impl ScopeMetrics {
    pub(super) fn new(make: &Maker, scopes: &[ScopeId]) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            allowed_requests: make.float_gauges(
                "exporter_api_allowed_requests_per_second",
                "Requests a second that may start now: api.requests_per_second, or less since the service has asked to \
                 slow down.",
                &["account", "region"],
            )?,
            open_circuits: make.gauges(
                "exporter_api_open_circuits",
                "What the service refuses and is only probed now and then: unauthenticated and clock_skew stand for all \
                 requests, denied for one operation on one resource each.",
                &["account", "region", "reason"],
            )?,
            clock_offset: make.float_gauges(
                "exporter_clock_offset_seconds",
                "How far the service's clock is ahead of this machine's, in seconds, from the Date of its latest answer: \
                 exact to about a second, and 0 before the first one.",
                &["account", "region"],
            )?,
        };
        for scope in scopes {
            metrics.allowed_requests(scope, 0.0);
            metrics.clock_offset(scope, 0.0);
            for reason in FailureReason::THAT_OPEN_CIRCUITS {
                metrics.open_circuits(scope, reason, 0);
            }
        }
        Ok(metrics)
    }

    /// So many requests a second may start.
    pub fn allowed_requests(&self, scope: &ScopeId, per_second: f64) {
        self.allowed_requests.with_label_values(&[&scope.account, &scope.region]).set(per_second);
    }

    /// So many circuits are open for this reason.
    pub fn open_circuits(&self, scope: &ScopeId, reason: FailureReason, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.open_circuits
            .with_label_values(&[scope.account.as_str(), &scope.region, reason.as_str()])
            .set(count);
    }

    /// The service's clock is ahead by these seconds.
    pub fn clock_offset(&self, scope: &ScopeId, seconds: f64) {
        self.clock_offset.with_label_values(&[&scope.account, &scope.region]).set(seconds);
    }
}
