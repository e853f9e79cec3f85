//! The ledger's writes against what SQLite itself does with the same rows.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use emr_serverless_spark_exporter::ledger::{CommitObserver, Discovered, Ledger, Options, Pass};
use emr_serverless_spark_exporter::model::{
    Baseline, GatewayId, SessionObservation, SessionState, Usage, WorkspaceId,
};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Outcome;
use crate::process::{cpu_seconds, measured, number, rss_peak_mib};
use crate::table::{Row, median};

const SESSIONS: u32 = 1_000_000;
const RUNS: usize = 3;
const PER_SECOND_MIN: f64 = 80_000.0;
/// What each round does: all sessions new; all of them grown, page by page as a history lists them; grown once more, in
/// an order that no history has.
const KINDS: [&str; 3] = ["inserts", "updates", "updates_shuffled"];
/// Sessions of a page.
const PAGE: u32 = 100;
/// Pages on their way at a time: 1,000 sessions in a transaction, as many as SQLite gets.
const PAGES_AT_ONCE: usize = 10;

/// See the module.
pub fn section() -> Outcome<Vec<Row>> {
    let sessions = SESSIONS.to_string();
    let (mut ledger, mut sqlite) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        for (role, reports) in [("ledger", &mut ledger), ("sqlite", &mut sqlite)] {
            let directory = TempDir::new()?;
            let file = directory.path().join("ledger.db").display().to_string();
            reports.push(measured(role, &[&file, &sessions])?);
        }
    }
    KINDS.map(|kind| row(kind, &ledger, &sqlite)).into_iter().collect()
}

fn row(kind: &str, ledger: &[Value], sqlite: &[Value]) -> Outcome<Row> {
    let of = |reports: &[Value], what: &str| -> Outcome<f64> {
        let numbers = reports.iter().map(|report| number(report, &format!("{kind}_{what}")));
        Ok(median(numbers.collect::<Outcome<Vec<f64>>>()?))
    };
    let (rate, bare) = (of(ledger, "per_second")?, of(sqlite, "per_second")?);
    let (cpu, bare_cpu) = (of(ledger, "cpu_micros")?, of(sqlite, "cpu_micros")?);
    let promised = kind != "updates_shuffled";
    Ok(Row {
        what: format!("ledger: {} of 1,000,000 sessions, random ids", kind.replace('_', ", ")),
        measured: format!("{rate:.0}/s ({cpu:.2} µs of CPU each)"),
        against: format!("SQLite alone: {bare:.0}/s ({bare_cpu:.2} µs)"),
        ratio: Some(rate / bare),
        goal: if promised { format!("at least {PER_SECOND_MIN:.0}/s") } else { String::new() },
        met: promised.then_some(rate >= PER_SECOND_MIN),
    })
}

struct Unobserved;

impl CommitObserver for Unobserved {
    fn on_commit(&self, _: Duration, _: bool) {}
}

/// The child that writes through the ledger: the rounds of [`KINDS`].
pub fn ledger(file: &str, sessions: u32) -> Outcome<Value> {
    let options = Options { path: file.into(), baseline: Baseline::Include };
    let ledger = Ledger::open(&options, Arc::new(Unobserved))?;
    let workspace = WorkspaceId { account: "bench".into(), workspace_id: "w-1".into() };
    let gateway = GatewayId { workspace, livy_compute_id: "lc-1".into() };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut write = |round: u32| {
        runtime.block_on(async {
            let found = Discovered { gateway: gateway.clone(), created: None, watched_since: 0 };
            let pass = ledger.begin_pass(found, 1_000).await?;
            all_pages(&ledger, pass, sessions, round).await?;
            Ok(())
        })
    };
    report(sessions, &mut write)
}

async fn all_pages(ledger: &Ledger, pass: Pass, sessions: u32, round: u32) -> Outcome<()> {
    let mut pages = (0..sessions / PAGE).map(|page| {
        let numbers = page * PAGE..(page + 1) * PAGE;
        ledger.apply_sessions(
            pass,
            numbers.map(|number| session(order(number, sessions, round), round)).collect(),
        )
    });
    let mut under_way = FuturesUnordered::new();
    loop {
        under_way.extend(pages.by_ref().take(PAGES_AT_ONCE - under_way.len()));
        match under_way.next().await {
            Some(applied) => _ = applied?,
            None => return Ok(()),
        }
    }
}

/// The child that writes the same rows with SQLite alone: no look-up, no totals, no checksums.
pub fn sqlite(file: &str, sessions: u32) -> Outcome<Value> {
    let connection = Connection::open(Path::new(file))?;
    // The ledger's own settings, table and index.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 32768;
         PRAGMA cache_size = -16384;
         CREATE TABLE session (session_key INTEGER PRIMARY KEY, gateway_key INTEGER NOT NULL,
             id_hash INTEGER NOT NULL, session_id TEXT NOT NULL, series_key INTEGER NOT NULL,
             pass INTEGER NOT NULL, state TEXT NOT NULL, created INTEGER, ended INTEGER, counted INTEGER NOT NULL,
             a INTEGER NOT NULL, b INTEGER NOT NULL, c INTEGER NOT NULL, d INTEGER NOT NULL, e INTEGER NOT NULL,
             f INTEGER NOT NULL, g INTEGER NOT NULL, h INTEGER NOT NULL, i INTEGER NOT NULL,
             seal INTEGER NOT NULL) STRICT;
         CREATE INDEX session_by_id ON session (gateway_key, id_hash);",
    )?;
    let mut write = |round: u32| {
        let sql = if round == 0 {
            "INSERT INTO session VALUES (?11, 1, ?1, ?2, 1, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?9, 0, 0, 0, 0, 0, 0, ?10)"
        } else {
            "UPDATE session SET pass = ?3, state = ?4, created = ?5, ended = ?6, a = ?7, b = ?8, c = ?9, seal = ?10
             WHERE gateway_key = 1 AND id_hash = ?1 AND session_id = ?2 AND ?11 >= 0"
        };
        let batch = PAGE * u32::try_from(PAGES_AT_ONCE)?;
        let mut statement = connection.prepare(sql)?;
        for first in (0..sessions).step_by(batch as usize) {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            for number in first..sessions.min(first + batch) {
                let number = order(number, sessions, round);
                let SessionObservation { session_id, state, created, ended, usage, .. } =
                    session(number, round);
                let usage = usage.or(Usage::ZERO);
                let changed = statement.execute(params![
                    scrambled(number).cast_signed(),
                    session_id,
                    round,
                    state.as_str(),
                    created,
                    ended,
                    usage.nano_cu_hours,
                    usage.vcore_seconds,
                    usage.mb_seconds,
                    (scrambled(number) >> 32).cast_signed(),
                    number,
                ])?;
                if changed != 1 {
                    return Err("a row was not there".into());
                }
            }
            connection.execute_batch("COMMIT")?;
        }
        Ok(())
    };
    report(sessions, &mut write)
}

/// Runs both rounds.
fn report(sessions: u32, write: &mut dyn FnMut(u32) -> Outcome<()>) -> Outcome<Value> {
    let mut report = json!({});
    for (round, kind) in (0..).zip(KINDS) {
        let (started, cpu) = (Instant::now(), cpu_seconds()?);
        write(round)?;
        let (took, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
        report[format!("{kind}_per_second")] = json!(f64::from(sessions) / took);
        report[format!("{kind}_cpu_micros")] = json!(cpu * 1e6 / f64::from(sessions));
    }
    report["rss_mib"] = json!(rss_peak_mib()?);
    Ok(report)
}

/// Every number below `sessions` once; in the last round in an order that has nothing to do with the first.
fn order(number: u32, sessions: u32, round: u32) -> u32 {
    // A step that shares no factor with a power of ten visits all of them.
    let step = if round < 2 { 1 } else { 618_033_989 };
    let place = u64::from(number) * step % u64::from(sessions);
    u32::try_from(place).unwrap_or(0)
}

fn session(number: u32, round: u32) -> SessionObservation {
    let ended = round > 0;
    SessionObservation {
        session_id: format!("livy-{:016x}", scrambled(number)),
        name: String::new(),
        queue: "root_queue".into(),
        state: if ended { SessionState::Terminated } else { SessionState::Running },
        created: Some(1_768_213_240_000 + i64::from(number)),
        ended: ended.then_some(1_768_213_940_000 + i64::from(number)),
        usage: Usage {
            nano_cu_hours: 1_000_000_000 * i64::from(1 + round) + i64::from(number),
            vcore_seconds: 3_600 * i64::from(1 + round),
            mb_seconds: 14_745_600 * i64::from(1 + round),
        }
        .into(),
    }
}

/// A random number for each number, always the same one (the finaliser of SplitMix64).
fn scrambled(number: u32) -> u64 {
    let mut mixed = u64::from(number).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
