//! Where to find a session by its id. Invariant: every session is listed once: in the table `session_place` or, as long
//! as it is among the latest of its gateway, here.
//!
//! Ids are random, and so is their order: to list a session at once would write a page of the table for each of them,
//! twice. Listed by the hundred thousand, in order, they share the pages. Nothing is lost with this memory: the latest
//! sessions are those whose keys are above all keys of their gateway in the table.

use std::collections::BTreeMap;

use hashbrown::HashTable;
use rusqlite::{Connection, params};

/// Sessions that are listed in memory, about 2 MiB; then they are moved to the table.
/// As many as fill seven eighths of a power of two: one more, and the hash table would double.
/// Few in tests, so that these see both sides of the move.
const RECENT_MAX: usize = if cfg!(test) { 7 << 3 } else { 7 << 14 };
/// Bits of the filter: 2 MiB. Of a million sessions it takes one new id in two hundred for a known one.
const FILTER_BITS: usize = 1 << 24;

/// Bits of a session's key that number the sessions of a gateway; the gateway's own key stands above them. So the
/// sessions of a gateway lie together in the file, in the order of their arrival, and need no index to be found.
/// The schema has this number, too, and so have the statements with [`OF_GATEWAY`].
pub(super) const NUMBER_BITS: u32 = 40;

/// As a condition: the sessions of the gateway whose key is the first parameter.
pub(super) const OF_GATEWAY: &str = "session_key BETWEEN ?1 << 40 AND ((?1 + 1) << 40) - 1";

/// The gateway that a session's key belongs to.
pub(super) const fn gateway_of(session_key: i64) -> i64 {
    session_key >> NUMBER_BITS
}

/// See the module.
#[derive(Debug)]
pub(super) struct Places {
    /// The latest sessions: hash of the id, key of the row.
    recent: HashTable<(i64, i64)>,
    /// The key of the latest session, by gateway.
    latest: BTreeMap<i64, i64>,
    /// A Bloom filter over the table: spares new ids a look into it.
    filter: Vec<u64>,
}

impl Places {
    /// Reads what is not in the table, and what the filter must know of it.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut places =
            Self { recent: HashTable::new(), latest: BTreeMap::new(), filter: vec![0; FILTER_BITS / 64] };
        let mut select = connection.prepare("SELECT id_hash, session_key FROM session_place")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            places.mark(row.get(0)?);
            places.note(row.get(1)?);
        }
        let mut gateways = connection.prepare("SELECT gateway_key FROM gateway")?;
        let mut select = connection.prepare(&format!(
            "SELECT session_id, session_key FROM session WHERE {OF_GATEWAY} AND session_key > ?2"
        ))?;
        for gateway_key in gateways.query_map([], |row| row.get(0))? {
            let gateway_key: i64 = gateway_key?;
            let mut rows = select.query([gateway_key, places.latest(gateway_key)])?;
            while let Some(row) = rows.next()? {
                places.insert(id_hash(row.get_ref(0)?.as_str()?), row.get(1)?);
            }
        }
        Ok(places)
    }

    /// The key for the next session of a gateway. There is room for 2⁴⁰ of them, more than a disk holds.
    pub(super) fn next_key(&self, gateway_key: i64) -> i64 {
        self.latest(gateway_key) + 1
    }

    /// The highest key of a gateway's sessions, or the one before the first.
    fn latest(&self, gateway_key: i64) -> i64 {
        self.latest.get(&gateway_key).copied().unwrap_or(gateway_key << NUMBER_BITS)
    }

    fn note(&mut self, session_key: i64) {
        let latest = self.latest.entry(gateway_of(session_key)).or_insert(session_key);
        *latest = session_key.max(*latest);
    }

    /// Lists a new session.
    pub(super) fn insert(&mut self, id_hash: i64, session_key: i64) {
        self.note(session_key);
        self.recent.insert_unique(mixed(id_hash), (id_hash, session_key), |(hash, _)| mixed(*hash));
    }

    /// Takes a session off the list, which is about to be deleted; within a transaction.
    pub(super) fn remove(
        &mut self,
        connection: &Connection,
        id_hash: i64,
        session_key: i64,
    ) -> rusqlite::Result<()> {
        match self.recent.find_entry(mixed(id_hash), |place| *place == (id_hash, session_key)) {
            Ok(recent) => drop(recent.remove()),
            Err(_) => {
                connection
                    .prepare_cached("DELETE FROM session_place WHERE id_hash = ? AND session_key = ?")?
                    .execute([id_hash, session_key])?;
            }
        }
        Ok(())
    }

    /// Whether the table may have a session with this hash.
    pub(super) fn may_be_listed(&self, id_hash: i64) -> bool {
        bits(id_hash).into_iter().all(|(word, bit)| self.filter[word] & bit != 0)
    }

    /// Of each hash of a page, whether there may be a session with it. Asked for all of them at once, as each answer waits
    /// for memory, and these waits overlap.
    pub(super) fn may_be_known(&self, id_hashes: &[i64]) -> Vec<bool> {
        let mut sorted = id_hashes.to_vec();
        sorted.sort_unstable();
        // The second of two would be new only as long as the first is not listed.
        let has_twins = sorted.windows(2).any(|pair| pair[0] == pair[1]);
        let is_recent = |hash| self.recent.iter_hash(mixed(hash)).any(|(recent, _)| *recent == hash);
        id_hashes.iter().map(|hash| has_twins || is_recent(*hash) || self.may_be_listed(*hash)).collect()
    }

    fn mark(&mut self, id_hash: i64) {
        bits(id_hash).into_iter().for_each(|(word, bit)| self.filter[word] |= bit);
    }

    /// Keys of the latest sessions of a gateway with this hash: nearly always none or one.
    pub(super) fn recent(&self, gateway_key: i64, id_hash: i64) -> impl Iterator<Item = i64> {
        self.recent
            .iter_hash(mixed(id_hash))
            .filter(move |(hash, key)| *hash == id_hash && gateway_of(*key) == gateway_key)
            .map(|(_, key)| *key)
    }

    /// Moves them to the table when they are many; within a transaction.
    pub(super) fn spill(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.recent.len() < RECENT_MAX {
            return Ok(());
        }
        let mut insert = connection.prepare_cached("INSERT INTO session_place VALUES (?, ?)")?;
        // In the order of the table, whose pages they then share.
        let mut sorted: Vec<(i64, i64)> = self.recent.drain().collect();
        sorted.sort_unstable();
        for (id_hash, session_key) in sorted {
            insert.execute(params![id_hash, session_key])?;
            self.mark(id_hash);
        }
        Ok(())
    }
}

/// 64-bit FNV-1a of a session id, as the table has it; stable for good, as it is on disk.
pub(super) fn id_hash(session_id: &str) -> i64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in session_id.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash.cast_signed()
}

/// For tables that take a hash by its highest bits, which FNV stirs least.
fn mixed(id_hash: i64) -> u64 {
    id_hash.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Three bits of the filter: the word and its mask.
fn bits(id_hash: i64) -> [(usize, u64); 3] {
    let mixed = mixed(id_hash);
    [0, 21, 42].map(|turn| {
        let place = mixed.rotate_left(turn) >> (u64::BITS - FILTER_BITS.trailing_zeros());
        (usize::try_from(place / 64).unwrap_or(0), 1 << (place % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE gateway (gateway_key INTEGER PRIMARY KEY);
                 CREATE TABLE session (session_key INTEGER PRIMARY KEY, session_id TEXT);
                 CREATE TABLE session_place (id_hash, session_key);
                 INSERT INTO gateway VALUES (7), (8);",
            )
            .unwrap();
        connection
    }

    /// Lists as many new sessions of a gateway, as the writer does.
    fn fill(connection: &Connection, places: &mut Places, gateway_key: i64, count: usize) {
        let mut insert = connection.prepare("INSERT INTO session VALUES (?, ?)").unwrap();
        for _ in 0..count {
            let key = places.next_key(gateway_key);
            insert.execute(params![key, id(key)]).unwrap();
            places.insert(id_hash(&id(key)), key);
        }
    }

    /// Both gateways have sessions of the same ids.
    fn id(key: i64) -> String {
        format!("s{}", key % (1 << NUMBER_BITS))
    }

    #[test]
    fn every_session_is_listed_once_before_and_after_the_move_and_after_a_restart() {
        let connection = connection();
        let mut places = Places::load(&connection).unwrap();
        connection.execute_batch("BEGIN").unwrap();
        fill(&connection, &mut places, 7, 6);
        fill(&connection, &mut places, 8, RECENT_MAX - 7);
        places.spill(&connection).unwrap();
        assert_eq!(places.recent.len(), RECENT_MAX - 1, "moved too early");
        fill(&connection, &mut places, 8, 1);
        places.spill(&connection).unwrap();
        assert!(places.recent.is_empty());
        fill(&connection, &mut places, 7, 3);
        fill(&connection, &mut places, 8, 4);

        let reloaded = Places::load(&connection).unwrap();
        for places in [&places, &reloaded] {
            for (gateway_key, listed, recent) in [(7, 6, 3), (8, RECENT_MAX - 6, 4)] {
                let [listed, recent] = [listed, recent].map(|count| i64::try_from(count).unwrap());
                let all = listed + recent;
                let first = (gateway_key << NUMBER_BITS) + 1;
                for key in first..first + all {
                    let found: Vec<i64> = places.recent(gateway_key, id_hash(&id(key))).collect();
                    let is_recent = key >= first + listed;
                    assert_eq!(found, if is_recent { vec![key] } else { vec![] }, "{key}");
                    assert!(is_recent || places.may_be_listed(id_hash(&id(key))), "{key}");
                }
                assert_eq!(places.next_key(gateway_key), first + all);
            }
        }
        let false_hits = (0..10_000).filter(|n| places.may_be_listed(id_hash(&format!("x{n}"))));
        assert!(false_hits.count() < 100);
    }

    #[test]
    fn two_ids_of_one_hash_are_told_apart_by_their_keys() {
        let connection = connection();
        let mut places = Places::load(&connection).unwrap();
        let keys = [(7 << NUMBER_BITS) + 1, (7 << NUMBER_BITS) + 2];
        keys.into_iter().for_each(|key| places.insert(-5, key));
        let found = |places: &Places| -> Vec<i64> {
            let mut found: Vec<i64> = places.recent(7, -5).collect();
            found.sort_unstable();
            found
        };
        assert_eq!(found(&places), keys);
        assert_eq!(places.may_be_known(&[-5, -6]), [true, false]);
        assert_eq!(places.may_be_known(&[-6, -7, -6]), [true; 3], "the second may be known by then");
        places.remove(&connection, -5, keys[0]).unwrap();
        assert_eq!(found(&places), keys[1..]);
    }
}
