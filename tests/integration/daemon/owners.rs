//! Workspaces that pass from one account to another: what was counted of them goes on.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use emr_serverless_spark_exporter::clock::Clock;
use emr_serverless_spark_exporter::ledger;
use emr_serverless_spark_exporter::sim::{AccessKey, ClusterState, Operation, Options, WorldConfig};

use crate::harness::{
    Daemon, HOUR, Lab, MINUTE, Page, Series, Settings, counters, metric, sound, wait_for, world,
};

/// What every counter and histogram of usage has come to, scrape by scrape.
#[derive(Default)]
struct Watch(BTreeMap<Series, f64>);

impl Watch {
    /// Asserts that nothing has fallen since the scrapes before, whether it was on the latest of them or not.
    #[track_caller]
    fn look(&mut self, page: &Page) {
        let counts = |series: &&Series| {
            let name = &series.name;
            let is_watched = name.starts_with("livy_") || name.starts_with("session_cluster_");
            is_watched && (name.ends_with("_total") || name.contains("duration_seconds_"))
        };
        for (series, value) in page.samples.iter().filter(|(series, _)| counts(series)) {
            let before = self.0.insert(series.clone(), *value);
            assert!(before.is_none_or(|before| before <= *value), "{series} fell from {before:?} to {value}");
        }
    }

    /// Looks at every scrape until the counters are the truth, nothing fails and an account has all workspaces.
    #[track_caller]
    fn until_owned(&mut self, lab: &Lab, daemon: &Daemon, account: &str) -> Page {
        let workspaces = lab.world().workspace_ids().len();
        daemon.until(&format!("the truth under {account}"), |page| {
            self.look(page);
            lab.truth().assert_not_exceeded(page);
            match metric("workspace_info").label("account", account).count_in(page) {
                count if count == workspaces => lab.truth().equals(page),
                count => Err(format!("{account} has {count} workspaces")),
            }
        })
    }

    /// Everything that was seen so far is on the page.
    #[track_caller]
    fn assert_all_in(&self, page: &Page) {
        for series in self.0.keys() {
            assert!(page.samples.contains_key(series), "{series} is gone");
        }
    }
}

/// A world that forgets: who counts what it lists now comes to less than was used.
fn forgetful() -> WorldConfig {
    WorldConfig { births_per_hour: 5, retention: Some(72 * HOUR), ..world() }
}

/// Has a third of the first histories leave the lists, and the session clusters change.
fn age(lab: &Lab, daemon: &Daemon, watch: &mut Watch) -> Page {
    lab.settle(daemon);
    for step in 0..3 {
        lab.advance(8 * HOUR);
        for workspace in lab.world().workspace_ids() {
            let cluster = &lab.world().clusters(&workspace)[0].id;
            let state = if step == 1 { ClusterState::Error } else { ClusterState::Running };
            assert!(lab.world().set_cluster_state(cluster, state, ""));
        }
        daemon.sweeps("session_clusters", 8.0);
        watch.look(&lab.settle(daemon));
    }
    let page = lab.settle(daemon);
    assert!(metric("session_cluster_state_changes_total").label("state", "Error").sum_in(&page) >= 2.0);
    let listed: f64 = metric("livy_sessions").sum_in(&page);
    assert!(listed < 0.9 * metric("livy_sessions_created_total").sum_in(&page), "{listed} are still listed");
    page
}

#[track_caller]
fn edit(file: &Path, changes: &[(&str, &str)]) {
    let mut text = std::fs::read_to_string(file).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from:?} is not in {text}");
        text = text.replace(from, to);
    }
    std::fs::write(file, text).unwrap();
}

fn rename(settings: &Settings, from: &str, to: &str) {
    edit(&settings.file, &[(&format!("name: {from}\n"), &format!("name: {to}\n"))]);
}

#[track_caller]
fn reload(daemon: &Daemon) {
    let (status, answer) = daemon.request("POST", "/-/reload");
    assert_eq!(status, 200, "{answer}");
}

/// Sweeps of whole histories so far.
fn full_sweeps(page: &Page) -> f64 {
    metric("exporter_full_sweeps_total").sum_in(page)
}

/// The accounts under which the ledger has gateways and workspaces, each with how many.
fn owners(lab: &Lab) -> BTreeMap<String, usize> {
    let totals = ledger::inspect(&lab.ledger()).unwrap().totals;
    let gateways = totals.gateways.keys().map(|id| &id.workspace.account);
    let mut owners = BTreeMap::new();
    for account in gateways.chain(totals.workspaces.keys().map(|id| &id.account)) {
        *owners.entry(account.clone()).or_default() += 1;
    }
    owners
}

/// The account that the explanation of a counter names, and its value.
fn explained(lab: &Lab, daemon: &Daemon) -> (String, f64) {
    let workspace = &lab.world().workspace_ids()[0];
    let gateway = &lab.world().gateways(workspace)[0];
    let of = format!("workspace_id={workspace}&livy_compute_id={}&queue={}", gateway.id, gateway.queue);
    let (status, body) = daemon.get(&format!("/api/v1/series?metric=livy_cu_seconds_total&{of}"));
    assert_eq!(status, 200, "{body}");
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    (json["account"].as_str().unwrap().to_owned(), json["value"].as_f64().unwrap())
}

#[test]
fn an_account_that_is_renamed_by_a_reload_goes_on_where_it_was() {
    let lab = Lab::new(forgetful());
    let settings = lab.settings().set("web.enable_lifecycle", "true");
    let daemon = settings.start();
    let mut watch = Watch::default();
    let before = age(&lab, &daemon, &mut watch);
    watch.look(&before);
    let (_, value) = explained(&lab, &daemon);
    for (from, to) in [("test", "renamed"), ("renamed", "test"), ("test", "third")] {
        rename(&settings, from, to);
        if to == "test" {
            reload(&daemon);
        } else {
            daemon.signal("HUP");
        }
        let page = watch.until_owned(&lab, &daemon, to);
        watch.assert_all_in(&page);
        assert_eq!(explained(&lab, &daemon), (to.to_owned(), value));
        assert_eq!(owners(&lab), BTreeMap::from([(to.to_owned(), 6)]));
    }
    assert_eq!(full_sweeps(&daemon.scrape()), full_sweeps(&before), "{}", daemon.log());
    lab.advance(HOUR);
    watch.look(&lab.settle(&daemon));
    watch.until_owned(&lab, &daemon, "third");
    assert_eq!(metric("exporter_sweep_failures_total").sum_in(&daemon.scrape()), 0.0, "{}", daemon.log());
    assert_eq!(lab.counted(), lab.truth());
    daemon.stop();
    sound(&lab.ledger());
}

#[test]
fn an_account_that_is_renamed_while_its_sweeps_are_under_way_goes_on_where_it_was() {
    let lab = Lab::new(forgetful());
    let settings = lab.settings().set("web.enable_lifecycle", "true");
    let daemon = settings.start();
    let mut watch = Watch::default();
    age(&lab, &daemon, &mut watch);
    lab.simulator.set_latency(Duration::from_millis(15));
    let mut name = "test".to_owned();
    for round in 0..8 {
        lab.advance(7 * HOUR / 10);
        let next = format!("name-{round}");
        rename(&settings, &name, &next);
        reload(&daemon);
        name = next;
        // Long enough for some to begin and for few to end.
        for _ in 0..round {
            watch.look(&daemon.scrape());
            thread::sleep(Duration::from_millis(40));
        }
    }
    lab.simulator.set_latency(Duration::ZERO);
    let page = watch.until_owned(&lab, &daemon, &name);
    watch.assert_all_in(&page);
    assert_eq!(owners(&lab), BTreeMap::from([(name, 6)]));
    daemon.stop();
    sound(&lab.ledger());
}

#[test]
fn an_account_that_has_another_name_after_a_restart_goes_on_where_it_was() {
    let lab = Lab::new(forgetful());
    let settings = lab.settings();
    let mut daemon = settings.start();
    let mut watch = Watch::default();
    let before = age(&lab, &daemon, &mut watch);
    watch.look(&before);
    for (from, to) in [("test", "renamed"), ("renamed", "test")] {
        if to == "test" {
            daemon.kill();
        } else {
            daemon.stop();
        }
        rename(&settings, from, to);
        daemon = settings.start();
        let page = watch.until_owned(&lab, &daemon, to);
        watch.assert_all_in(&page);
        watch.look(&lab.settle(&daemon));
        assert_eq!(full_sweeps(&daemon.scrape()), 0.0, "the ledger remembers: {}", daemon.log());
        lab.advance(HOUR);
        watch.look(&lab.settle(&daemon));
        assert_eq!(owners(&lab), BTreeMap::from([(to.to_owned(), 6)]));
    }
    daemon.stop();
    sound(&lab.ledger());
}

#[test]
fn a_gateway_that_comes_before_the_account_has_another_name_is_counted_whole() {
    let lab = Lab::new(WorldConfig { births_per_hour: 36_000, ..world() });
    let settings = lab.settings().set("ledger.baseline", "exclude");
    let daemon = settings.start();
    daemon.until("the baseline", |page| match counters(page).len() {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    });
    let ledger_knows = || match owners(&lab).get("test") {
        Some(6) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    wait_for("all gateways", ledger_knows);
    daemon.stop();
    // Younger than the first sweep, and older than the first sweep under the other name.
    let now = Clock::System.now();
    let ahead = now + 10 - lab.world().clock().now();
    lab.advance(Duration::from_millis(ahead.unsigned_abs()));
    let gateway = lab.world().add_gateway(&lab.world().workspace_ids()[0]).unwrap();
    let more = Duration::from_secs(2);
    lab.advance(more);
    thread::sleep(more + Duration::from_millis(100));
    rename(&settings, "test", "renamed");
    let daemon = settings.start();
    lab.advance(MINUTE);
    let of_it = |page: &Page| -> BTreeMap<Series, f64> {
        counters(page).into_iter().filter(|(series, _)| series.labels["livy_compute_id"] == gateway).collect()
    };
    daemon.until("all of the late gateway", |page| {
        let mut truth = lab.truth().series();
        truth.retain(|series, _| series.labels["livy_compute_id"] == gateway);
        assert!(truth.values().sum::<f64>() > 0.0);
        if of_it(page) == truth { Ok(()) } else { Err(format!("{:?}", of_it(page))) }
    });
}

#[test]
fn workspaces_that_the_settings_name_change_hands_at_once() {
    let keys = ["LTAIfirst", "LTAIsecond"].map(|id| AccessKey::new(id, "made-up-secret"));
    let lab = Lab::with_options(forgetful(), Options { keys: keys.to_vec(), ..Options::default() });
    let [first, second] = &lab.world().workspace_ids()[..] else { panic!() };
    let url = lab.simulator.url();
    let accounts = [("one", &keys[0], first), ("two", &keys[1], second)].map(|(name, key, id)| {
        lab.account(name, key, &url) + &format!("    workspaces: {{discover: false, ids: [{id}]}}\n")
    });
    let settings = lab.settings_for(&accounts).set("web.enable_lifecycle", "true");
    // What the reload does not bring about would not come within this test.
    edit(&settings.file, &[("workspaces: {interval: 1s", "workspaces: {interval: 1h"), ("1m}", "1day}")]);
    let daemon = settings.start();
    let mut watch = Watch::default();
    let before = age(&lab, &daemon, &mut watch);
    watch.look(&before);
    for (round, (one, two)) in [(second, first), (first, second), (second, first)].into_iter().enumerate() {
        lab.simulator.set_latency(Duration::from_millis(10 * round as u64));
        let swap = [(format!("[{one}]"), "[x]"), (format!("[{two}]"), "[y]")];
        let swap = swap.each_ref().map(|(from, to)| (from.as_str(), *to));
        let (one_then, two_then) = (format!("[{two}]"), format!("[{one}]"));
        edit(&settings.file, &[swap[0], swap[1], ("[x]", &one_then), ("[y]", &two_then)]);
        reload(&daemon);
        let owned = |account: &str, id: &str| {
            metric("workspace_info").label("account", account).label("workspace_id", id)
        };
        let page = daemon.until("the other accounts", |page| {
            watch.look(page);
            match owned("one", one).count_in(page) + owned("two", two).count_in(page) {
                2 => lab.truth().equals(page),
                count => Err(count.to_string()),
            }
        });
        watch.assert_all_in(&page);
        assert_eq!(owners(&lab), BTreeMap::from([("one".to_owned(), 3), ("two".to_owned(), 3)]));
    }
    let page = lab.settle(&daemon);
    assert_eq!(full_sweeps(&page), full_sweeps(&before), "{}", daemon.log());
    assert_eq!(metric("exporter_sweep_failures_total").sum_in(&page), 0.0, "{}", daemon.log());
    let sweeps = metric("exporter_sweep_duration_seconds_count").label("target", "workspaces");
    assert_eq!(sweeps.sum_in(&page), 2.0, "settings take effect without a sweep");
    lab.advance(HOUR);
    watch.look(&lab.settle(&daemon));
    assert_eq!(lab.simulator.stats().count(Operation::ListWorkspaces), 0);
    daemon.stop();
    sound(&lab.ledger());
}

#[test]
fn a_hand_over_that_the_disk_has_no_room_for_is_made_up_for() {
    let lab = Lab::new(forgetful());
    let settings = lab.settings().set("web.enable_lifecycle", "true");
    let daemon = settings.start_limitable();
    let mut watch = Watch::default();
    age(&lab, &daemon, &mut watch);
    rename(&settings, "test", "renamed");
    reload(&daemon);
    watch.until_owned(&lab, &daemon, "renamed");
    let size = |suffix: &str| {
        let file = format!("{}{suffix}", lab.ledger().display());
        std::fs::metadata(file).map_or(0, |found| found.len())
    };
    // Not one more page of the log. That the region is watched by this name is known, and takes none.
    daemon.limit(&format!("fsize={}:unlimited", size("-wal")));
    rename(&settings, "renamed", "test");
    reload(&daemon);
    let failure =
        metric("exporter_sweep_failure_info").label("target", "workspaces").label("reason", "ledger");
    let page = daemon.until_is(&failure, 1.0);
    watch.look(&page);
    assert_eq!(counters(&page).len(), 0, "nothing is shown that is not known to be theirs");
    assert_eq!(metric("exporter_sweep_success").label("target", "livy_sessions").count_in(&page), 0);
    assert_eq!(owners(&lab), BTreeMap::from([("renamed".to_owned(), 6)]));
    daemon.limit("fsize=unlimited:unlimited");
    let page = watch.until_owned(&lab, &daemon, "test");
    watch.assert_all_in(&page);
    lab.advance(HOUR);
    watch.look(&lab.settle(&daemon));
    daemon.stop();
    sound(&lab.ledger());
}
