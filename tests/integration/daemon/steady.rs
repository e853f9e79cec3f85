//! Long histories: after one sweep of the whole, polls read only what can have changed, and miss nothing.

use std::time::Duration;

use emr_serverless_spark_exporter::sim::{Fault, HistoryOrder, Operation, Scope, WorldConfig};

use crate::harness::{HOUR, Lab, MINUTE, Page, Settings, metric, wait_for};

const PAGES: f64 = 250.0;

/// One gateway with 250 pages of sessions, of which some run for half a day; the oldest leave as time goes.
fn long_history(order: HistoryOrder) -> WorldConfig {
    WorldConfig {
        speed: 0.0,
        workspaces: 1,
        gateways: 1,
        session_clusters: 1,
        history: 5_000,
        history_span: 72 * HOUR,
        births_per_hour: 40,
        run_min: Duration::from_secs(10),
        run_max: 12 * HOUR,
        order,
        retention: Some(72 * HOUR),
        late_growth_share: 0.2,
        ..WorldConfig::default()
    }
}

fn settings(lab: &Lab) -> Settings {
    lab.settings().set("collectors.livy_sessions.settle", "0s")
}

fn value(page: &Page, name: &str) -> f64 {
    metric(name).sum_in(page)
}

fn pages_read(page: &Page) -> f64 {
    metric("exporter_sweep_pages_total").label("target", "livy_sessions").sum_in(page)
}

fn sweeps(page: &Page) -> f64 {
    metric("exporter_sweep_duration_seconds_count").label("target", "livy_sessions").sum_in(page)
}

fn active(page: &Page) -> f64 {
    let in_state = |state| metric("livy_sessions").label("state", state).sum_in(page);
    ["starting", "running", "terminating"].map(in_state).iter().sum()
}

/// Asserts that all sessions that the service lists are on the page, in one state each.
#[track_caller]
fn assert_listed(lab: &Lab, page: &Page) {
    let workspace = &lab.world().workspace_ids()[0];
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let listed = lab.world().gateways(workspace)[0].listed as f64;
    assert_eq!(value(page, "livy_sessions"), listed);
}

fn polls_by_pages(order: HistoryOrder) {
    let lab = Lab::new(long_history(order));
    // Polls take seconds where all of a machine's cores are busy, and a history that moves under one is a surprise indeed.
    let settings = settings(&lab).set("collectors.livy_sessions.interval", "12s");
    let daemon = settings.start();
    let first = lab.settle(&daemon);
    assert_eq!(value(&first, "exporter_full_sweeps_total"), 1.0);
    assert_listed(&lab, &first);

    let later = daemon.sweeps("livy_sessions", 2.0);
    let cost = (pages_read(&later) - pages_read(&first)) / (sweeps(&later) - sweeps(&first));
    let budget = 1.0 + active(&later) + 20.0;
    assert!(active(&later) > 50.0 && budget < PAGES, "{} active", active(&later));
    assert!(cost <= budget, "{cost} pages a poll, {budget} at most");

    for step in [20 * MINUTE, HOUR, 7 * MINUTE, 2 * HOUR] {
        // A poll has just ended.
        lab.advance(step);
        let page = lab.settle(&daemon);
        assert_listed(&lab, &page);
    }
    let page = daemon.scrape();
    assert_eq!(value(&page, "exporter_full_sweeps_total"), 1.0, "what leaves and is born is no surprise");
    assert_eq!(value(&page, "exporter_sweep_surprises_total"), 0.0);

    // A restart goes on where it was, after an outage too.
    daemon.kill();
    lab.advance(HOUR);
    let daemon = settings.start();
    let page = lab.settle(&daemon);
    assert_listed(&lab, &page);
    assert_eq!(value(&page, "exporter_full_sweeps_total"), 0.0, "the ledger remembers");
    assert_eq!(value(&page, "exporter_sweep_failures_total"), 0.0);
}

#[test]
fn a_history_with_the_newest_first_is_polled_by_pages() {
    polls_by_pages(HistoryOrder::NewestFirst);
}

#[test]
fn a_history_with_the_oldest_first_is_polled_by_pages() {
    polls_by_pages(HistoryOrder::OldestFirst);
}

#[test]
fn a_poll_that_fails_half_way_leaves_nothing_untold() {
    // All that ever was is listed, so that the gauges of ended sessions must equal their counters.
    let lab = Lab::new(WorldConfig { retention: None, ..long_history(HistoryOrder::NewestFirst) });
    let daemon = settings(&lab).set("api.retries", "0").start();
    lab.settle(&daemon);
    lab.simulator.set_latency(Duration::from_millis(20));
    let requests = || lab.simulator.stats().count(Operation::ListLivyComputeSessions);
    for _ in 0..12 {
        lab.advance(30 * MINUTE);
        // In the midst of a poll, while pages beside the failing one are on their way to the ledger.
        let idle = requests();
        wait_for("a poll under way", || if requests() >= idle + 5 { Ok(()) } else { Err(String::new()) });
        let scope = Scope::of(Operation::ListLivyComputeSessions);
        lab.simulator.faults().next(1, Fault::ServerError(500), scope);
        lab.settle(&daemon);
    }
    let page = lab.settle(&daemon);
    assert!(value(&page, "exporter_sweep_failures_total") >= 6.0, "polls have failed");
    for state in ["terminated", "error"] {
        let listed = metric("livy_sessions").label("state", state).sum_in(&page);
        let ended = metric("livy_sessions_ended_total").label("state", state).sum_in(&page);
        assert_eq!(listed, ended, "{state}");
    }
    assert_listed(&lab, &page);
    assert_eq!(value(&page, "exporter_full_sweeps_total"), 1.0, "the ledger remembers");
}

#[test]
fn a_history_without_an_order_is_swept_whole_by_every_poll() {
    let lab = Lab::new(long_history(HistoryOrder::Shuffled));
    let daemon = settings(&lab).start();
    let first = lab.settle(&daemon);
    let later = daemon.sweeps("livy_sessions", 2.0);
    assert!(value(&later, "exporter_full_sweeps_total") >= 2.0);
    assert!(pages_read(&later) - pages_read(&first) >= PAGES);
    assert_listed(&lab, &lab.settle(&daemon));
}
