//! How the client of each account and region is received by the service.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::{Gauge, IntGauge};

use super::make::Maker;
use super::series::Vector;
use crate::model::{FailureReason, ScopeId};

/// Gauges of each account and region that is watched: of others nothing is noted, so that what ends late leaves nothing
/// behind.
#[derive(Debug)]
pub struct ScopeMetrics {
    watched: Mutex<BTreeSet<ScopeId>>,
    allowed_requests: Vector<Gauge>,
    open_circuits: Vector<IntGauge>,
    clock_offset: Vector<Gauge>,
}

impl ScopeMetrics {
    pub(super) fn new(make: &Maker, scopes: &[ScopeId]) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            watched: Mutex::default(),
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
        metrics.watch(scopes);
        Ok(metrics)
    }

    /// These are watched from now on, and no others.
    pub fn watch(&self, scopes: &[ScopeId]) {
        let mut watched = self.lock();
        let now: BTreeSet<ScopeId> = scopes.iter().cloned().collect();
        for scope in watched.difference(&now) {
            let labels = [scope.account.as_str(), &scope.region];
            self.allowed_requests.remove_label_values(&labels);
            self.clock_offset.remove_label_values(&labels);
            for reason in FailureReason::THAT_OPEN_CIRCUITS {
                self.open_circuits.remove_label_values(&[labels[0], labels[1], reason.as_str()]);
            }
        }
        for scope in now.difference(&watched) {
            let labels = [scope.account.as_str(), &scope.region];
            self.allowed_requests.with_label_values(&labels).set(0.0);
            self.clock_offset.with_label_values(&labels).set(0.0);
            for reason in FailureReason::THAT_OPEN_CIRCUITS {
                self.open_circuits.with_label_values(&[labels[0], labels[1], reason.as_str()]).set(0);
            }
        }
        *watched = now;
    }

    /// So many requests a second may start.
    pub fn allowed_requests(&self, scope: &ScopeId, per_second: f64) {
        if self.lock().contains(scope) {
            self.allowed_requests.with_label_values(&[&scope.account, &scope.region]).set(per_second);
        }
    }

    /// So many circuits are open for this reason.
    pub fn open_circuits(&self, scope: &ScopeId, reason: FailureReason, count: usize) {
        let labels = [scope.account.as_str(), &scope.region, reason.as_str()];
        if self.lock().contains(scope) {
            self.open_circuits.with_label_values(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// The service's clock is ahead by these seconds.
    pub fn clock_offset(&self, scope: &ScopeId, seconds: f64) {
        if self.lock().contains(scope) {
            self.clock_offset.with_label_values(&[&scope.account, &scope.region]).set(seconds);
        }
    }

    /// Held while a gauge is set, so that none is set after it was removed.
    fn lock(&self) -> MutexGuard<'_, BTreeSet<ScopeId>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
