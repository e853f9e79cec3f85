//! What the rooms tell of themselves, handed to the exporter's own metrics.

use std::sync::Arc;
use std::time::Duration;

use crate::api::RequestObserver;
use crate::api::credentials::CredentialsObserver;
use crate::clock::UnixMillis;
use crate::ledger::CommitObserver;
use crate::metrics::OwnMetrics;
use crate::model::{Action, Outcome};

/// Hands on to the metrics; the rooms that use it do not know them.
#[derive(Clone, Debug)]
pub(super) struct Bridge(pub(super) Arc<OwnMetrics>);

impl RequestObserver for Bridge {
    fn on_attempt(&self, action: Action, outcome: Outcome, took: Duration) {
        self.0.api.request(action, outcome, took);
    }

    fn on_malformed(&self, name: &'static str) {
        self.0.api.malformed_field(name);
    }
}

impl CredentialsObserver for Bridge {
    fn on_keys(&self, account: &str, expires: Option<UnixMillis>) {
        self.0.credentials.keys(account, expires);
    }
}

impl CommitObserver for Bridge {
    fn on_commit(&self, took: Duration, ok: bool) {
        self.0.ledger.commit(took, ok);
    }
}
