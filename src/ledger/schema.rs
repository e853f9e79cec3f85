//! The schema and how older ones become it. Invariant: a released migration is never edited; a new one is appended.

use rusqlite::{Connection, Transaction};

use super::seal;

/// Marks a SQLite file as a ledger: the text "ESSE" in the header's application id.
pub(super) const APPLICATION_ID: i64 = 0x4553_5345;

/// Each migration lifts the schema by one version; its place in the list is the version that it starts from.
const MIGRATIONS: &[&str] = &[
    // 0 → 1
    "
    CREATE TABLE progress (
        id      INTEGER PRIMARY KEY CHECK (id = 1),
        commits INTEGER NOT NULL,  -- transactions that changed something; the lock file beside notes them, too
        seal    INTEGER NOT NULL   -- in every table: CRC-32 of the columns before it
    ) STRICT;
    INSERT INTO progress VALUES (1, 0, seal(1, 0));

    CREATE TABLE scope (
        account       TEXT    NOT NULL,
        region        TEXT    NOT NULL,
        watched_since INTEGER NOT NULL,  -- ms: gateways created later have no usage from before
        seal          INTEGER NOT NULL,
        PRIMARY KEY (account, region)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE gateway (
        gateway_key       INTEGER PRIMARY KEY,
        account           TEXT    NOT NULL,
        workspace_id      TEXT    NOT NULL,
        livy_compute_id   TEXT    NOT NULL,
        baseline          TEXT    NOT NULL CHECK (baseline IN ('include', 'exclude')),
        baseline_cut      INTEGER NOT NULL,  -- ms: sessions created before this are baseline
        baseline_complete INTEGER,           -- ms; null until a pass has seen the whole history
        born_watched      INTEGER NOT NULL CHECK (born_watched IN (0, 1)),
        pass              INTEGER NOT NULL,  -- number of the latest pass over the history
        complete_pass     INTEGER NOT NULL,  -- number of the latest one that saw all of it; 0 before
        full_pass_at      INTEGER,           -- ms; when that one ended
        history_order     TEXT CHECK (history_order IN ('newest_first', 'oldest_first')),  -- as proven by it
        pruned_through    INTEGER,           -- ms: the latest creation among pruned sessions
        resweep           INTEGER NOT NULL CHECK (resweep IN (0, 1)),  -- 1: not shown before the next full pass
        seal              INTEGER NOT NULL,
        UNIQUE (account, workspace_id, livy_compute_id)
    ) STRICT;

    CREATE TABLE series (
        series_key         INTEGER PRIMARY KEY,
        gateway_key        INTEGER NOT NULL REFERENCES gateway,
        queue              TEXT    NOT NULL,
        held               INTEGER NOT NULL CHECK (held IN (0, 1)),  -- 1: still shown at zero
        nano_cu_hours      INTEGER NOT NULL,  -- sums of the sessions' highest figures
        vcore_seconds      INTEGER NOT NULL,
        mb_seconds         INTEGER NOT NULL,
        base_nano_cu_hours INTEGER NOT NULL,  -- the part that a baseline of 'exclude' leaves out
        base_vcore_seconds INTEGER NOT NULL,
        base_mb_seconds    INTEGER NOT NULL,
        over_nano_cu_hours INTEGER NOT NULL,  -- highest minus latest figures
        over_vcore_seconds INTEGER NOT NULL,
        over_mb_seconds    INTEGER NOT NULL,
        created            INTEGER NOT NULL,
        terminated         INTEGER NOT NULL,
        error              INTEGER NOT NULL,
        seal               INTEGER NOT NULL,
        UNIQUE (gateway_key, queue)
    ) STRICT;

    CREATE TABLE session (
        session_key        INTEGER PRIMARY KEY,  -- 2^40 * gateway_key, plus a number in the order of arrival
        gateway_key        INTEGER NOT NULL AS (session_key >> 40) VIRTUAL,
        session_id         TEXT    NOT NULL,
        series_key         INTEGER NOT NULL REFERENCES series,
        pass               INTEGER NOT NULL,     -- the latest pass that saw it
        state              TEXT    NOT NULL,
        created            INTEGER,              -- ms
        ended              INTEGER,              -- ms
        counted            INTEGER NOT NULL,     -- bits: 1 created, 2 terminated, 4 error, 8 duration; 16 ended before
        nano_cu_hours      INTEGER NOT NULL,     -- highest figures ever observed
        vcore_seconds      INTEGER NOT NULL,
        mb_seconds         INTEGER NOT NULL,
        corrections        TEXT,                 -- null, or JSON: [base of each of the three figures, then highest minus latest]
        seal               INTEGER NOT NULL      -- of all but gateway_key
    ) STRICT;

    CREATE TABLE session_place (  -- finds a session by its id; the latest of each gateway, above all its keys here, are not in it
        id_hash     INTEGER NOT NULL,  -- 64-bit FNV-1a of session_id
        session_key INTEGER NOT NULL,
        PRIMARY KEY (id_hash, session_key)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE pruned (  -- what sessions that are no longer kept have left in the sums of their series
        series_key         INTEGER PRIMARY KEY REFERENCES series,
        sessions           INTEGER NOT NULL,
        nano_cu_hours      INTEGER NOT NULL,
        vcore_seconds      INTEGER NOT NULL,
        mb_seconds         INTEGER NOT NULL,
        base_nano_cu_hours INTEGER NOT NULL,
        base_vcore_seconds INTEGER NOT NULL,
        base_mb_seconds    INTEGER NOT NULL,
        over_nano_cu_hours INTEGER NOT NULL,
        over_vcore_seconds INTEGER NOT NULL,
        over_mb_seconds    INTEGER NOT NULL,
        created            INTEGER NOT NULL,
        terminated         INTEGER NOT NULL,
        error              INTEGER NOT NULL,
        seal               INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE session_duration (
        gateway_key INTEGER NOT NULL REFERENCES gateway,
        bucket      INTEGER NOT NULL,  -- upper bound in ms; 2^63-1 for the open end
        count       INTEGER NOT NULL,
        sum         INTEGER NOT NULL,  -- ms
        seal        INTEGER NOT NULL,
        PRIMARY KEY (gateway_key, bucket)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE workspace (
        workspace_key     INTEGER PRIMARY KEY,
        account           TEXT    NOT NULL,
        workspace_id      TEXT    NOT NULL,
        clusters_complete INTEGER,  -- ms; null until a sweep has seen all session clusters
        seal              INTEGER NOT NULL,
        UNIQUE (account, workspace_id)
    ) STRICT;

    CREATE TABLE cluster (
        workspace_key      INTEGER NOT NULL REFERENCES workspace,
        session_cluster_id TEXT    NOT NULL,
        kind               TEXT    NOT NULL,
        state              TEXT    NOT NULL,
        starting_since     INTEGER,  -- ms; when it was first seen Starting, while it is
        seal               INTEGER NOT NULL,
        PRIMARY KEY (workspace_key, session_cluster_id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE cluster_change (
        workspace_key INTEGER NOT NULL REFERENCES workspace,
        kind          TEXT    NOT NULL,
        state         TEXT    NOT NULL,
        changes       INTEGER NOT NULL,
        seal          INTEGER NOT NULL,
        PRIMARY KEY (workspace_key, kind, state)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE start_duration (
        workspace_key INTEGER NOT NULL REFERENCES workspace,
        kind          TEXT    NOT NULL,
        bucket        INTEGER NOT NULL,
        count         INTEGER NOT NULL,
        sum           INTEGER NOT NULL,
        seal          INTEGER NOT NULL,
        PRIMARY KEY (workspace_key, kind, bucket)
    ) STRICT, WITHOUT ROWID;
    ",
];

/// The version of a ledger that this program writes.
pub(super) fn current_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// An empty ledger that is gone with its connection: what the tables of a file are compared with.
pub(super) fn in_memory() -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    seal::register(&connection)?;
    migrate(&mut connection, 0)?;
    Ok(connection)
}

/// Brings a file from `version` to the current one, in one transaction.
pub(super) fn migrate(connection: &mut Connection, version: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(version).unwrap_or(0);
    if done >= MIGRATIONS.len() {
        return Ok(());
    }
    let transaction: Transaction<'_> = connection.transaction()?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", current_version())?;
    transaction.commit()
}
