//! Settings that are read again while the exporter runs: what changes, what stays, and what is refused.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::Duration;

use emr_serverless_spark_exporter::sim::{
    AccessKey, Fault, Operation, Options, Scope, ThrottleForm, WorldConfig,
};

use crate::harness::{
    Authority, Daemon, HOUR, Lab, MINUTE, Page, Settings, counters, free_port, metric, wait_for, world,
};

const SUCCESSFUL: &str = "exporter_config_last_reload_successful";
const LOADED: &str = "exporter_config_last_reload_success_timestamp_seconds";
const AWAITING: &str = "exporter_config_keys_awaiting_restart";

/// Settings that may be read again on request.
fn settings(lab: &Lab) -> Settings {
    lab.settings().set("web.enable_lifecycle", "true")
}

/// Settings under which nothing is polled a second time within a test, unless they change.
fn patient(lab: &Lab) -> Settings {
    let settings = settings(lab);
    let text = std::fs::read_to_string(&settings.file).unwrap();
    std::fs::write(
        &settings.file,
        text.replace("interval: 1s", "interval: 1h").replace("stale_after: 1m", "stale_after: 1day"),
    )
    .unwrap();
    settings
}

/// Replaces a text of the file, which must be there.
#[track_caller]
fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from:?} is not in {text}");
    std::fs::write(file, text.replace(from, to)).unwrap();
}

/// Has good settings read again.
#[track_caller]
fn reload(daemon: &Daemon) -> String {
    let (status, answer) = daemon.request("POST", "/-/reload");
    assert_eq!(status, 200, "{answer}");
    answer
}

/// Has bad settings read again.
#[track_caller]
fn refused(daemon: &Daemon) -> String {
    let (status, answer) = daemon.request("POST", "/-/reload");
    assert_eq!(status, 400, "{answer}");
    answer
}

fn config_status(daemon: &Daemon) -> serde_json::Value {
    let json: serde_json::Value = serde_json::from_str(&daemon.get("/api/v1/status").1).unwrap();
    json["config"].clone()
}

/// Sweeps of whole histories so far.
fn full_sweeps(page: &Page) -> f64 {
    metric("exporter_full_sweeps_total").sum_in(page)
}

/// Sweeps of a kind of target so far.
fn sweeps(page: &Page, kind: &str) -> f64 {
    metric("exporter_sweep_duration_seconds_count").label("target", kind).sum_in(page)
}

#[track_caller]
fn gone(daemon: &Daemon, what: &str, label: (&str, &str)) {
    let matcher = metric(what).label(label.0, label.1);
    daemon.until(&format!("the end of {what}"), |page| match matcher.count_in(page) {
        0 => Ok(()),
        count => Err(count.to_string()),
    });
}

#[test]
fn settings_are_read_again_on_request_and_on_sighup() {
    let lab = Lab::new(world());
    let settings = settings(&lab);
    let daemon = settings.start();
    let page = lab.settle(&daemon);
    let start = metric(LOADED).value_in(&page).unwrap();
    metric(SUCCESSFUL).assert_in(&page, 1.0);
    metric(AWAITING).assert_in(&page, 0.0);

    assert_eq!(daemon.request("GET", "/-/reload").0, 405);
    assert_eq!(daemon.request("DELETE", "/-/reload").0, 405);
    assert_eq!(metric(LOADED).value_in(&daemon.scrape()), Some(start), "nothing was read");
    assert_eq!(reload(&daemon), "the settings are in force\n");
    assert_eq!(daemon.request("PUT", "/-/reload").0, 200);
    let later = metric(LOADED).value_in(&daemon.scrape()).unwrap();
    assert!(later > start);

    daemon.signal("HUP");
    daemon.until("the signal", |page| match metric(LOADED).value_in(page) {
        Some(at) if at > later => Ok(()),
        at => Err(format!("{at:?}")),
    });
    lab.advance(HOUR);
    lab.settle(&daemon);
    let log = daemon.log();
    for asked_by in ["asked_by=\"a request\"", "asked_by=\"SIGHUP\""] {
        assert!(log.contains(asked_by), "{log}");
    }
    daemon.stop();
}

#[test]
fn without_the_lifecycle_setting_a_request_is_refused_and_a_signal_is_not() {
    let lab = Lab::new(world());
    let settings = lab.settings();
    let daemon = settings.start();
    let start = metric(LOADED).value_in(&daemon.scrape());
    let (status, answer) = daemon.request("POST", "/-/reload");
    assert_eq!((status, answer.starts_with("Lifecycle API is not enabled.")), (403, true), "{answer}");
    assert_eq!(daemon.request("GET", "/-/reload").0, 405);
    assert_eq!(metric(LOADED).value_in(&daemon.scrape()), start);
    // Nor can a reload switch it on for those who ask by it.
    edit(&settings.file, "web: {", "web: {enable_lifecycle: true, ");
    daemon.signal("HUP");
    daemon.until_is(&metric(AWAITING), 1.0);
    assert_eq!(daemon.request("POST", "/-/reload").0, 403);
}

#[test]
fn settings_that_are_refused_change_nothing_and_all_that_is_wrong_is_told() {
    let lab = Lab::new(world());
    let settings = settings(&lab);
    let daemon = settings.start();
    lab.settle(&daemon);
    let start = metric(LOADED).value_in(&daemon.scrape());
    let good = std::fs::read_to_string(&settings.file).unwrap();

    edit(&settings.file, "retries: 2", "retries: many");
    edit(&settings.file, "log: {level: debug}", "log: {levle: debug}");
    edit(&settings.file, "name: test", "name: other");
    let answer = refused(&daemon);
    for words in [
        "those before them stay in force",
        "2 configuration errors",
        "api.retries",
        "did you mean log.level?",
    ] {
        assert!(answer.contains(words), "{words}: {answer}");
    }
    // What only shows when it is used is refused as well, and the rest of that file is not in force either.
    let authority = lab.directory.path().join("ca.pem");
    std::fs::write(&authority, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
    std::fs::write(&settings.file, &good).unwrap();
    edit(&settings.file, "name: test", "name: other");
    edit(&settings.file, "retries: 2", &format!("retries: 2, ca_file: {}", authority.display()));
    let answer = refused(&daemon);
    assert!(answer.contains("is not a PEM file of certificates"), "{answer}");

    let page = daemon.scrape();
    metric(SUCCESSFUL).assert_in(&page, 0.0);
    assert_eq!(metric(LOADED).value_in(&page), start);
    let status = config_status(&daemon);
    assert!(status["refused"].as_str().unwrap().contains("is not a PEM file"), "{status}");
    assert!(daemon.get("/").1.contains("They were changed and refused; those before them stay in force"));
    assert!(daemon.log().contains("the settings were refused"));
    lab.advance(HOUR);
    let page = lab.settle(&daemon);
    assert_eq!(metric("exporter_sweep_success").label("account", "other").count_in(&page), 0);

    // By a signal, too; and gone with the next good file.
    std::fs::remove_file(&settings.file).unwrap();
    daemon.signal("HUP");
    wait_for("the missing file", || match config_status(&daemon)["refused"].as_str() {
        Some(refused) if refused.contains("there is no such file") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    std::fs::write(&settings.file, &good).unwrap();
    reload(&daemon);
    metric(SUCCESSFUL).assert_in(&daemon.scrape(), 1.0);
    assert!(config_status(&daemon)["refused"].is_null());
    lab.settle(&daemon);
}

#[test]
fn what_takes_a_restart_is_told_and_keeps_its_value() {
    let lab = Lab::new(world());
    let settings = settings(&lab);
    let daemon = settings.start();
    lab.settle(&daemon);
    let good = std::fs::read_to_string(&settings.file).unwrap();
    edit(&settings.file, "127.0.0.1:0", &format!("127.0.0.1:{}", free_port()));
    edit(&settings.file, "ledger: {path: ", "ledger: {baseline: exclude, path: /nowhere");
    edit(&settings.file, "web: {", "web: {telemetry_path: /other, max_connections: 1, ");
    edit(&settings.file, "level: debug", "level: info");
    let keys =
        ["ledger.path", "ledger.baseline", "web.listen_address", "web.telemetry_path", "web.max_connections"];
    let answer = reload(&daemon);
    assert!(answer.contains(&format!("after a restart only: {}\n", keys.join(", "))), "{answer}");
    metric(AWAITING).assert_in(&daemon.scrape(), 5.0);
    assert_eq!(config_status(&daemon)["awaiting_restart"], serde_json::json!(keys));
    assert!(daemon.get("/").1.contains("in force after a restart only: ledger.path, "));
    assert!(daemon.log().contains("take effect after a restart only"));
    lab.advance(HOUR);
    lab.settle(&daemon);

    std::fs::write(&settings.file, good).unwrap();
    assert_eq!(reload(&daemon), "the settings are in force\n");
    metric(AWAITING).assert_in(&daemon.scrape(), 0.0);
    daemon.stop();
}

#[test]
fn workspaces_come_and_go_with_the_settings_and_the_others_are_left_alone() {
    let lab = Lab::new(world());
    let settings = settings(&lab);
    edit(
        &settings.file,
        "workspaces: {interval: 1s, page_size: 2}",
        "workspaces: {interval: 1h, page_size: 2}",
    );
    edit(&settings.file, "stale_after: 1m", "stale_after: 1day");
    let daemon = settings.start();
    let before = lab.settle(&daemon);
    let workspaces = lab.world().workspace_ids();
    let (stays, goes) = (workspaces[0].as_str(), workspaces[1].as_str());
    let lists = || lab.simulator.stats().count(Operation::ListWorkspaces);
    let asked = lists();

    let everything = std::fs::read_to_string(&settings.file).unwrap();
    edit(&settings.file, "    endpoint:", &format!("    workspaces: {{exclude: [{goes}]}}\n    endpoint:"));
    reload(&daemon);
    for name in [
        "workspace_info",
        "exporter_sweep_success",
        "livy_cu_seconds_total",
        "session_cluster_info",
        "livy_sessions",
    ] {
        gone(&daemon, name, ("workspace_id", goes));
    }
    let page = daemon.sweeps("livy_sessions", 6.0);
    assert!(metric("livy_cu_seconds_total").label("workspace_id", stays).count_in(&page) > 0);
    metric("workspace_info").assert_in(&page, 1.0);
    assert_eq!(full_sweeps(&page), full_sweeps(&before), "what is known of those that stay is kept");
    lab.advance(HOUR);
    let before = daemon.sweeps("livy_sessions", 6.0);

    // It is back without being asked for, with what it used meanwhile.
    std::fs::write(&settings.file, everything).unwrap();
    reload(&daemon);
    let page = lab.settle(&daemon);
    assert_eq!((full_sweeps(&page), lists()), (full_sweeps(&before), asked));
    metric("workspace_info").label("workspace_id", goes).assert_in(&page, 1.0);

    // By name alone, and by a list again.
    edit(
        &settings.file,
        "    endpoint:",
        &format!("    workspaces: {{discover: false, ids: [{goes}]}}\n    endpoint:"),
    );
    reload(&daemon);
    gone(&daemon, "livy_cu_seconds_total", ("workspace_id", stays));
    assert_eq!(lists(), asked);
    edit(&settings.file, &format!("    workspaces: {{discover: false, ids: [{goes}]}}\n"), "");
    reload(&daemon);
    lab.advance(HOUR);
    lab.settle(&daemon);
    assert!(lists() > asked);
}

#[test]
fn an_interval_that_is_made_shorter_holds_at_once_and_nothing_else_is_swept() {
    let lab = Lab::new(world());
    let settings = patient(&lab);
    let daemon = settings.start();
    daemon.until("the truth", |page| lab.truth().equals(page));
    let before = daemon.until("every target", |page| match sweeps(page, "session_clusters") {
        2.0 => Ok(()),
        count => Err(count.to_string()),
    });
    lab.advance(HOUR);
    // The same once more: nothing is due.
    reload(&daemon);
    edit(&settings.file, "livy_sessions: {interval: 1h", "livy_sessions: {interval: 1s");
    reload(&daemon);
    lab.settle(&daemon);
    let page = daemon.sweeps("livy_sessions", 8.0);
    for kind in ["workspaces", "session_clusters", "livy_gateways"] {
        assert_eq!(sweeps(&page, kind), sweeps(&before, kind), "{kind}");
    }
    assert_eq!(full_sweeps(&page), full_sweeps(&before));
    // And back: an interval that is made longer holds from the latest sweep on.
    edit(&settings.file, "livy_sessions: {interval: 1s", "livy_sessions: {interval: 1h");
    reload(&daemon);
    let quiet = wait_for("quiet", || {
        let first = sweeps(&daemon.scrape(), "livy_sessions");
        thread::sleep(Duration::from_secs(2));
        let second = sweeps(&daemon.scrape(), "livy_sessions");
        if first == second { Ok(second) } else { Err(format!("{first} {second}")) }
    });
    assert!(quiet >= sweeps(&page, "livy_sessions"));
}

#[test]
fn other_pages_and_a_longer_settling_need_no_sweep_of_the_whole() {
    let lab = Lab::new(world());
    let settings = settings(&lab);
    let daemon = settings.start();
    let before = lab.settle(&daemon);
    edit(&settings.file, "page_size: 20}", "page_size: 7, settle: 5days, series_limit: 3}");
    reload(&daemon);
    // While nothing is born: a history that moves under a poll may have to be swept whole, reload or not.
    let page = daemon.sweeps("livy_sessions", 8.0);
    assert_eq!(full_sweeps(&page), full_sweeps(&before), "{}", daemon.log());
    for _ in 0..3 {
        lab.advance(HOUR);
        lab.settle(&daemon);
    }
    let page = daemon.sweeps("livy_sessions", 8.0);
    for workspace in lab.world().workspace_ids() {
        for gateway in lab.world().gateways(&workspace) {
            let active = metric("livy_session_info").label("livy_compute_id", &gateway.id).count_in(&page);
            assert!(active <= 3, "{active}");
        }
    }
}

#[test]
fn collectors_are_switched_off_and_on() {
    let lab = Lab::new(world());
    let settings = settings(&lab);
    let daemon = settings.start();
    lab.settle(&daemon);
    daemon.until("clusters", |page| match metric("session_cluster_info").count_in(page) {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    });
    edit(&settings.file, "session_clusters: {", "session_clusters: {enabled: false, ");
    edit(&settings.file, "livy_sessions: {", "livy_sessions: {enabled: false, ");
    reload(&daemon);
    for target in ["session_clusters", "livy_sessions"] {
        gone(&daemon, "exporter_sweep_success", ("target", target));
    }
    let page = daemon.scrape();
    for name in ["session_cluster_info", "livy_sessions", "livy_session_info"] {
        assert_eq!(metric(name).count_in(&page), 0, "{name}");
    }
    lab.truth().equals(&page).unwrap();
    lab.advance(HOUR);
    edit(&settings.file, "enabled: false, ", "");
    reload(&daemon);
    let page = lab.settle(&daemon);
    assert!(metric("livy_sessions").count_in(&page) > 0);
    daemon.until("clusters", |page| match metric("session_cluster_info").count_in(page) {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    });
}

#[test]
fn accounts_and_what_is_told_of_them_come_and_go() {
    let (lab, other) = (Lab::new(world()), Lab::new(WorldConfig { seed: 9, ..world() }));
    let key = &AccessKey::defaults()[0];
    let first = lab.account("test", key, &lab.simulator.url());
    let second = AccessKey::new("another-access-key-id", "another-access-key-secret");
    other.simulator.keys().put(second.clone());
    let second = other.account("other", &second, &other.simulator.url());
    // The second one is there at the start, goes, comes and goes.
    let settings = lab.settings_for(&[first, second.clone()]).set("web.enable_lifecycle", "true");
    let both = std::fs::read_to_string(&settings.file).unwrap();
    let daemon = settings.start();
    wait_for("readiness", || match daemon.get("/-/ready") {
        (200, _) => Ok(()),
        (_, why) => Err(why),
    });
    for _ in 0..2 {
        std::fs::write(&settings.file, &both).unwrap();
        reload(&daemon);
        let allowed = metric("exporter_api_allowed_requests_per_second").label("account", "other");
        daemon.until_is(&allowed, 1000.0);
        other.advance(HOUR);
        daemon.until("the counters of both", |page| {
            let shown = counters(page);
            let is_there = |lab: &Lab| {
                lab.truth().series().iter().all(|(series, value)| shown.get(series) == Some(value))
            };
            if is_there(&lab) && is_there(&other) { Ok(()) } else { Err(format!("{} counters", shown.len())) }
        });
        assert_eq!(daemon.get("/-/ready").0, 200, "readiness stays");
        edit(&settings.file, &second, "");
        reload(&daemon);
        for name in [
            "exporter_sweep_success",
            "exporter_api_allowed_requests_per_second",
            "exporter_api_open_circuits",
            "exporter_clock_offset_seconds",
            "workspace_info",
        ] {
            gone(&daemon, name, ("account", "other"));
        }
        daemon.until("the counters of one", |page| lab.truth().equals(page));
    }
    let page = lab.settle(&daemon);
    let gateways =
        |lab: &Lab| lab.truth().queues().map(|(id, _)| id[1].clone()).collect::<BTreeSet<_>>().len();
    let once = (2 * gateways(&lab) + 2 * gateways(&other)) as f64;
    assert!(full_sweeps(&page) <= once, "no history was swept whole again: {}", daemon.log());
}

#[test]
fn an_account_by_another_name_takes_its_workspaces_over() {
    let lab = Lab::new(world());
    let settings = patient(&lab);
    let daemon = settings.start();
    daemon.until("the truth", |page| lab.truth().equals(page));
    edit(&settings.file, "name: test", "name: renamed");
    reload(&daemon);
    gone(&daemon, "exporter_sweep_success", ("account", "test"));
    daemon.until("the truth", |page| {
        let failures = metric("exporter_sweep_failure_info").count_in(page);
        if failures == 0 { lab.truth().equals(page) } else { panic!("nobody else has them") }
    });
}

#[test]
fn the_status_tells_of_no_keys_that_were_of_other_settings() {
    let lab = Lab::new(world());
    let settings = settings(&lab);
    let daemon = settings.start();
    lab.settle(&daemon);
    let held = || {
        let json: serde_json::Value = serde_json::from_str(&daemon.get("/api/v1/status").1).unwrap();
        json["credentials"][0]["held"].as_bool().unwrap()
    };
    assert!(held());
    let text = std::fs::read_to_string(&settings.file).unwrap();
    let line = text.lines().find(|line| line.starts_with("    credentials: ")).unwrap();
    // Nobody listens there.
    edit(&settings.file, line, "    credentials: {type: credentials_uri, uri: 'http://127.0.0.1:1/keys'}");
    reload(&daemon);
    assert!(!held());
    daemon.until("failures", |page| {
        let failing = metric("exporter_sweep_failure_info").count_in(page);
        if failing > 0 { Ok(()) } else { Err("none".to_owned()) }
    });
    assert!(!held());
}

#[test]
fn keys_that_were_revoked_are_replaced_and_all_goes_on_at_once() {
    let lab = Lab::new(world());
    let settings = patient(&lab);
    edit(&settings.file, "livy_sessions: {interval: 1h", "livy_sessions: {interval: 1s");
    let daemon = settings.start();
    daemon.until("the truth", |page| lab.truth().equals(page));
    lab.simulator.keys().put(AccessKey::new("second-access-key-id", "second-access-key-secret"));
    lab.simulator.keys().revoke(&AccessKey::defaults()[0].id);
    lab.advance(HOUR);
    let open = metric("exporter_api_open_circuits").label("reason", "unauthenticated");
    daemon.until_is(&open, 1.0);
    // Probes are far apart by now.
    thread::sleep(Duration::from_secs(5));
    let before = daemon.scrape();
    edit(&settings.file, &AccessKey::defaults()[0].id, "second-access-key-id");
    edit(&settings.file, &AccessKey::defaults()[0].secret, "second-access-key-secret");
    reload(&daemon);
    daemon.until_is(&open, 0.0);
    let page = daemon.until("the truth", |page| lab.truth().equals(page));
    let failing = metric("exporter_sweep_failure_info");
    daemon.until("the end of all failures", |page| match failing.count_in(page) {
        0 => Ok(()),
        count => Err(count.to_string()),
    });
    // With other keys there may be other things to see: the lists are read again, whatever their interval.
    daemon.until("lists", |page| {
        let (now, then) = (sweeps(page, "workspaces"), sweeps(&before, "workspaces"));
        if now > then { Ok(()) } else { Err(now.to_string()) }
    });
    assert_eq!(full_sweeps(&page), full_sweeps(&before), "{}", daemon.log());
    assert!(!daemon.log().contains("second-access-key"));
}

#[test]
fn limits_change_in_place_and_connections_are_kept() {
    let lab = Lab::new(world());
    let settings = settings(&lab);
    let daemon = settings.start();
    lab.settle(&daemon);
    let allowed = metric("exporter_api_allowed_requests_per_second");
    let connections = lab.simulator.stats().connections;
    edit(
        &settings.file,
        "requests_per_second: 1000, retries: 2",
        "requests_per_second: 40, retries: 1, timeout: 20s, max_in_flight: 2",
    );
    reload(&daemon);
    daemon.until_is(&allowed, 40.0);
    lab.advance(HOUR);
    lab.settle(&daemon);
    edit(
        &settings.file,
        "    endpoint:",
        "    api: {requests_per_second: 70, max_in_flight: 3}\n    endpoint:",
    );
    reload(&daemon);
    daemon.until_is(&allowed, 70.0);
    lab.settle(&daemon);
    assert_eq!(lab.simulator.stats().connections, connections, "no connection was let go");

    // A rate that the service has lowered is not forgotten.
    let throttled = Scope::of(Operation::ListLivyComputeSessions);
    lab.simulator.faults().always(Fault::Throttle(ThrottleForm::bad_request()), throttled);
    let lowered = |page: &Page| allowed.value_in(page).unwrap();
    daemon.until(
        "a lower rate",
        |page| if lowered(page) <= 1.0 { Ok(()) } else { Err(lowered(page).to_string()) },
    );
    edit(&settings.file, "requests_per_second: 70", "requests_per_second: 500");
    reload(&daemon);
    assert!(lowered(&daemon.scrape()) < 70.0);
}

#[test]
fn the_authorities_are_read_again_though_their_file_is_named_as_before() {
    let (house, other) = (Authority::new("house"), Authority::new("other"));
    let tls = house.issue(&["127.0.0.1"]);
    let lab = Lab::with_options(world(), Options { tls: Some(tls), ..Options::default() });
    let file = other.write_to(lab.directory.path());
    let settings = patient(&lab).set("api.ca_file", file.to_str().unwrap()).set("api.retries", "0");
    let daemon = settings.start();
    let failing = metric("exporter_sweep_failure_info").label("reason", "tls");
    daemon.until_is(&failing, 1.0);
    house.write_to(lab.directory.path());
    reload(&daemon);
    daemon.until("the truth", |page| lab.truth().equals(page));
    assert_eq!(failing.count_in(&daemon.scrape()), 0);
}

#[test]
fn level_and_format_of_the_log_change() {
    let lab = Lab::new(world());
    let settings = settings(&lab);
    let daemon = settings.start();
    lab.settle(&daemon);
    edit(&settings.file, "log: {level: debug}", "log: {level: info, format: json}");
    reload(&daemon);
    let lines = |daemon: &Daemon| daemon.log().lines().filter(|line| line.contains("sweep complete")).count();
    daemon.sweeps("livy_sessions", 1.0);
    let before = lines(&daemon);
    assert!(before > 0);
    daemon.sweeps("livy_sessions", 8.0);
    assert_eq!(lines(&daemon), before, "a debug line");
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("the settings are in force")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(line).unwrap()["level"], "INFO", "{line}");
    edit(&settings.file, "level: info", "level: debug");
    reload(&daemon);
    daemon.sweeps("livy_sessions", 8.0);
    assert!(lines(&daemon) > before);
    daemon.stop();
    let daemon = settings.variable("RUST_LOG", "info").start();
    assert!(reload(&daemon).contains("RUST_LOG is set, and stands in the place of log.level"));
}

#[test]
fn the_exposition_and_the_backups_follow() {
    let lab = Lab::new(world());
    let settings = settings(&lab);
    edit(&settings.file, "ledger: {", "ledger: {backup_interval: 0s, ");
    edit(&settings.file, "zero_hold: 0s", "zero_hold: 1h");
    let daemon = settings.start();
    lab.settle(&daemon);
    let gateway = &lab.world().gateways(&lab.world().workspace_ids()[0])[0].id;
    assert!(lab.world().add_queue(gateway, "late_queue", lab.world().clock().now()));
    lab.advance(HOUR);
    let late = metric("livy_sessions_created_total").label("queue", "late_queue");
    daemon.until_is(&late, 0.0);
    let backup = metric("exporter_ledger_last_backup_timestamp_seconds");
    backup.assert_in(&daemon.scrape(), 0.0);
    edit(&settings.file, "zero_hold: 1h", "zero_hold: 0s");
    edit(&settings.file, "backup_interval: 0s", "backup_interval: 1day");
    reload(&daemon);
    daemon.until("the truth", |page| lab.truth().equals(page));
    daemon.until("a copy", |page| match backup.value_in(page) {
        Some(at) if at > 0.0 => Ok(()),
        at => Err(format!("{at:?}")),
    });
}

#[test]
fn prices_and_the_budget_follow_and_usage_is_left_alone() {
    let lab = Lab::new(world());
    let settings = settings(&lab);
    let plain = std::fs::read_to_string(&settings.file).unwrap();
    let price_at =
        |pricing: &str| std::fs::write(&settings.file, format!("{plain}pricing: {pricing}\n")).unwrap();
    let price = metric("livy_price_per_cu_hour");
    let budget = metric("livy_monthly_budget");
    price_at("{default: 0.5, monthly_budget: 1000, by: [{queue: dev_queue, price: 0.25}]}");
    let daemon = settings.start();
    let before = counters(&lab.settle(&daemon));
    let page = daemon.scrape();
    let queues = price.count_in(&page);
    assert!(queues >= 4, "{queues}");
    let of_dev = price.clone().label("queue", "dev_queue");
    let devs = of_dev.count_in(&page);
    assert!(devs >= 1 && of_dev.values_in(&page).iter().all(|price| *price == 0.25));
    budget.assert_in(&page, 1000.0);

    // Another currency and default, a price from a day that has come, one from a day that has not, and no budget.
    price_at(
        "{currency: USD, default: 0.75, by: [{queue: dev_queue, price: 0.125, from: 2020-01-01}, \
         {price: 9, from: 2999-01-01}]}",
    );
    reload(&daemon);
    let in_dollars = price.clone().label("currency", "USD");
    daemon.until("the other prices", |page| match in_dollars.count_in(page) {
        count if count == queues => Ok(()),
        count => Err(count.to_string()),
    });
    let page = daemon.scrape();
    assert_eq!(price.count_in(&page), queues, "those before them are gone");
    assert_eq!(of_dev.values_in(&page), vec![0.125; devs]);
    assert_eq!(in_dollars.values_in(&page).iter().filter(|price| **price == 0.75).count(), queues - devs);
    assert_eq!(budget.count_in(&page), 0);

    price_at("{currency: USD, default: -1}");
    assert!(refused(&daemon).contains("pricing.default"));
    assert_eq!(in_dollars.count_in(&daemon.scrape()), queues);

    std::fs::write(&settings.file, &plain).unwrap();
    reload(&daemon);
    gone(&daemon, "livy_price_per_cu_hour", ("currency", "USD"));
    assert_eq!(counters(&lab.settle(&daemon)), before, "usage is what it was");
    daemon.stop();
}

#[test]
fn counters_stay_exact_through_reloads_while_the_history_grows() {
    let lab = Lab::new(world());
    let settings = settings(&lab);
    let daemon = settings.start();
    let mut before = lab.settle(&daemon);
    // Slow enough that sweeps are under way whenever settings are read again.
    lab.simulator.set_latency(Duration::from_millis(15));
    let workspace = lab.world().workspace_ids()[1].clone();
    let text = std::fs::read_to_string(&settings.file).unwrap();
    for round in 0..10 {
        lab.advance(7 * MINUTE);
        let mut changed = text.clone();
        if round % 3 == 1 {
            changed = changed.replace(
                "    endpoint:",
                &format!("    workspaces: {{exclude: [{workspace}]}}\n    endpoint:"),
            );
        }
        if round % 2 == 1 {
            changed = changed
                .replace("page_size: 20", "page_size: 9")
                .replace("requests_per_second: 1000", "requests_per_second: 300");
        }
        if round % 4 == 2 {
            changed = changed.replace("livy_sessions: {", "livy_sessions: {enabled: false, ");
        }
        std::fs::write(&settings.file, changed).unwrap();
        if round % 2 == 0 {
            daemon.signal("HUP");
        }
        reload(&daemon);
        let page = daemon.scrape();
        lab.truth().assert_not_exceeded(&page);
        let (now, then) = (counters(&page), counters(&before));
        for (series, value) in &now {
            assert!(then.get(series).is_none_or(|then| then <= value), "{series} fell to {value}");
        }
        before = page;
    }
    std::fs::write(&settings.file, text).unwrap();
    reload(&daemon);
    lab.simulator.set_latency(Duration::ZERO);
    lab.settle(&daemon);
    lab.advance(HOUR);
    lab.settle(&daemon);
    assert_eq!(daemon.end("TERM").code, Some(0));
    // What is on the disk is the same.
    let daemon = settings.start();
    lab.settle(&daemon);
}

#[test]
fn many_who_ask_at_once_are_all_answered() {
    let lab = Lab::new(world());
    let settings = settings(&lab);
    let daemon = settings.start();
    lab.settle(&daemon);
    thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| reload(&daemon));
        }
    });
    wait_for("the last line", || {
        let lines = daemon.log().lines().filter(|line| line.ends_with("the settings are in force")).count();
        if lines == 40 { Ok(()) } else { Err(lines.to_string()) }
    });
    lab.advance(HOUR);
    lab.settle(&daemon);
}
