//! A checksum in every row, so that a byte that changed on disk is noticed. Invariant: rows are written through a
//! [`Table`], which seals them.

use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params};

/// A table and its columns, the seal left out.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [&'static str],
}

pub(super) const PROGRESS: Table = Table { name: "progress", columns: &["id", "commits"] };
pub(super) const SCOPE: Table = Table { name: "scope", columns: &["account", "region", "watched_since"] };
pub(super) const GATEWAY: Table = Table {
    name: "gateway",
    columns: &[
        "gateway_key",
        "account",
        "workspace_id",
        "livy_compute_id",
        "baseline",
        "baseline_cut",
        "baseline_complete",
        "born_watched",
        "pass",
        "complete_pass",
        "full_pass_at",
        "history_order",
        "pruned_through",
        "resweep",
    ],
};
/// These columns, and behind them those that are sums over sessions.
macro_rules! and_sums {
    ($($own:literal),*) => {
        &[
            $($own,)*
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
        ]
    };
}

/// Columns of a series that are sums over its sessions, the pruned ones included: nine figures, then three bits of `counted`.
pub(super) const SUMS: &[&str] = SERIES.columns.split_at(4).1;
pub(super) const SERIES: Table =
    Table { name: "series", columns: and_sums!["series_key", "gateway_key", "queue", "held"] };
pub(super) const SESSION: Table = Table {
    name: "session",
    columns: &[
        "session_key",
        "session_id",
        "series_key",
        "pass",
        "state",
        "created",
        "ended",
        "counted",
        "nano_cu_hours",
        "vcore_seconds",
        "mb_seconds",
        "corrections",
    ],
};
pub(super) const PRUNED: Table = Table { name: "pruned", columns: and_sums!["series_key", "sessions"] };
pub(super) const SESSION_DURATION: Table =
    Table { name: "session_duration", columns: &["gateway_key", "bucket", "count", "sum"] };
pub(super) const WORKSPACE: Table =
    Table { name: "workspace", columns: &["workspace_key", "account", "workspace_id", "clusters_complete"] };
pub(super) const CLUSTER: Table = Table {
    name: "cluster",
    columns: &["workspace_key", "session_cluster_id", "kind", "state", "starting_since"],
};
pub(super) const CLUSTER_CHANGE: Table =
    Table { name: "cluster_change", columns: &["workspace_key", "kind", "state", "changes"] };
pub(super) const START_DURATION: Table =
    Table { name: "start_duration", columns: &["workspace_key", "kind", "bucket", "count", "sum"] };

/// All of them.
pub(super) const TABLES: [&Table; 11] = [
    &PROGRESS,
    &SCOPE,
    &GATEWAY,
    &SERIES,
    &SESSION,
    &PRUNED,
    &SESSION_DURATION,
    &WORKSPACE,
    &CLUSTER,
    &CLUSTER_CHANGE,
    &START_DURATION,
];

impl Table {
    /// Writes a row, in the place of the one with its key if there is one.
    pub(super) fn put(&self, connection: &Connection, row: impl Params) -> rusqlite::Result<()> {
        let (columns, values) = (self.columns.join(", "), self.parameters());
        // Not REPLACE: that deletes the row first, and so has SQLite look through all sessions for ones that refer to
        // it. The first column is a key, or part of one, and stays.
        let changes: Vec<String> =
            self.columns[1..].iter().map(|column| format!("{column} = excluded.{column}")).collect();
        let sql = format!(
            "INSERT INTO {} ({columns}, seal) VALUES ({values}, seal({values}))
             ON CONFLICT DO UPDATE SET {}, seal = excluded.seal",
            self.name,
            changes.join(", ")
        );
        connection.prepare_cached(&sql)?.execute(row).map(drop)
    }

    /// `?1, ?2, …`, one a column.
    pub(super) fn parameters(&self) -> String {
        let numbers: Vec<String> = (1..=self.columns.len()).map(|number| format!("?{number}")).collect();
        numbers.join(", ")
    }

    /// Seals all rows again, after a change that did not go through [`Self::put`].
    pub(super) fn reseal(&self, connection: &Connection) -> rusqlite::Result<()> {
        let columns = self.columns.join(", ");
        connection.execute_batch(&format!("UPDATE {} SET seal = seal({columns})", self.name))
    }

    /// The first row whose seal is broken, by its place in the table.
    pub(super) fn broken(&self, connection: &Connection) -> rusqlite::Result<Option<String>> {
        let columns = self.columns.join(", ");
        let sql =
            format!("SELECT {} FROM {} WHERE seal <> seal({columns}) LIMIT 1", self.columns[0], self.name);
        let mut select = connection.prepare(&sql)?;
        let mut rows = select.query([])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some(format!(
            "a row of table {} ({} = {:?}) was changed",
            self.name,
            self.columns[0],
            row.get_ref(0)?
        )))
    }
}

/// Gives the connection the function that the statements above call.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("seal", -1, flags, |context| {
        of((0..context.len()).map(|index| Ok(context.get_raw(index))))
    })
}

/// CRC-32 of the values, each with its type, so that no two rows read alike.
pub(super) fn of<'a>(values: impl Iterator<Item = rusqlite::Result<ValueRef<'a>>>) -> rusqlite::Result<i64> {
    into(&mut Vec::with_capacity(256), values)
}

/// The same with a buffer of the caller's, who has many rows.
pub(super) fn into<'a>(
    bytes: &mut Vec<u8>,
    values: impl Iterator<Item = rusqlite::Result<ValueRef<'a>>>,
) -> rusqlite::Result<i64> {
    // Gathered first: the checksum of many bytes at once is several times as fast as one value at a time.
    bytes.clear();
    for value in values {
        match value? {
            ValueRef::Null => bytes.push(b'n'),
            ValueRef::Integer(value) => {
                bytes.push(b'i');
                bytes.extend_from_slice(&value.to_le_bytes());
            }
            ValueRef::Real(value) => {
                bytes.push(b'r');
                bytes.extend_from_slice(&value.to_le_bytes());
            }
            ValueRef::Text(text) | ValueRef::Blob(text) => {
                bytes.push(b't');
                bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
                bytes.extend_from_slice(text);
            }
        }
    }
    Ok(crc32fast::hash(bytes).into())
}
