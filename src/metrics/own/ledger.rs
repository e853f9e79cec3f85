//! How the ledger fares.

use std::time::Duration;

use prometheus::{Gauge, Histogram, IntCounter, IntGauge};

use super::make::Maker;
use crate::clock::UnixMillis;
use crate::metrics::lines::seconds;

/// Seconds that a commit takes.
const COMMIT_BUCKETS: [f64; 9] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// The ledger's size, commits and copies.
#[derive(Debug)]
pub struct LedgerMetrics {
    ledger_sessions: IntGauge,
    ledger_size: IntGauge,
    room_available: IntGauge,
    room_size: IntGauge,
    commit_duration: Histogram,
    commit_failures: IntCounter,
    pruned_sessions: IntCounter,
    last_backup: Gauge,
    backup_failures: IntCounter,
}

impl LedgerMetrics {
    pub(super) fn new(make: &Maker) -> Result<Self, prometheus::Error> {
        Ok(Self {
            ledger_sessions: make.gauge("exporter_ledger_sessions", "Livy sessions that the ledger holds.")?,
            ledger_size: make.gauge("exporter_ledger_size_bytes", "Size of the ledger's file and its log, in bytes.")?,
            room_available: make.gauge(
                "exporter_ledger_filesystem_available_bytes",
                "Bytes that may still be written on the file system with the ledger; 0 if it cannot be looked at.",
            )?,
            room_size: make.gauge(
                "exporter_ledger_filesystem_size_bytes",
                "Size of the file system with the ledger, in bytes; 0 if it cannot be looked at.",
            )?,
            commit_duration: make.histogram(
                "exporter_ledger_commit_duration_seconds",
                "Time that one transaction of the ledger took until it was on disk, in seconds.",
                &COMMIT_BUCKETS,
            )?,
            commit_failures: make.counter(
                "exporter_ledger_commit_failures_total",
                "Transactions of the ledger that did not reach the disk; what they held is counted by a later sweep.",
            )?,
            pruned_sessions: make.counter(
                "exporter_ledger_pruned_sessions_total",
                "Ended Livy sessions that the ledger no longer keeps one by one (ledger.retention); their usage stays \
                 in the counters.",
            )?,
            last_backup: make.float_gauge(
                "exporter_ledger_last_backup_timestamp_seconds",
                "When the latest automatic backup of the ledger was complete, in seconds since the epoch; 0 if there \
                 is none.",
            )?,
            backup_failures: make.counter(
                "exporter_ledger_backup_failures_total",
                "Automatic backups of the ledger that failed; the one before is kept.",
            )?,
        })
    }

    /// A transaction of the ledger ended.
    pub fn commit(&self, took: Duration, ok: bool) {
        self.commit_duration.observe(took.as_secs_f64());
        if !ok {
            self.commit_failures.inc();
        }
    }

    /// The ledger let go of ended sessions.
    pub fn pruned_sessions(&self, count: u64) {
        self.pruned_sessions.inc_by(count);
    }

    /// An automatic backup of the ledger was complete at this time, in ms since the epoch.
    pub fn backup(&self, at: UnixMillis) {
        self.last_backup.set(seconds(at));
    }

    /// When the latest automatic backup was complete, in ms since the epoch; `None` if there is none.
    #[expect(clippy::cast_possible_truncation, reason = "a time in ms stays below 2^53")]
    pub fn last_backup(&self) -> Option<UnixMillis> {
        let at = (self.last_backup.get() * 1_000.0).round() as UnixMillis;
        (at > 0).then_some(at)
    }

    /// An automatic backup of the ledger failed.
    pub fn backup_failed(&self) {
        self.backup_failures.inc();
    }

    /// What is left of the file system that the ledger is on, and its size, in bytes.
    pub fn room(&self, (available, size): (u64, u64)) {
        self.room_available.set(available.cast_signed());
        self.room_size.set(size.cast_signed());
    }

    /// What the ledger holds and takes, as of now.
    pub(super) fn size(&self, sessions: u64, bytes: u64) {
        self.ledger_sessions.set(sessions.cast_signed());
        self.ledger_size.set(bytes.cast_signed());
    }
}
