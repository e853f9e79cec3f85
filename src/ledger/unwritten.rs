//! Totals that changed in the open transaction. Invariant: they are written before it commits, once however many pages
//! share it; a rollback takes the totals in memory back, and what is written then is what holds.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use super::row::put_series;
use super::{GatewayTotals, LedgerSnapshot, SeriesKey, seal};

/// What of a gateway's totals changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Queues with sessions that gained something.
    pub(super) series: BTreeSet<SeriesKey>,
    /// The histogram of durations.
    pub(super) durations: bool,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.series.is_empty() && !self.durations
    }
}

/// See the module; by gateway.
#[derive(Debug, Default)]
pub(super) struct Unwritten(BTreeMap<i64, Changes>);

impl Unwritten {
    /// Notes what a page changed.
    pub(super) fn note(&mut self, gateway_key: i64, changes: Changes) {
        let noted = self.0.entry(gateway_key).or_default();
        noted.series.extend(changes.series);
        noted.durations |= changes.durations;
    }

    /// Writes them.
    pub(super) fn write(self, connection: &Connection, totals: &LedgerSnapshot) -> rusqlite::Result<()> {
        for gateway in totals.gateways.values() {
            if let Some(changes) = self.0.get(&gateway.key) {
                write_gateway(connection, gateway, changes)?;
            }
        }
        Ok(())
    }
}

fn write_gateway(
    connection: &Connection,
    gateway: &GatewayTotals,
    changes: &Changes,
) -> rusqlite::Result<()> {
    for (queue, series) in gateway.series.iter().filter(|(_, series)| changes.series.contains(&series.key)) {
        put_series(connection, gateway.key, queue, series)?;
    }
    if changes.durations {
        // All of them: rows under bounds of an earlier version have been added to those of today.
        connection
            .prepare_cached("DELETE FROM session_duration WHERE gateway_key = ?")?
            .execute([gateway.key])?;
        for bucket in gateway.durations.buckets().filter(|bucket| bucket.count > 0) {
            let row = params![gateway.key, bucket.bound_ms, bucket.count.cast_signed(), bucket.sum_ms];
            seal::SESSION_DURATION.put(connection, row)?;
        }
    }
    Ok(())
}
