//! The counters equal the truth: as time goes, after restarts, after crashes, under revisions.

use std::time::Duration;

use emr_serverless_spark_exporter::sim::{HistoryOrder, Operation, RunningEnd, WorldConfig};

use crate::harness::{Daemon, HOUR, Lab, MINUTE, Page, Truth, counters, metric, wait_for, world};

/// Asserts that no counter of the earlier page is missing or lower on the later one.
#[track_caller]
fn assert_none_fell(earlier: &Page, later: &Page) {
    let now = counters(later);
    for (series, before) in counters(earlier) {
        let after = now.get(&series).copied();
        assert!(after.is_some_and(|after| after >= before), "{series} went from {before} to {after:?}");
    }
}

#[test]
fn counters_equal_the_truth_as_hours_go_by() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    let mut before = lab.settle(&daemon);
    let mut truth = lab.truth();
    assert!(truth.created() >= 600, "a history to begin with");
    for step in [10 * MINUTE, HOUR, 3 * HOUR, 10 * MINUTE, 24 * HOUR] {
        lab.advance(step);
        let page = lab.settle(&daemon);
        assert_none_fell(&before, &page);
        assert!(lab.truth().nano_cu_hours() > truth.nano_cu_hours(), "something was used in {step:?}");
        truth = lab.truth();
        before = page;
    }
    // Reading it all again, and again, changes nothing.
    let page = lab.settle(&daemon);
    assert_eq!(counters(&page), counters(&before));
    #[expect(clippy::cast_precision_loss, reason = "samples are floats")]
    let born = truth.created() as f64;
    metric("exporter_ledger_sessions").assert_in(&page, born);
    assert_eq!(metric("livy_sessions").sum_in(&page), born, "all are listed in one state");
    assert_eq!(metric("exporter_sweep_failures_total").sum_in(&page), 0.0);
    assert_eq!(metric("exporter_malformed_fields_total").sum_in(&page), 0.0);
    assert_eq!(metric("livy_overcounted_cu_seconds").sum_in(&page), 0.0);
}

#[test]
fn late_and_upward_figures_in_any_order_of_the_history_are_counted_once() {
    let orders = [(HistoryOrder::Shuffled, RunningEnd::Now), (HistoryOrder::OldestFirst, RunningEnd::Absent)];
    for (order, running_end) in orders {
        let lab = Lab::new(WorldConfig {
            order,
            running_end,
            late_growth_share: 0.3,
            figures_lag: Duration::from_secs(300),
            equal_time_share: 0.2,
            ..world()
        });
        let daemon = lab.start();
        for step in [Duration::ZERO, 7 * MINUTE, 2 * HOUR] {
            lab.advance(step);
            lab.settle(&daemon);
        }
    }
}

#[test]
fn a_downward_revision_leaves_the_counters_and_shows_in_a_gauge() {
    // Sessions of the world's own time only: each is seen at its highest, between its end and its revision.
    let lab = Lab::new(WorldConfig {
        history: 0,
        births_per_hour: 240,
        run_max: 10 * MINUTE,
        downward_share: 0.5,
        revision_delay: 10 * MINUTE,
        ..world()
    });
    let daemon = lab.start();
    let mut before = lab.settle(&daemon);
    for _ in 0..6 {
        lab.advance(8 * MINUTE);
        let page = lab.settle(&daemon);
        assert_none_fell(&before, &page);
        before = page;
    }
    let counted = metric("livy_vcore_seconds_total").sum_in(&before);
    let over = metric("livy_overcounted_vcore_seconds").sum_in(&before);
    // Half of the sessions that ended a while ago lost a tenth.
    assert!(over > counted * 0.01 && over < counted * 0.06, "{over} of {counted} were taken back");
}

#[test]
fn a_clean_restart_changes_nothing_and_usage_meanwhile_is_added() {
    let lab = Lab::new(world());
    let mut before = None;
    for outage in [Duration::ZERO, HOUR, 12 * HOUR] {
        let daemon = lab.start();
        if let Some(before) = &before {
            // What was shown is shown again, from the first answer on.
            assert_eq!(counters(&daemon.scrape()), counters(before));
        }
        before = Some(lab.settle(&daemon));
        let ended = daemon.end("TERM");
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        lab.advance(outage);
    }
    let daemon = lab.start();
    assert_none_fell(&before.unwrap(), &lab.settle(&daemon));
}

/// Waits until the simulator was asked for this many more pages of histories.
fn pages(lab: &Lab, more: u64) {
    let asked = || lab.simulator.stats().count(Operation::ListLivyComputeSessions);
    let goal = asked() + more;
    wait_for("pages", || if asked() >= goal { Ok(()) } else { Err(format!("{} of {goal}", asked())) });
}

#[test]
fn kill_9_in_the_middle_of_sweeps_loses_and_doubles_nothing() {
    let lab = Lab::new(WorldConfig { history: 500, ..world() });
    // 100 pages a round, 4 at a time: two seconds.
    lab.simulator.set_latency(Duration::from_millis(80));
    let settings = lab.settings();
    let mut shown = Page::default();
    for (round, after) in [1, 9, 33, 70, 150, 20, 120].into_iter().enumerate() {
        let daemon = settings.start();
        let first = daemon.scrape();
        assert_none_fell(&shown, &first);
        pages(&lab, after);
        let page = daemon.scrape();
        assert_none_fell(&first, &page);
        lab.truth().assert_not_exceeded(&page);
        shown = page;
        daemon.kill();
        if round >= 2 {
            lab.advance(20 * MINUTE);
        }
    }
    lab.simulator.set_latency(Duration::ZERO);
    let daemon = settings.start();
    assert_none_fell(&shown, &daemon.scrape());
    assert_none_fell(&shown, &lab.settle(&daemon));
}

#[test]
fn a_first_sweep_that_is_killed_shows_no_counter_before_it_is_complete() {
    let lab = Lab::new(WorldConfig { history: 500, workspaces: 1, gateways: 1, ..world() });
    lab.simulator.set_latency(Duration::from_millis(150));
    for _ in 0..2 {
        let daemon = lab.start();
        pages(&lab, 12);
        assert_eq!(counters(&daemon.scrape()).len(), 0, "a part of the history must not look like usage");
        daemon.kill();
    }
    lab.simulator.set_latency(Duration::ZERO);
    let daemon = lab.start();
    daemon.until("counters", |page| {
        let found = counters(page);
        // They appear at their value, all at once.
        if found.is_empty() {
            Err("none".to_owned())
        } else {
            lab.truth().equals(page).map_err(|e| panic!("{e}"))
        }
    });
    lab.settle(&daemon);
}

/// A world whose clock is ahead of the exporter's first look, so that what is born later is born after that.
fn ahead() -> WorldConfig {
    let WorldConfig { start, .. } = WorldConfig::default();
    WorldConfig { start: start + 30_000, ..world() }
}

#[test]
fn a_baseline_of_exclude_counts_from_the_first_sweep_on() {
    let lab = Lab::new(ahead());
    let settings = lab.settings().set("ledger.baseline", "exclude");
    let baseline = lab.truth();
    let since = |baseline: &Truth| lab.truth().since(baseline);
    let mut daemon: Daemon = settings.start();
    lab.settle_at(&daemon, &since(&baseline));
    assert_eq!(since(&baseline).nano_cu_hours(), 0);
    for step in [10 * MINUTE, 2 * HOUR] {
        lab.advance(step);
        lab.settle_at(&daemon, &since(&baseline));
    }
    assert!(since(&baseline).nano_cu_hours() > 0);
    // The choice holds for a gateway once it is made.
    daemon.kill();
    daemon = lab.start();
    lab.advance(HOUR);
    lab.settle_at(&daemon, &since(&baseline));
}

#[test]
fn a_baseline_that_is_killed_half_way_stays_what_it_began_as() {
    let lab = Lab::new(WorldConfig { history: 500, workspaces: 1, gateways: 1, ..ahead() });
    let baseline = lab.truth();
    lab.simulator.set_latency(Duration::from_millis(150));
    let daemon = lab.settings().set("ledger.baseline", "exclude").start();
    pages(&lab, 12);
    daemon.kill();
    lab.simulator.set_latency(Duration::ZERO);
    // What the first sweep had not come to is from before it, whatever the settings say by now.
    lab.advance(HOUR);
    let daemon = lab.start();
    // Of sessions that were active then, what they used meanwhile is counted only where the first sweep saw them.
    let page = daemon.until("counters", |page| match counters(page).len() {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    });
    let since = lab.truth().since(&baseline);
    since.assert_not_exceeded(&page);
    let created =
        |truth: &Truth| truth.series().into_iter().filter(|(s, _)| s.name.ends_with("created_total"));
    let born: f64 = created(&since).map(|(_, value)| value).sum();
    assert_eq!(metric("livy_sessions_created_total").sum_in(&page), born);
    assert!(born > 50.0);
}
