//! What the rooms tell of themselves, handed to the exporter's own metrics.

use std::sync::Arc;
use std::time::Duration;

use super::vitals::{Keys, Vitals};
use crate::api::RequestObserver;
use crate::api::credentials::CredentialsObserver;
use crate::clock::{Clock, UnixMillis};
use crate::ledger::CommitObserver;
use crate::metrics::OwnMetrics;
use crate::model::{Action, FailureReason, Outcome, ScopeId};
use crate::server::{self, Cut};

/// Hands on what the ledger tells; that room does not know the metrics.
#[derive(Clone, Debug)]
pub(super) struct LedgerBridge {
    pub(super) own: Arc<OwnMetrics>,
    pub(super) vitals: Arc<Vitals>,
    pub(super) clock: Clock,
}

/// Hands on what the client of an account and region tells.
#[derive(Clone, Debug)]
pub(super) struct ClientBridge {
    pub(super) own: Arc<OwnMetrics>,
    pub(super) scope: ScopeId,
}

/// Hands on what the HTTP server tells.
#[derive(Clone, Debug)]
pub(super) struct ServerBridge {
    pub(super) own: Arc<OwnMetrics>,
    pub(super) clock: Clock,
}

impl server::Observer for ServerBridge {
    fn on_cut(&self, cut: Cut) {
        self.own.web.cut(cut);
    }

    fn on_web_config(&self, is_good: bool) {
        self.own.web.config_read(is_good, self.clock.now());
    }
}

impl RequestObserver for ClientBridge {
    fn on_attempt(&self, action: Action, outcome: Outcome, took: Duration) {
        self.own.api.request(action, outcome, took);
    }

    fn on_malformed(&self, name: &'static str) {
        self.own.api.malformed_field(name);
    }

    fn on_pace(&self, requests_per_second: f64) {
        self.own.scopes.allowed_requests(&self.scope, requests_per_second);
    }

    fn on_open_circuits(&self, reason: FailureReason, count: usize) {
        self.own.scopes.open_circuits(&self.scope, reason, count);
    }

    fn on_clock_offset(&self, seconds: f64) {
        self.own.scopes.clock_offset(&self.scope, seconds);
    }

    fn on_clock_corrected(&self, seconds: i64) {
        let ScopeId { account, region } = &self.scope;
        if seconds == 0 {
            tracing::info!(account, region, "this machine's clock agrees with the service's again");
        } else {
            tracing::warn!(
                account,
                region,
                seconds,
                "the service's clock is ahead of this machine's by these seconds: requests are dated by the service's; \
                 set this machine's clock, with NTP for example"
            );
        }
    }
}

/// Hands on what the accounts' providers of keys tell.
#[derive(Clone, Debug)]
pub(super) struct CredentialsBridge {
    pub(super) own: Arc<OwnMetrics>,
    pub(super) vitals: Arc<Vitals>,
}

impl CredentialsObserver for CredentialsBridge {
    fn on_keys(&self, account: &str, expires: Option<UnixMillis>, is_temporary: bool) {
        self.own.credentials.keys(account, expires);
        self.vitals.keys(account, Keys { expires, is_temporary });
    }
}

impl CommitObserver for LedgerBridge {
    fn on_commit(&self, took: Duration, ok: bool) {
        self.own.ledger.commit(took, ok);
        self.vitals.commit(self.clock.now(), ok);
    }
}
