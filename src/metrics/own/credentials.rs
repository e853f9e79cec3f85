//! How the accounts' keys stand.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use prometheus::Gauge;

use super::make::Maker;
use super::series::Vector;
use crate::clock::UnixMillis;
use crate::metrics::lines::seconds;

/// When keys expire, of each account that is watched.
#[derive(Debug)]
pub struct CredentialsMetrics {
    watched: Mutex<BTreeSet<String>>,
    expiry: Vector<Gauge>,
}

impl CredentialsMetrics {
    pub(super) fn new(make: &Maker) -> Result<Self, prometheus::Error> {
        Ok(Self {
            watched: Mutex::default(),
            expiry: make.float_gauges(
                "exporter_credentials_expiry_timestamp_seconds",
                "When the keys in use expire, in seconds since the epoch; they are renewed well ahead of it. \
                 Absent for keys that do not expire, and for temporary ones that are given without their expiry.",
                &["account"],
            )?,
        })
    }

    /// These accounts are watched from now on, and no others.
    pub fn watch(&self, accounts: impl Iterator<Item = String>) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let now: BTreeSet<String> = accounts.collect();
        watched.difference(&now).for_each(|account| self.set(account, None));
        *watched = now;
    }

    /// An account has keys that last until this time, in ms since the epoch; `None` = they do not
    /// expire, or do not say when.
    pub fn keys(&self, account: &str, expires: Option<UnixMillis>) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.contains(account) {
            self.set(account, expires);
        }
    }

    fn set(&self, account: &str, expires: Option<UnixMillis>) {
        match expires {
            Some(at) => self.expiry.with_label_values(&[account]).set(seconds(at)),
            // Absent as a rule.
            None => self.expiry.remove_label_values(&[account]),
        }
    }
}
