//! How the accounts' keys stand.

use prometheus::Gauge;

use super::make::Maker;
use super::series::Vector;
use crate::clock::UnixMillis;
use crate::metrics::page::seconds;

/// When keys expire.
#[derive(Debug)]
pub struct CredentialsMetrics {
    expiry: Vector<Gauge>,
}

impl CredentialsMetrics {
    pub(super) fn new(make: &Maker) -> Result<Self, prometheus::Error> {
        Ok(Self {
            expiry: make.float_gauges(
                "exporter_credentials_expiry_timestamp_seconds",
                "When the keys in use expire, in seconds since the epoch; they are renewed well ahead of it. \
                 Absent for keys that do not expire.",
                &["account"],
            )?,
        })
    }

    /// An account has keys that last until this time, in ms since the epoch; `None` = they do not expire.
    pub fn keys(&self, account: &str, expires: Option<UnixMillis>) {
        match expires {
            Some(at) => self.expiry.with_label_values(&[account]).set(seconds(at)),
            // Absent as a rule.
            None => self.expiry.remove_label_values(&[account]),
        }
    }
}
