//! The daemon as a process that is killed, or whose disk is full, against a world that grows: in the end the totals are
//! the truth, to the last integer.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use emr_serverless_spark_exporter::clock::Clock;
use emr_serverless_spark_exporter::sim::WorldConfig;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::harness::{HOUR, Lab, Running, Truth, metric, sound};

#[test]
fn totals_are_exact_after_kills_at_any_moment() {
    let soak = std::env::var("SOAK").is_ok_and(|soak| soak == "1");
    let kills = if soak { 200 } else { 20 };
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u32>);
    println!("SEED={seed}, {kills} kills");
    let mut random = SmallRng::seed_from_u64(seed.into());
    let lab = Lab::new(WorldConfig {
        seed: u64::from(seed),
        speed: 240.0,
        workspaces: 1,
        history: 300,
        births_per_hour: if soak { 60 } else { 300 },
        late_growth_share: 0.1,
        ..WorldConfig::default()
    });
    lab.simulator.set_latency(Duration::from_millis(2));
    let settings = lab.settings().set("api.max_in_flight", "8");
    let mut before = Truth::default();
    for kill in 0..kills {
        // One in four does not come to listen: it is killed while it opens the ledger, or creates it.
        if random.random_range(0..4) == 0 {
            let process = Running::start(settings.command());
            sleep(Duration::from_millis(random.random_range(0..60)));
            process.kill();
        } else {
            let daemon = settings.start();
            sleep(Duration::from_millis(random.random_range(0..800)));
            daemon.kill();
        }
        if !lab.ledger().exists() && before == Truth::default() {
            continue;
        }
        sound(&lab.ledger());
        let after = lab.counted();
        before.assert_not_fallen(&after);
        before = after;
        if kill == kills / 2 {
            lab.advance(HOUR);
        }
    }
    assert_ne!(before, Truth::default(), "no daemon lived long enough to count anything");
    lab.world().clock().freeze();
    let daemon = settings.start();
    lab.settle_both(&daemon);
    daemon.stop();
    let checked = sound(&lab.ledger());
    println!("{} commits, {} sessions", checked.commits, checked.sessions);
    assert_eq!(lab.counted(), lab.truth());
}

#[test]
fn a_full_disk_fails_commits_and_loses_nothing() {
    let lab = Lab::new(WorldConfig {
        speed: 0.0,
        workspaces: 1,
        history: 200,
        births_per_hour: 600,
        ..WorldConfig::default()
    });
    let daemon = lab.settings().start_limitable();
    let page = lab.settle_both(&daemon);
    let before = lab.counted();
    let commit_failures = metric("exporter_ledger_commit_failures_total");
    commit_failures.assert_in(&page, 0.0);
    // Room for the beginning of a sweep: it is a page of sessions that finds the disk full.
    let log = fs::metadata(lab.directory.path().join("ledger.db-wal")).unwrap().len();
    daemon.limit(&format!("fsize={}:unlimited", log + 150_000));
    lab.advance(HOUR);
    daemon.until("commits and sweeps that fail", |page| {
        let commits = commit_failures.sum_in(page);
        let sweeps = metric("exporter_sweep_failures_total").sum_in(page);
        if commits >= 5.0 && sweeps >= 2.0 { Ok(()) } else { Err(format!("{commits}, {sweeps}")) }
    });
    // What is shown is what is on disk: as before, or counted in a commit that still found room.
    let after = lab.counted();
    before.assert_not_fallen(&after);
    assert_ne!(after, lab.truth());
    after.equals(&daemon.scrape()).unwrap();
    daemon.limit("fsize=unlimited:unlimited");
    lab.settle_both(&daemon);
    daemon.stop();
    sound(&lab.ledger());
    assert_eq!(lab.counted(), lab.truth());
}

#[test]
fn what_left_the_list_long_ago_is_pruned_and_stays_counted() {
    const DAY: Duration = Duration::from_secs(86_400);
    let lab = Lab::new(WorldConfig {
        start: Clock::System.now() - 10 * 86_400_000,
        speed: 0.0,
        workspaces: 1,
        gateways: 1,
        history: 200,
        history_span: DAY,
        births_per_hour: 0,
        retention: Some(DAY * 2),
        ..WorldConfig::default()
    });
    let daemon = lab.settings().set("ledger.retention", "1day").start();
    lab.settle_both(&daemon);
    let (before, kept) = (lab.counted(), sound(&lab.ledger()).sessions);
    lab.advance(DAY * 5);
    daemon.until("the pruning", |page| match metric("exporter_ledger_pruned_sessions_total").sum_in(page) {
        0.0 => Err("nothing yet".to_owned()),
        _ => Ok(()),
    });
    daemon.stop();
    let checked = sound(&lab.ledger());
    // Those that ran when they were last seen are kept: how they ended, nobody knows.
    assert!(checked.pruned > 150 && checked.pruned + checked.sessions == kept, "{checked:?} of {kept}");
    assert_eq!(lab.counted(), before);
}
