//! What is opened, and what is refused.

use std::fs;

use super::*;

/// A sound ledger of a few thousand sessions, closed.
async fn ledger_file(directory: &Path) -> std::path::PathBuf {
    let path = directory.join("l.db");
    let ledger = open(&path);
    let sessions = (0..3_000).map(|i| session(&format!("s{i}"), 10, usage(i, i, i))).collect();
    sweep(&ledger, old("g"), 2_000, sessions).await;
    drop(ledger);
    path
}

#[tokio::test]
async fn totals_come_back_exactly() {
    let directory = tempfile::tempdir().unwrap();
    let path = ledger_file(directory.path()).await;
    assert!(!directory.path().join("l.db-wal").exists(), "a closed ledger is one file");
    let sum = (0..3_000).sum();
    let ledger = open(&path);
    assert_eq!(counted(&ledger, "g"), usage(sum, sum, sum));
    assert_eq!(ledger.snapshot().sessions, 3_000);
}

#[tokio::test]
async fn a_second_exporter_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let first = open(&path);
    assert_eq!(
        refused(&path),
        format!(
            "ledger {}: another exporter is using it; stop that one, or give this one its own ledger.path",
            path.display()
        )
    );
    drop(first);
    open(&path);
}

#[tokio::test]
async fn a_file_that_is_no_ledger_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    for (content, found) in [
        (b"".as_slice(), "the file is empty"),
        (b"totals: 12, and more text than a header takes, so that it is read as one at all; and still more of it", "not a database in a known format"),
        (b"a text which here \x01\x01 has the right numbers, so that it is read as one at all; and still more of it", "not a database"),
    ] {
        fs::write(&path, content).unwrap();
        let message = refused(&path);
        assert!(message.contains(found) && message.contains("move the file away"), "{message}");
        assert_eq!(fs::read(&path).unwrap(), content);
    }
    fs::remove_file(&path).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let message = refused(&path);
    assert!(message.contains("not a ledger of this exporter"), "{message}");
}

#[tokio::test]
async fn a_log_without_its_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    fs::write(directory.path().join("l.db-wal"), b"what a crash left").unwrap();
    let message = refused(&path);
    assert!(message.contains("the file is gone, but its log"), "{message}");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_later_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = ledger_file(directory.path()).await;
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let message = refused(&path);
    assert!(message.contains("it has schema version 99, and this program knows up to 1"), "{message}");
}

#[tokio::test]
async fn a_total_that_its_sessions_do_not_add_up_to_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for tampering in [
        "UPDATE series SET nano_cu_hours = nano_cu_hours - 1",
        "UPDATE session SET mb_seconds = mb_seconds + 1 WHERE session_id = 's7'",
        "DELETE FROM session_place WHERE session_key = (SELECT session_key FROM session WHERE session_id = 's8');
         DELETE FROM session WHERE session_id = 's8'",
        "UPDATE series SET created = 0",
    ] {
        let path = ledger_file(directory.path()).await;
        let connection = rusqlite::Connection::open(&path).unwrap();
        crate::ledger::seal::register(&connection).unwrap();
        connection.execute_batch(tampering).unwrap();
        crate::ledger::seal::SERIES.reseal(&connection).unwrap();
        crate::ledger::seal::SESSION.reseal(&connection).unwrap();
        drop(connection);
        let message = refused(&path);
        assert!(message.contains("are not the sum of its sessions"), "{tampering}: {message}");
        fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn a_row_that_was_changed_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for (tampering, table) in [
        ("UPDATE session SET session_id = 's7x' WHERE session_id = 's7'", "session"),
        ("UPDATE session SET state = 'error' WHERE session_id = 's7'", "session"),
        ("UPDATE series SET held = 1 - held", "series"),
        ("UPDATE gateway SET baseline_cut = baseline_cut + 1", "gateway"),
    ] {
        let path = ledger_file(directory.path()).await;
        rusqlite::Connection::open(&path).unwrap().execute_batch(tampering).unwrap();
        let message = refused(&path);
        assert!(message.contains(&format!("a row of table {table} (")), "{tampering}: {message}");
        fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn a_cut_or_overwritten_file_never_yields_other_totals() {
    let directory = tempfile::tempdir().unwrap();
    let path = ledger_file(directory.path()).await;
    let sound = fs::read(&path).unwrap();
    let truth = counted(&open(&path), "g");
    let mut refusals = 0;
    let mut spoil = |spoilt: &[u8], what: String| {
        fs::write(&path, spoilt).unwrap();
        let options = Options { path: path.clone(), baseline: Baseline::Include };
        match Ledger::open(&options, Arc::new(Unobserved)) {
            Err(error) => {
                assert!(error.to_string().contains(path.to_str().unwrap()), "{what}: {error}");
                refusals += 1;
            }
            Ok(ledger) => assert_eq!(counted(&ledger, "g"), truth, "{what}"),
        }
        let _ = fs::remove_file(directory.path().join("l.db-wal"));
    };
    for keep in [1, 99, 4_096, sound.len() / 2, sound.len() - 4_096, sound.len() - 1] {
        spoil(&sound[..keep], format!("cut to {keep} bytes"));
    }
    for page in (0..sound.len()).step_by(4_096) {
        let mut spoilt = sound.clone();
        spoilt[page..page + 512].fill(0xAA);
        spoil(&spoilt, format!("page at {page} overwritten"));
    }
    assert!(refusals > 30, "only {refusals} refusals");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_told() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), b"").unwrap();
    let message = refused(&directory.path().join("file/l.db"));
    assert!(message.contains("creating its directory"), "{message}");
}

#[tokio::test]
async fn an_older_schema_is_copied_before_it_is_lifted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "application_id", crate::ledger::schema::APPLICATION_ID).unwrap();
    connection.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (7); DROP TABLE t").unwrap();
    drop(connection);
    drop(open(&path));
    let copy = rusqlite::Connection::open(directory.path().join("l.db.schema-0")).unwrap();
    let version: i64 = copy.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 0);
    crate::ledger::verify(&path).unwrap();
}

#[tokio::test]
async fn a_start_that_was_cut_short_before_there_was_a_ledger_begins_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    for left in [b"".as_slice(), b"half a page"] {
        fs::write(directory.path().join("l.db.new"), left).unwrap();
        drop(open(&path));
        fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn a_lost_index_entry_or_a_changed_rule_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for (tampering, found) in [
        (
            "UPDATE sqlite_schema SET sql = replace(sql, 'IN (0, 1)', 'IN (0, 3)') WHERE name = 'series'",
            "series was changed",
        ),
        (
            "UPDATE sqlite_schema SET sql = replace(sql, '>> 40', '>> 39') WHERE name = 'session'",
            "session was changed",
        ),
        (
            "UPDATE session SET session_key = session_key + 99999 WHERE session_id = 's7'",
            "a row of table session",
        ),
        (
            "DELETE FROM session_place WHERE session_key = 1 + (1 << 40)",
            "the list session_place does not agree",
        ),
        ("DELETE FROM gateway", "are not the sum of its sessions"),
        ("DELETE FROM progress", "the check of its last commit"),
    ] {
        let path = ledger_file(directory.path()).await;
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection
            .execute_batch(&format!("PRAGMA foreign_keys = off; PRAGMA writable_schema = on; {tampering}"))
            .unwrap();
        drop(connection);
        let message = refused(&path);
        assert!(message.contains(found), "{tampering}: {message}");
        fs::remove_file(&path).unwrap();
    }
}
