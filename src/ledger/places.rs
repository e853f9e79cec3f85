//! Where to find a session by its id. Invariant: every session is listed once: in the table `session_place` or, as long
//! as it is among the latest, here.
//!
//! Ids are random, and so is their order: to list a session at once would write a page of the table for each of them,
//! twice. Listed by the hundred thousand, in order, they share the pages. Nothing is lost with this memory: the latest
//! sessions are those whose keys are above all keys of the table.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

/// Sessions that are listed in memory, about 5 MiB; then they are moved to the table.
/// Few in tests, so that these see both sides of the move.
const RECENT_MAX: usize = if cfg!(test) { 1 << 6 } else { 1 << 17 };
/// Bits of the filter: 2 MiB. Of a million sessions it takes one new id in two hundred for a known one.
const FILTER_BITS: usize = 1 << 24;

/// See the module.
#[derive(Debug)]
pub(super) struct Places {
    /// The latest sessions: gateway, hash of the id, key of the row.
    recent: BTreeSet<(i64, i64, i64)>,
    /// A Bloom filter over the table: spares new ids a look into it.
    filter: Vec<u64>,
}

impl Places {
    /// Reads what is not in the table, and what the filter must know of it.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut places = Self { recent: BTreeSet::new(), filter: vec![0; FILTER_BITS / 64] };
        let mut through = 0;
        let mut select = connection.prepare("SELECT gateway_key, id_hash, session_key FROM session_place")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            places.mark(row.get(0)?, row.get(1)?);
            through = row.get::<_, i64>(2)?.max(through);
        }
        let mut select = connection
            .prepare("SELECT gateway_key, id_hash, session_key FROM session WHERE session_key > ?")?;
        let rows = select.query_map([through], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        places.recent = rows.collect::<rusqlite::Result<_>>()?;
        Ok(places)
    }

    /// Lists a new session.
    pub(super) fn insert(&mut self, gateway_key: i64, id_hash: i64, session_key: i64) {
        self.recent.insert((gateway_key, id_hash, session_key));
    }

    /// Takes a session off the list, which is about to be deleted; within a transaction.
    pub(super) fn remove(
        &mut self,
        connection: &Connection,
        gateway_key: i64,
        id_hash: i64,
        session_key: i64,
    ) -> rusqlite::Result<()> {
        if !self.recent.remove(&(gateway_key, id_hash, session_key)) {
            connection
                .prepare_cached(
                    "DELETE FROM session_place WHERE gateway_key = ? AND id_hash = ? AND session_key = ?",
                )?
                .execute([gateway_key, id_hash, session_key])?;
        }
        Ok(())
    }

    /// Whether the table may have a session with this hash.
    pub(super) fn may_be_listed(&self, gateway_key: i64, id_hash: i64) -> bool {
        bits(gateway_key, id_hash).into_iter().all(|(word, bit)| self.filter[word] & bit != 0)
    }

    fn mark(&mut self, gateway_key: i64, id_hash: i64) {
        bits(gateway_key, id_hash).into_iter().for_each(|(word, bit)| self.filter[word] |= bit);
    }

    /// Keys of the latest sessions with this hash: nearly always none or one.
    pub(super) fn recent(&self, gateway_key: i64, id_hash: i64) -> impl Iterator<Item = i64> {
        let (first, last) = ((gateway_key, id_hash, i64::MIN), (gateway_key, id_hash, i64::MAX));
        self.recent.range(first..=last).map(|(_, _, session_key)| *session_key)
    }

    /// Moves them to the table when they are many; within a transaction.
    pub(super) fn spill(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.recent.len() < RECENT_MAX {
            return Ok(());
        }
        let mut insert = connection.prepare_cached("INSERT INTO session_place VALUES (?, ?, ?)")?;
        for (gateway_key, id_hash, session_key) in std::mem::take(&mut self.recent) {
            insert.execute(params![gateway_key, id_hash, session_key])?;
            self.mark(gateway_key, id_hash);
        }
        Ok(())
    }
}

/// Three bits of the filter: the word and its mask.
fn bits(gateway_key: i64, id_hash: i64) -> [(usize, u64); 3] {
    let mixed = (id_hash ^ gateway_key.rotate_left(32)).cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [0, 21, 42].map(|turn| {
        let place = mixed.rotate_left(turn) >> (u64::BITS - FILTER_BITS.trailing_zeros());
        (usize::try_from(place / 64).unwrap_or(0), 1 << (place % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::seal;

    fn connection() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE session (session_key INTEGER PRIMARY KEY, gateway_key, id_hash);
                 CREATE TABLE session_place (gateway_key, id_hash, session_key);",
            )
            .unwrap();
        connection
    }

    /// Lists sessions as the writer does; those of two neighbours have the same hash.
    fn fill(connection: &Connection, places: &mut Places, keys: std::ops::RangeInclusive<i64>) {
        let mut insert = connection.prepare("INSERT INTO session VALUES (?, 7, ?)").unwrap();
        for key in keys {
            let hash = (key / 2).wrapping_mul(0x5851_f42d_4c95_7f2d);
            insert.execute([key, hash]).unwrap();
            places.insert(7, hash, key);
        }
    }

    #[test]
    fn every_session_is_listed_once_before_and_after_the_move_and_after_a_restart() {
        let connection = connection();
        let mut places = Places::load(&connection).unwrap();
        let many = i64::try_from(RECENT_MAX).unwrap();
        connection.execute_batch("BEGIN").unwrap();
        fill(&connection, &mut places, 1..=many - 1);
        places.spill(&connection).unwrap();
        assert_eq!(places.recent.len(), RECENT_MAX - 1, "moved too early");
        fill(&connection, &mut places, many..=many);
        places.spill(&connection).unwrap();
        assert!(places.recent.is_empty());
        fill(&connection, &mut places, many + 1..=many + 10);

        let reloaded = Places::load(&connection).unwrap();
        for places in [&places, &reloaded] {
            for key in 1..=many + 10 {
                let hash = (key / 2).wrapping_mul(0x5851_f42d_4c95_7f2d);
                assert_eq!(places.recent(7, hash).any(|found| found == key), key > many, "{key}");
                assert!(key > many || places.may_be_listed(7, hash), "{key}");
                assert!(!places.recent(8, hash).any(|found| found == key));
            }
        }
        let false_hits =
            (0..10_000).filter(|other| places.may_be_listed(9, seal::id_hash(&other.to_string())));
        assert!(false_hits.count() < 100);
    }
}
