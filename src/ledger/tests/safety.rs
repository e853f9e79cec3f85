//! Bytes that change on disk: every counter is exact, or the start is refused.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::ledger::{ClusterSweep, LedgerError};
use crate::model::{ClusterKind, ClusterState};

/// The files of a ledger at one moment.
#[derive(Clone)]
struct Files(Vec<(&'static str, Vec<u8>)>);

impl Files {
    fn of(path: &Path) -> Self {
        let read = |suffix| Some((suffix, fs::read(beside(path, suffix)).ok()?));
        Self(["", "-wal", "-lock"].into_iter().filter_map(read).collect())
    }

    fn bytes(&mut self, suffix: &str) -> &mut Vec<u8> {
        &mut self.0.iter_mut().find(|(name, _)| *name == suffix).unwrap().1
    }

    /// Puts them where nothing else is.
    fn put(&self, path: &Path) {
        for suffix in ["-shm", "-wal", "-journal"] {
            let _ = fs::remove_file(beside(path, suffix));
        }
        for (suffix, bytes) in &self.0 {
            fs::write(beside(path, suffix), bytes).unwrap();
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    crate::ledger::open::beside(path, suffix)
}

/// A small ledger with something in every table, still open, much of it in the log.
async fn full_ledger(path: &Path, checkpointed: bool) -> Ledger {
    let ledger = open(path);
    ledger.watch_scope(scope(), 1).await.unwrap();
    let many = |from: i64, to: i64| {
        let one = |i: i64| {
            let state = if i % 2 == 0 { SessionState::Error } else { SessionState::Terminated };
            let mut one = ended(session(&format!("s{i}"), i, usage(i, i, i)), state, i + 50_000 * i);
            one.queue = format!("q{}", i % 3);
            one
        };
        (from..to).map(one).collect::<Vec<_>>()
    };
    sweep(&ledger, old("g"), 5, many(0, 150)).await;
    sweep(&ledger, old("g2"), 5, many(0, 40)).await;
    let pass = sweep(&ledger, old("g"), 6, many(50, 150)).await;
    assert_eq!(ledger.prune(pass, i64::MAX).await.unwrap(), 50);
    for (at, state) in
        [(1, ClusterState::Stopped), (2, ClusterState::Starting), (9_000, ClusterState::Running)]
    {
        let seen = vec![("c".to_owned(), ClusterKind::Sql, state)];
        ledger
            .apply_clusters(ClusterSweep { workspace: workspace(), seen, complete: true, at })
            .await
            .unwrap();
    }
    if checkpointed {
        drop(ledger);
        return open(path);
    }
    ledger
}

/// Every counter, as text.
fn counters(ledger: &Ledger) -> String {
    let snapshot = ledger.snapshot();
    let mut text = format!("{} sessions\n", snapshot.sessions);
    for (id, gateway) in &snapshot.gateways {
        let _ = writeln!(text, "{id:?} {gateway:?}");
    }
    for (id, workspace) in &snapshot.workspaces {
        let _ = writeln!(text, "{id:?} {workspace:?}");
    }
    text
}

/// What the next sweep would make of it: an index that hides a session has it counted twice.
async fn after_a_sweep(ledger: &Ledger) -> String {
    let sessions = (50..150).map(|i| {
        let mut one = session(&format!("s{i}"), i, usage(i, i, i));
        one.queue = format!("q{}", i % 3);
        ended(one, if i % 2 == 0 { SessionState::Error } else { SessionState::Terminated }, i + 50_000 * i)
    });
    let pass = ledger.begin_pass(old("g"), 7).await.unwrap();
    ledger.apply_sessions(pass, sessions.collect()).await.unwrap();
    counters(ledger)
}

struct Judge {
    path: PathBuf,
    truth: String,
    after: String,
    exact: u32,
    refused: u32,
}

impl Judge {
    async fn new(directory: &Path, files: &Files) -> Self {
        let path = directory.join("judged.db");
        files.put(&path);
        let ledger = open(&path);
        let (truth, after) = (counters(&ledger), after_a_sweep(&ledger).await);
        Self { path, truth, after, exact: 0, refused: 0 }
    }

    async fn judge(&mut self, files: &Files, what: &str) {
        files.put(&self.path);
        match try_open(&self.path) {
            Ok(ledger) => {
                assert_eq!(counters(&ledger), self.truth, "{what}");
                assert_eq!(after_a_sweep(&ledger).await, self.after, "{what}, after a sweep");
                self.exact += 1;
            }
            Err(error) => {
                let message = error.to_string();
                assert!(
                    matches!(error, LedgerError::Damaged { .. } | LedgerError::TooNew { .. }),
                    "{what}: {message}"
                );
                let names = message.contains(self.path.to_str().unwrap());
                let way_out = message.contains("`ledger restore`") || message.contains("at least as new");
                assert!(names && way_out, "{what}: {message}");
                for (suffix, bytes) in files.0.iter().filter(|(suffix, _)| suffix.is_empty()) {
                    let now = fs::read(beside(&self.path, suffix)).unwrap();
                    assert!(now == *bytes, "{what}: the refused file was changed: {message}");
                }
                self.refused += 1;
            }
        }
    }
}

fn try_open(path: &Path) -> Result<Ledger, LedgerError> {
    Ledger::open(&Options { path: path.to_owned(), baseline: Baseline::Include }, Arc::new(Unobserved))
}

/// Flips one bit in every `step` bytes, another one each time.
async fn flips(suffix: &'static str, checkpointed: bool, step: usize) -> Judge {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = full_ledger(&path, checkpointed).await;
    let files = Files::of(&path);
    drop(ledger);
    let mut judge = Judge::new(directory.path(), &files).await;
    let length = files.clone().bytes(suffix).len();
    let step = if std::env::var_os("SOAK").is_some() { step / 20 } else { step };
    for (number, byte) in (0..length).step_by(step).enumerate() {
        let mut spoilt = files.clone();
        let bit = number % 8;
        spoilt.bytes(suffix)[byte] ^= 1 << bit;
        judge.judge(&spoilt, &format!("bit {bit} of byte {byte} of l.db{suffix}")).await;
    }
    judge
}

#[tokio::test]
async fn a_flipped_bit_in_the_file_is_harmless_or_refused() {
    let judge = flips("", true, 197).await;
    println!("file: {} exact, {} refused", judge.exact, judge.refused);
    assert!(judge.refused > 60 && judge.exact > 10);
}

#[tokio::test]
async fn a_flipped_bit_in_the_header_is_harmless_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = full_ledger(&path, true).await;
    let files = Files::of(&path);
    drop(ledger);
    let mut judge = Judge::new(directory.path(), &files).await;
    for bit in 0..108 * 8 {
        let mut spoilt = files.clone();
        spoilt.bytes("")[bit / 8] ^= 1 << (bit % 8);
        judge.judge(&spoilt, &format!("bit {} of byte {} of l.db", bit % 8, bit / 8)).await;
    }
    println!("header: {} exact, {} refused", judge.exact, judge.refused);
    assert!(judge.refused > 200);
}

#[tokio::test]
async fn a_flipped_bit_in_the_log_is_harmless_or_refused() {
    let judge = flips("-wal", false, 401).await;
    println!("log: {} exact, {} refused", judge.exact, judge.refused);
    assert!(judge.refused > 100);
}

#[tokio::test]
async fn a_file_or_a_log_that_was_cut_or_lost_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = full_ledger(&path, false).await;
    let files = Files::of(&path);
    drop(ledger);
    let mut judge = Judge::new(directory.path(), &files).await;
    for suffix in ["", "-wal"] {
        let length = files.clone().bytes(suffix).len();
        for keep in (0..length).step_by(length / 40).chain([length - 1]) {
            let mut spoilt = files.clone();
            spoilt.bytes(suffix).truncate(keep);
            judge.judge(&spoilt, &format!("l.db{suffix} cut to {keep} bytes")).await;
        }
    }
    let mut without = files.clone();
    without.0.retain(|(suffix, _)| *suffix != "-wal");
    let refused = judge.refused;
    judge.judge(&without, "no log").await;
    assert_eq!(judge.refused, refused + 1);
    assert!(judge.refused > 60, "{} exact, {} refused", judge.exact, judge.refused);
}

#[tokio::test]
async fn an_older_copy_put_back_by_hand_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = open(&path);
    sweep(&ledger, old("g"), 5, vec![session("s", 10, usage(1, 1, 1))]).await;
    drop(ledger);
    let copy = fs::read(&path).unwrap();
    let ledger = open(&path);
    sweep(&ledger, old("g"), 6, vec![session("s", 10, usage(2, 1, 1))]).await;
    drop(ledger);
    fs::write(&path, copy).unwrap();
    let message = refused(&path);
    assert!(
        message.contains("the check of its last commit failed") && message.contains("older copy"),
        "{message}"
    );
    // An explicit new start is one.
    fs::remove_file(&path).unwrap();
    drop(open(&path));
    drop(open(&path));
}

#[tokio::test]
async fn a_restore_keeps_the_damaged_ledger_with_its_log_and_checks_the_copy_first() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = full_ledger(&path, true).await;
    let truth = totals(&ledger, "g").series.clone();
    crate::ledger::back_up_beside(&path, &CancellationToken::new()).unwrap();
    after_a_sweep(&ledger).await;
    let mut files = Files::of(&path);
    drop(ledger);
    files.bytes("")[5_000..9_000].fill(1);
    files.put(&path);
    // A copy that is not sound is refused, and nothing is touched.
    let copy = crate::ledger::backup_path(&path);
    let sound = fs::read(&copy).unwrap();
    let mut spoilt = sound.clone();
    let middle = spoilt.len() / 2;
    spoilt[middle..].fill(9);
    fs::write(&copy, &spoilt).unwrap();
    let message = crate::ledger::restore(&path, None, 0).unwrap_err().to_string();
    assert!(message.contains(copy.to_str().unwrap()), "{message}");
    assert_eq!(Files::of(&path).0, files.0);
    fs::write(&copy, &sound).unwrap();

    let restored = crate::ledger::restore(&path, None, 1_768_213_240_000).unwrap();
    let kept = restored.kept.unwrap();
    assert_eq!(kept, beside(&path, ".damaged-20260112T102040Z"));
    for suffix in ["", "-wal"] {
        assert!(fs::read(beside(&kept, suffix)).unwrap() == *files.bytes(suffix), "{suffix}");
    }
    let ledger = open(&path);
    assert!(!totals(&ledger, "g").is_shown() && !totals(&ledger, "g2").is_shown());
    for (queue, series) in &totals(&ledger, "g").series {
        assert_eq!((series.usage(), series.held), (truth[queue].usage(), false));
    }
    // A series that is new since then was shown already: at its value, not at zero.
    let mut young = session("young", 90_000_000, usage(5, 5, 5));
    young.queue = "new".into();
    let pass = sweep(&ledger, old("g"), 8, vec![young]).await;
    assert!(!totals(&ledger, "g").series["new"].held && totals(&ledger, "g").is_shown());
    let mut younger = session("younger", 90_000_001, usage(5, 5, 5));
    younger.queue = "newer".into();
    ledger.apply_sessions(pass, vec![younger]).await.unwrap();
    assert!(totals(&ledger, "g").series["newer"].held);
}
