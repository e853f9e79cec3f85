//! What goes wrong stays where it is, has a name, and leaves the counters right.

use std::time::{Duration, Instant};

use emr_serverless_spark_exporter::sim::{Fault, HistoryOrder, Operation, Scope, ThrottleForm, WorldConfig};

use crate::harness::{Daemon, HOUR, Lab, MINUTE, Matcher, Page, counters, metric, world};

/// The reason why a target fails.
fn failing(kind: &str, label: &str, id: &str, reason: &str) -> Matcher {
    metric("exporter_sweep_failure_info").label("target", kind).label(label, id).label("reason", reason)
}

/// Asserts that this many targets fail, and that no other does.
#[track_caller]
fn assert_failing(page: &Page, count: usize) {
    let success = metric("exporter_sweep_success");
    let values = success.values_in(page);
    assert_eq!(values.iter().filter(|value| **value == 0.0).count(), count, "{values:?}");
    assert_eq!(metric("exporter_sweep_failure_info").count_in(page), count);
}

/// Waits until the target of this failure is well again.
fn until_well(daemon: &Daemon, failure: &Matcher) {
    daemon.until("the end of the failure", |page| match failure.count_in(page) {
        0 => Ok(()),
        _ => Err("it fails".to_owned()),
    });
}

#[test]
fn a_target_that_is_denied_fails_alone_and_recovers() {
    let lab = Lab::new(world());
    let workspaces = lab.world().workspace_ids();
    let gateway = &lab.world().gateways(&workspaces[1])[0].id;
    let daemon = lab.start();
    lab.settle(&daemon);

    let denied = Fault::Denied("Forbidden.RAM");
    let faults = lab.simulator.faults();
    faults.always(denied.clone(), Scope::of(Operation::ListLivyCompute).workspace(&workspaces[0]));
    faults.always(denied, Scope::of(Operation::ListLivyComputeSessions).resource(gateway));
    let of_workspace = failing("livy_gateways", "workspace_id", &workspaces[0], "denied");
    let of_gateway = failing("livy_sessions", "livy_compute_id", gateway, "denied");
    daemon.until_is(&of_workspace, 1.0);
    let before = daemon.until_is(&of_gateway, 1.0);
    assert_failing(&before, 2);

    // The others go on: their counters come to the truth, the failing gateway's stay where they were.
    lab.advance(HOUR);
    let expected = lab.truth().series();
    let page = daemon.until("the truth of the others", |page| {
        lab.truth().assert_not_exceeded(page);
        let now = counters(page);
        let differ = |(series, value): &(&_, &f64)| now.get(*series) != Some(*value);
        let late = expected.iter().filter(differ).filter(|(s, _)| s.labels["livy_compute_id"] != *gateway);
        match late.count() {
            0 => Ok(()),
            count => Err(format!("{count} counters are not there yet")),
        }
    });
    assert_failing(&page, 2);
    for (series, value) in counters(&before).iter().filter(|(s, _)| s.labels["livy_compute_id"] == *gateway) {
        assert_eq!(counters(&page).get(series), Some(value), "{series}");
    }
    let failures = metric("exporter_sweep_failures_total").label("reason", "denied");
    assert!(failures.clone().label("target", "livy_sessions").value_in(&page) > Some(0.0));
    assert_eq!(failures.sum_in(&page), metric("exporter_sweep_failures_total").sum_in(&page));

    faults.clear();
    until_well(&daemon, &of_workspace);
    assert_failing(&lab.settle(&daemon), 0);
    let log = daemon.log();
    assert!(log.contains("WARN") && log.contains("sweep failed") && log.contains("end well again"), "{log}");
}

#[test]
fn a_target_that_hangs_is_cut_by_its_deadline() {
    let lab = Lab::new(world());
    let workspace = &lab.world().workspace_ids()[0];
    let gateway = &lab.world().gateways(workspace)[0].id;
    let scope = Scope::of(Operation::ListLivyComputeSessions).resource(gateway);
    lab.simulator.faults().always(Fault::Hang, scope.clone());
    let started = Instant::now();
    let daemon = lab.settings().set("collectors.livy_sessions.deadline", "2s").start();
    let failure = failing("livy_sessions", "livy_compute_id", gateway, "overrun");
    let page = daemon.until_is(&failure, 1.0);
    assert!(started.elapsed() < Duration::from_secs(20), "the request alone may take 10 s and 2 retries");
    assert_failing(&page, 1);
    assert_eq!(metric("livy_cu_seconds_total").label("livy_compute_id", gateway).count_in(&page), 0);
    lab.simulator.faults().clear();
    lab.settle(&daemon);

    // Shorter than the deadline: the request's own timeout.
    assert_eq!(daemon.end("TERM").code, Some(0));
    lab.simulator.faults().always(Fault::Hang, scope);
    let daemon = lab.settings().set("api.timeout", "300ms").set("api.connect_timeout", "300ms").start();
    daemon.until_is(&failing("livy_sessions", "livy_compute_id", gateway, "timeout"), 1.0);
    lab.simulator.faults().clear();
    lab.settle(&daemon);
}

/// Faults of the transport, with the outcome that the requests' metric gives them.
fn transport_faults() -> [(Fault, &'static str); 8] {
    let soon = Duration::from_millis(30);
    [
        (Fault::Reset, "unreachable"),
        (Fault::Cut, "malformed"),
        (Fault::Html(502), "server_error"),
        (Fault::Html(200), "malformed"),
        (Fault::BadJson, "malformed"),
        (Fault::ServerError(503), "server_error"),
        (Fault::Throttle(ThrottleForm::too_many_requests(soon)), "throttled"),
        (Fault::Throttle(ThrottleForm::bad_request()), "throttled"),
    ]
}

fn survives_faults_in_the_middle_of_a_sweep(retries: &str) {
    let lab = Lab::new(world());
    let daemon = lab.settings().set("api.retries", retries).start();
    lab.settle(&daemon);
    let requests = metric("exporter_api_requests_total").label("action", "ListLivyComputeSessions");
    for (fault, outcome) in transport_faults() {
        let with_outcome = requests.clone().label("outcome", outcome);
        let before = with_outcome.sum_in(&daemon.scrape());
        lab.advance(20 * MINUTE);
        // In passing: the next pages of whatever sweeps are under way.
        lab.simulator.faults().next(7, fault.clone(), Scope::of(Operation::ListLivyComputeSessions));
        // The first one to fail ends its sweep, and with it the requests beside it: not each one is told.
        daemon.until(&format!("{fault:?} told as {outcome}"), |page| {
            lab.truth().assert_not_exceeded(page);
            let (told, armed) = (with_outcome.sum_in(page) - before, lab.simulator.faults().armed());
            if told > 0.0 && armed == 0 { Ok(()) } else { Err(format!("{told} told, {armed} armed")) }
        });
        lab.settle(&daemon);
    }
}

#[test]
fn faults_that_end_a_sweep_leave_the_counters_right() {
    survives_faults_in_the_middle_of_a_sweep("0");
}

#[test]
fn faults_that_a_retry_overcomes_leave_the_counters_right() {
    survives_faults_in_the_middle_of_a_sweep("3");
}

#[test]
fn a_history_that_shifts_is_read_again_until_it_holds() {
    // In no order, so that every poll is a sweep of the whole.
    let lab = Lab::new(WorldConfig { order: HistoryOrder::Shuffled, ..world() });
    let daemon = lab.start();
    lab.settle(&daemon);
    let restarts = metric("exporter_sweep_restarts_total").label("target", "livy_sessions");
    for rows in [1, 3, -1, -4] {
        lab.advance(20 * MINUTE);
        let before = restarts.sum_in(&daemon.scrape());
        lab.simulator.faults().next(2, Fault::PageShift(rows), Scope::of(Operation::ListLivyComputeSessions));
        lab.settle(&daemon);
        assert!(restarts.sum_in(&daemon.scrape()) > before, "a shift by {rows} went unnoticed");
    }
    // One that never holds still is given up, by name; what its pages show is counted all the same.
    let gateway = &lab.world().gateways(&lab.world().workspace_ids()[0])[0].id;
    let scope = Scope::of(Operation::ListLivyComputeSessions).resource(gateway);
    lab.simulator.faults().always(Fault::PageShift(1), scope);
    let failure = failing("livy_sessions", "livy_compute_id", gateway, "inconsistent");
    assert_failing(&daemon.until_is(&failure, 1.0), 1);
    lab.advance(HOUR);
    daemon.sweeps("livy_sessions", 12.0);
    lab.truth().assert_not_exceeded(&daemon.scrape());
    lab.simulator.faults().clear();
    lab.settle(&daemon);
}

#[test]
fn a_wrong_total_has_a_name_and_never_shows_a_part_of_a_history() {
    let lab = Lab::new(world());
    let workspaces = lab.world().workspace_ids();
    let gateway = &lab.world().gateways(&workspaces[0])[1].id;
    let sessions = Scope::of(Operation::ListLivyComputeSessions).resource(gateway);
    for delta in [5, -5] {
        lab.simulator.faults().always(Fault::WrongTotal(delta), sessions.clone());
        let daemon = lab.start();
        let failure = failing("livy_sessions", "livy_compute_id", gateway, "inconsistent");
        let page = daemon.until_is(&failure, 1.0);
        assert_failing(&page, 1);
        let shown = metric("livy_cu_seconds_total").label("livy_compute_id", gateway).count_in(&page);
        assert_eq!(shown > 0, delta < 0, "only after a complete sweep, which the second round has behind it");
        assert_eq!(metric("livy_sessions").label("livy_compute_id", gateway).count_in(&page), 0);
        // Failing targets are no reason not to be ready.
        crate::harness::wait_for("readiness", || match daemon.get("/-/ready").0 {
            200 => Ok(()),
            status => Err(status.to_string()),
        });
        lab.simulator.faults().clear();
        lab.settle(&daemon);
        assert_eq!(daemon.end("TERM").code, Some(0));
        lab.advance(HOUR);
    }
}

#[test]
fn lists_that_contradict_themselves_keep_what_was_known() {
    let lab = Lab::new(world());
    let workspace = &lab.world().workspace_ids()[0];
    // One workspace a page.
    let daemon = lab.settings().set("collectors.workspaces.page_size", "1").start();
    let info = metric("session_cluster_info");
    let before = lab.settle(&daemon);
    daemon.until_is(&metric("exporter_sweep_success").label("target", "workspaces"), 1.0);
    let clusters = daemon.until("session clusters", |page| match info.count_in(page) {
        12 => Ok(()),
        count => Err(count.to_string()),
    });
    for fault in [Fault::RepeatedToken, Fault::EmptyPageWithToken, Fault::WrongTotal(1)] {
        let scope = Scope::of(Operation::ListSessionClusters).workspace(workspace);
        lab.simulator.faults().always(fault.clone(), scope);
        lab.simulator.faults().always(fault, Scope::of(Operation::ListWorkspaces));
        let of_clusters = failing("session_clusters", "workspace_id", workspace, "inconsistent");
        daemon.until_is(&of_clusters, 1.0);
        let of_workspaces = failing("workspaces", "account", "test", "inconsistent");
        let page = daemon.until_is(&of_workspaces, 1.0);
        assert_failing(&page, 2);
        assert_eq!(info.count_in(&page), info.count_in(&clusters), "no cluster is lost to a bad list");
        assert_eq!(metric("workspace_info").count_in(&page), 2);
        assert_eq!(counters(&page), counters(&before));
        lab.simulator.faults().clear();
        until_well(&daemon, &of_clusters);
        until_well(&daemon, &of_workspaces);
    }
    assert_failing(&lab.settle(&daemon), 0);
}

#[test]
fn a_row_that_cannot_be_read_takes_nothing_from_the_page() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    let names = [("workspace_info", 2), ("livy_gateway_info", 4), ("session_cluster_info", 12)];
    let all = |page: &Page| -> Result<(), String> {
        let counts = names.map(|(name, _)| (name, metric(name).count_in(page)));
        if counts == names { lab.truth().equals(page) } else { Err(format!("{counts:?}")) }
    };
    daemon.until("everything", all);
    for fault in [Fault::MalformedRow, Fault::MistypedRow] {
        for operation in
            [Operation::ListWorkspaces, Operation::ListLivyCompute, Operation::ListSessionClusters]
        {
            lab.simulator.faults().always(fault.clone(), Scope::of(operation));
        }
        let unread = metric("exporter_malformed_fields_total");
        let before = unread.sum_in(&daemon.scrape());
        // Several sweeps of each target, and every page in between.
        daemon.until("odd rows", |page| {
            all(page).unwrap();
            match unread.sum_in(page) - before {
                30.0.. => Ok(()),
                count => Err(count.to_string()),
            }
        });
        lab.simulator.faults().clear();
    }
    assert_failing(&lab.settle(&daemon), 0);
    assert!(!daemon.log().contains("gone: no longer polled"));
}

#[test]
fn odd_rows_and_fields_are_counted_and_cost_nothing_else() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    lab.settle(&daemon);
    let malformed = |page: &Page| metric("exporter_malformed_fields_total").sum_in(page);
    for fault in [Fault::MalformedRow, Fault::MistypedRow, Fault::UnknownState] {
        let before = malformed(&daemon.scrape());
        lab.advance(10 * MINUTE);
        lab.simulator.faults().always(fault.clone(), Scope::any());
        daemon.sweeps("workspaces", 3.0);
        daemon.sweeps("livy_sessions", 9.0);
        lab.truth().assert_not_exceeded(&daemon.scrape());
        lab.simulator.faults().clear();
        assert!(malformed(&lab.settle(&daemon)) > before, "{fault:?}");
    }
    // What is missing says nothing: not that a figure is zero, nor that a session is in another queue.
    lab.simulator.faults().always(Fault::Nulls, Scope::any());
    lab.settle(&daemon);
    lab.simulator.faults().clear();
    // Known forms of the same thing are not odd at all.
    let before = malformed(&daemon.scrape());
    for fault in [Fault::NumbersAsStrings, Fault::DatesAsText] {
        lab.advance(10 * MINUTE);
        lab.simulator.faults().always(fault, Scope::any());
        lab.settle(&daemon);
        lab.simulator.faults().clear();
    }
    assert_eq!(malformed(&daemon.scrape()), before);
}
