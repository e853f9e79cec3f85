//! One look at every session: its seal, what it adds to its series, its entry in `session_place`. Invariant: read-only; the
//! parts that several threads read add up to the same as one pass over all of it.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::Path;
use std::thread;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

use super::seal;

/// Columns of a series that are sums over its sessions, in the order of [`Sums`].
pub(super) const SUMMED: [&str; 12] = [
    "nano_cu_hours",
    "vcore_seconds",
    "mb_seconds",
    "base_nano_cu_hours",
    "base_vcore_seconds",
    "base_mb_seconds",
    "over_nano_cu_hours",
    "over_vcore_seconds",
    "over_mb_seconds",
    "created",
    "terminated",
    "error",
];
/// How many of them are figures, each a column of the session too; the rest count bits of its `counted`.
const FIGURES: usize = 9;
/// Threads at most: beyond that the disk is what is waited for.
const THREADS_MAX: usize = 4;

/// What the sessions of one series add up to. Wide, so that no damaged figure overflows it.
pub(super) type Sums = [i128; SUMMED.len()];

/// What a scan has found.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    /// By the key of the series.
    pub(super) sums: HashMap<i64, Sums>,
    /// Sum of a checksum over each session's entry in `session_place`, as its row has it.
    places: u64,
}

/// Scans all sessions, in parallel; the inner error says what is wrong with one of them or with
/// their list.
pub(super) fn sessions(path: &Path, connection: &Connection) -> rusqlite::Result<Result<Scanned, String>> {
    let last: i64 =
        connection.query_row("SELECT coalesce(max(session_key), 0) FROM session", [], |row| row.get(0))?;
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX);
    let part = last / i64::try_from(threads).unwrap_or(1) + 1;
    let parts: Vec<RangeInclusive<i64>> = (0..threads)
        .map(|number| i64::try_from(number).unwrap_or(0).saturating_mul(part))
        .map(|first| first.saturating_add(1)..=first.saturating_add(part))
        .collect();
    let (listed, through) = match listed(connection)? {
        Ok(listed) => listed,
        Err(found) => return Ok(Err(found)),
    };
    let scanned: rusqlite::Result<Result<Vec<Scanned>, String>> = thread::scope(|scope| {
        let scans: Vec<_> = parts
            .into_iter()
            .map(|part| {
                scope.spawn(move || {
                    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                    table(&Connection::open_with_flags(path, flags)?, part, through)
                })
            })
            .collect();
        let joined = scans.into_iter().map(|scan| match scan.join() {
            Ok(scanned) => scanned,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    });
    let scanned = match scanned? {
        Ok(parts) => Scanned::joined(parts),
        Err(found) => return Ok(Err(found)),
    };
    if scanned.places != listed {
        return Ok(Err("table session_place does not list the sessions".into()));
    }
    Ok(Ok(scanned))
}

impl Scanned {
    fn joined(parts: Vec<Self>) -> Self {
        let mut whole = Self::default();
        for part in parts {
            whole.places = whole.places.wrapping_add(part.places);
            for (key, sums) in part.sums {
                let total = whole.sums.entry(key).or_default();
                total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
            }
        }
        whole
    }
}

/// Reads a part of the table; sessions up to `through` must be listed.
fn table(
    connection: &Connection,
    part: RangeInclusive<i64>,
    through: i64,
) -> rusqlite::Result<Result<Scanned, String>> {
    let columns = seal::SESSION.columns;
    let sql = format!(
        "SELECT {}, seal, session_key FROM session WHERE session_key BETWEEN ? AND ?",
        columns.join(", ")
    );
    let place = |name: &str| columns.iter().position(|column| *column == name).unwrap_or_default();
    let [gateway, hash, id, series, counted] =
        ["gateway_key", "id_hash", "session_id", "series_key", "counted"].map(place);
    let figures: [usize; FIGURES] = std::array::from_fn(|number| place(SUMMED[number]));
    let mut scanned = Scanned::default();
    let mut select = connection.prepare(&sql)?;
    let mut rows = select.query([part.start(), part.end()])?;
    while let Some(row) = rows.next()? {
        let sealed = seal::seal_of((0..columns.len()).map(|column| row.get_ref_unwrap(column)));
        if row.get_ref(columns.len())? != ValueRef::Integer(sealed) {
            return Ok(Err(format!(
                "a row of table session (session_id = {:?}) was changed",
                row.get_ref(id)?
            )));
        }
        let sums = scanned.sums.entry(row.get(series)?).or_default();
        for (sum, column) in sums.iter_mut().zip(figures) {
            *sum += i128::from(row.get::<_, i64>(column)?);
        }
        let counted: i64 = row.get(counted)?;
        for (bit, sum) in sums[FIGURES..].iter_mut().enumerate() {
            *sum += i128::from(counted >> bit & 1);
        }
        let entry = [gateway, hash, columns.len() + 1];
        if row.get::<_, i64>(entry[2])? <= through {
            scanned.places = scanned.places.wrapping_add(checksum(row, entry));
        }
    }
    Ok(Ok(scanned))
}

/// Reads `session_place` through: the sum over its entries, and the highest key among them; they must be in order.
fn listed(connection: &Connection) -> rusqlite::Result<Result<(u64, i64), String>> {
    let mut select = connection.prepare(
        "SELECT gateway_key, id_hash, session_key FROM session_place ORDER BY gateway_key, id_hash",
    )?;
    let mut rows = select.query([])?;
    let (mut places, mut through, mut before) = (0_u64, 0, (i64::MIN, i64::MIN, i64::MIN));
    while let Some(row) = rows.next()? {
        let entry = (row.get(0)?, row.get(1)?, row.get(2)?);
        if entry < before {
            return Ok(Err("table session_place is out of order".into()));
        }
        before = entry;
        through = through.max(entry.2);
        places = places.wrapping_add(checksum(row, [0, 1, 2]));
    }
    Ok(Ok((places, through)))
}

fn checksum(row: &Row<'_>, columns: [usize; 3]) -> u64 {
    seal::seal_of(columns.into_iter().map(|column| row.get_ref_unwrap(column))).cast_unsigned()
}
