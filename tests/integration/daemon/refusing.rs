//! The service refuses: a key, a permission, a date. It is not asked again and again, an operator can tell which it is, and
//! all goes on as soon as it may.

use std::time::{Duration, Instant};

use emr_serverless_spark_exporter::sim::{Fault, Operation, Scope};
use serde_json::Value;

use crate::harness::{Daemon, HOUR, Lab, Matcher, Page, metric, wait_for, world};

/// How many probes fit into a time, where the first comes after 0.75 s at the earliest and each pause is longer than the
/// one before.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
fn probes_max(time: Duration) -> u64 {
    2 + (time.as_secs_f64() / 0.75 + 1.0).log2().ceil() as u64
}

fn failures(reason: &str) -> Matcher {
    metric("exporter_sweep_failure_info").label("reason", reason)
}

fn circuits(reason: &str) -> Matcher {
    metric("exporter_api_open_circuits").label("account", "test").label("reason", reason)
}

#[track_caller]
fn until_count(daemon: &Daemon, what: &Matcher, count: usize) -> Page {
    daemon.until(&format!("{count} of {what:?}"), |page| match what.count_in(page) {
        found if found == count => Ok(()),
        found => Err(found.to_string()),
    })
}

/// The targets of `/api/v1/status` of one kind.
fn status(daemon: &Daemon, kind: &str) -> Vec<Value> {
    let (status, body) = daemon.get("/api/v1/status");
    assert_eq!(status, 200);
    let mut json: Value = serde_json::from_str(&body).unwrap();
    let Value::Array(targets) = json["targets"].take() else { panic!("{body}") };
    targets.into_iter().filter(|target| target["target"] == kind).collect()
}

/// Lines of the log that hold all of these.
fn lines(daemon: &Daemon, words: &[&str]) -> usize {
    daemon.log().lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

#[test]
fn a_revoked_key_is_probed_and_not_hammered() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    lab.settle(&daemon);
    let targets = metric("exporter_sweep_success").count_in(&daemon.scrape());
    assert_eq!(targets, 1 + 2 + 2 + 4);

    lab.simulator.faults().always(Fault::InvalidKey, Scope::any());
    daemon.until_is(&circuits("unauthenticated"), 1.0);
    let (since, before) = (Instant::now(), lab.simulator.stats().total());
    until_count(&daemon, &failures("unauthenticated"), targets);
    daemon.sweeps("session_clusters", 30.0);
    // What was in flight when the first one was refused, and the probes.
    let (asked, most) = (lab.simulator.stats().total() - before, 3 + probes_max(since.elapsed()));
    assert!(asked <= most, "{asked} requests, of at most {most}");

    for kind in ["workspaces", "session_clusters", "livy_gateways", "livy_sessions"] {
        for target in status(&daemon, kind) {
            let failure = &target["last_failure"];
            assert_eq!(failure["reason"], "unauthenticated", "{target}");
            assert_eq!(failure["code"], "InvalidAccessKeyId.NotFound", "{target}");
            assert!(failure["request_id"].as_str().is_some_and(|id| id.len() == 36), "{target}");
            assert!(target["failing_since"].is_string(), "{target}");
        }
    }
    assert!(daemon.get("/").1.contains("; code <code>InvalidAccessKeyId.NotFound</code>; request id <code>"));

    lab.advance(HOUR);
    lab.simulator.faults().clear();
    until_count(&daemon, &failures("unauthenticated"), 0);
    let page = lab.settle(&daemon);
    assert_eq!(circuits("unauthenticated").value_in(&page), Some(0.0));
    // Told once a target, and that it is over; the last failure stays in the status.
    assert_eq!(lines(&daemon, &["WARN", "sweep failed"]), targets);
    assert_eq!(lines(&daemon, &["INFO", "sweeps end well again", "lasted_seconds=", "failures="]), targets);
    let target = &status(&daemon, "workspaces")[0];
    assert_eq!(
        (&target["failing_since"], &target["last_failure"]["reason"]),
        (&Value::Null, &"unauthenticated".into())
    );
    daemon.stop();
}

#[test]
fn what_waits_for_a_long_interval_goes_on_as_soon_as_the_key_is_good() {
    let lab = Lab::new(world());
    lab.simulator.faults().always(Fault::InvalidKey, Scope::any());
    let daemon = lab
        .settings()
        .set("collectors.workspaces.interval", "12h")
        .set("exposition.stale_after", "24h")
        .start();
    daemon.until_is(&circuits("unauthenticated"), 1.0);
    let probes = || lab.simulator.stats().count(Operation::ListWorkspaces);
    wait_for("probes", || if probes() >= 3 { Ok(()) } else { Err(probes().to_string()) });
    lab.simulator.faults().clear();
    lab.settle(&daemon);
    daemon.stop();
}

#[test]
fn a_missing_permission_stops_its_operation_and_no_other() {
    let lab = Lab::new(world());
    let operation = Operation::ListLivyComputeSessions;
    lab.simulator.faults().always(Fault::Denied("NoPermission"), Scope::of(operation));
    let daemon = lab.start();
    until_count(&daemon, &failures("denied"), 4);
    daemon.until_is(&circuits("denied"), 4.0);
    let (since, before) = (Instant::now(), lab.simulator.stats().count(operation));
    let page = daemon.sweeps("session_clusters", 20.0);
    let (asked, most) = (lab.simulator.stats().count(operation) - before, 4 * probes_max(since.elapsed()));
    assert!(asked <= most, "{asked} requests, of at most {most}");
    // The other operations go on, and nothing but this one is blamed.
    let success = metric("exporter_sweep_success");
    assert_eq!((success.count_in(&page), success.sum_in(&page)), (9, 5.0));
    let all = metric("exporter_sweep_failures_total");
    let denied = all.clone().label("reason", "denied").label("target", "livy_sessions");
    assert_eq!(all.sum_in(&page), denied.sum_in(&page));
    for target in status(&daemon, "livy_sessions") {
        assert_eq!(target["last_failure"]["code"], "NoPermission", "{target}");
    }
    assert_eq!(lines(&daemon, &["WARN", "sweep failed"]), 4);

    lab.simulator.faults().clear();
    let page = lab.settle(&daemon);
    assert_eq!(circuits("denied").value_in(&page), Some(0.0));
    daemon.stop();
}

#[test]
fn a_clock_that_is_twenty_minutes_off_is_corrected_from_the_first_request_on() {
    for seconds in [1_200_i32, -1_200] {
        let lab = Lab::new(world());
        lab.simulator.faults().always(Fault::ClockSkew(seconds.into()), Scope::any());
        let daemon = lab.settings().set("api.retries", "0").start();
        let page = lab.settle(&daemon);
        assert_eq!(metric("exporter_sweep_failures_total").sum_in(&page), 0.0);
        let offset =
            metric("exporter_clock_offset_seconds").label("account", "test").value_in(&page).unwrap();
        assert!((offset - f64::from(seconds)).abs() < 60.0, "{offset}");
        assert_eq!(lab.simulator.stats().with_status(400), 1, "only the first request was refused");
        assert_eq!(lines(&daemon, &["WARN", "requests are dated by the service's"]), 1);
        // The clock is set right.
        lab.simulator.faults().clear();
        lab.advance(HOUR);
        wait_for("the correction", || match lines(&daemon, &["INFO", "agrees with the service's again"]) {
            1 => Ok(()),
            count => Err(count.to_string()),
        });
        lab.settle(&daemon);
        daemon.stop();
    }
}

#[test]
fn a_name_without_an_address_has_a_reason_of_its_own() {
    let lab = Lab::new(world());
    let daemon = lab
        .settings()
        .set("accounts.0.endpoint", "https://emr-serverless-spark.invalid")
        .set("api.retries", "0")
        .start();
    daemon.until_is(&failures("unresolved"), 1.0);
    daemon.sweeps("workspaces", 3.0);
    assert_eq!(lines(&daemon, &["WARN", "sweep failed", "no address for emr-serverless-spark.invalid"]), 1);
    assert!(lines(&daemon, &["DEBUG", "sweep failed again"]) >= 2);
    daemon.stop();
}
