//! Where to find a session by its id. Invariant: every session is listed once: in the table `session_place` or, as long
//! as it is among the latest, here.
//!
//! Ids are random, and so is their order: to list a session at once would write a page of the table for each of them,
//! twice. Listed by the hundred thousand, in order, they share the pages. Nothing is lost with this memory: the latest
//! sessions are those whose keys are above all keys of the table.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

/// Sessions that are listed in memory, about 5 MiB; then they are moved to the table.
const RECENT_MAX: usize = 1 << 17;

/// The latest sessions: gateway, hash of the id, key of the row.
#[derive(Debug)]
pub(super) struct Places(BTreeSet<(i64, i64, i64)>);

impl Places {
    /// Reads what is not in the table.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut select = connection.prepare(
            "SELECT gateway_key, id_hash, session_key FROM session
             WHERE session_key > (SELECT coalesce(max(session_key), 0) FROM session_place)",
        )?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<rusqlite::Result<_>>().map(Self)
    }

    /// Lists a new session.
    pub(super) fn insert(&mut self, gateway_key: i64, id_hash: i64, session_key: i64) {
        self.0.insert((gateway_key, id_hash, session_key));
    }

    /// Keys of the latest sessions with this hash: nearly always none or one.
    pub(super) fn recent(&self, gateway_key: i64, id_hash: i64) -> impl Iterator<Item = i64> {
        let (first, last) = ((gateway_key, id_hash, i64::MIN), (gateway_key, id_hash, i64::MAX));
        self.0.range(first..=last).map(|(_, _, session_key)| *session_key)
    }

    /// Moves them to the table when they are many; within a transaction.
    pub(super) fn spill(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.0.len() < RECENT_MAX {
            return Ok(());
        }
        let mut insert = connection.prepare_cached("INSERT INTO session_place VALUES (?, ?, ?)")?;
        for (gateway_key, id_hash, session_key) in std::mem::take(&mut self.0) {
            insert.execute(params![gateway_key, id_hash, session_key])?;
        }
        Ok(())
    }
}
