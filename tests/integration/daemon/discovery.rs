//! Which workspaces are watched: by tags, by id, by one account each, and without a restart when that changes.

use emr_serverless_spark_exporter::ledger;
use emr_serverless_spark_exporter::sim::{AccessKey, Fault, Operation, Options, Scope, WorldConfig};

use crate::harness::{Daemon, HOUR, Lab, Matcher, Page, metric, world};

/// The counters of a workspace.
fn counters_of(workspace: &str) -> Matcher {
    metric("livy_cu_seconds_total").label("workspace_id", workspace)
}

/// Waits until these workspaces have their counters, and no other has any series.
#[track_caller]
fn until_watched(lab: &Lab, daemon: &Daemon, watched: &[&String]) -> Page {
    let all = lab.world().workspace_ids();
    daemon.until("the watched workspaces", |page| {
        for workspace in &all {
            let is_watched = watched.contains(&workspace);
            let targets = metric("exporter_sweep_success").label("workspace_id", workspace).count_in(page);
            let counters = counters_of(workspace).count_in(page);
            let info = metric("workspace_info").label("workspace_id", workspace).count_in(page);
            let is_right = match is_watched {
                true => targets == 4 && counters > 0 && info == 1,
                false => targets == 0 && counters == 0 && info == 0,
            };
            if !is_right {
                return Err(format!("{workspace}: {targets} targets, {counters} counters, {info} infos"));
            }
        }
        Ok(())
    })
}

#[test]
fn a_workspace_that_goes_or_comes_is_followed_without_a_restart() {
    let lab = Lab::new(world());
    let [gone, stays] = &lab.world().workspace_ids()[..] else { panic!() };
    let daemon = lab.start();
    let before = until_watched(&lab, &daemon, &[gone, stays]);
    assert!(lab.world().remove_workspace(gone));
    daemon.until("the end of the workspace", |page| {
        let left: Vec<_> = page
            .samples
            .keys()
            .filter(|s| s.labels.get("workspace_id") == Some(gone))
            .map(|s| s.to_string())
            .collect();
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    });
    let page = until_watched(&lab, &daemon, &[stays]);
    assert_eq!(counters_of(stays).sum_in(&page), counters_of(stays).sum_in(&before), "undisturbed");
    let asked = |lab: &Lab| lab.simulator.stats().requests;
    assert!(!asked(&lab).is_empty());

    let come = lab.world().add_workspace();
    assert_ne!(come, *gone);
    lab.advance(HOUR);
    until_watched(&lab, &daemon, &[stays, &come]);
    lab.settle(&daemon);
    assert_eq!(
        metric("exporter_sweep_failures_total").label("target", "workspaces").sum_in(&daemon.scrape()),
        0.0
    );
}

#[test]
fn tags_choose_and_a_change_of_theirs_is_followed() {
    let lab = Lab::new(world());
    let [first, second] = &lab.world().workspace_ids()[..] else { panic!() };
    assert!(lab.world().tag_workspace(first, "stage", "prod-eu"));
    let daemon =
        lab.settings().set("accounts.0.workspaces.tags", "stage=prod-*,managed-by=terraform").start();
    let page = until_watched(&lab, &daemon, &[first]);
    let value = counters_of(first).sum_in(&page);
    lab.world().tag_workspace(second, "stage", "prod-cn");
    until_watched(&lab, &daemon, &[first, second]);
    lab.world().tag_workspace(first, "stage", "retired");
    until_watched(&lab, &daemon, &[second]);
    lab.world().tag_workspace(first, "stage", "prod-us");
    let page = until_watched(&lab, &daemon, &[first, second]);
    assert_eq!(counters_of(first).sum_in(&page), value, "the ledger has kept it");
    lab.settle(&daemon);
}

#[test]
fn ids_without_discovery_need_no_list_of_workspaces() {
    let lab = Lab::new(world());
    let [first, second] = &lab.world().workspace_ids()[..] else { panic!() };
    lab.simulator.faults().always(Fault::Denied("NoPermission"), Scope::of(Operation::ListWorkspaces));
    let settings = lab.settings().set("accounts.0.workspaces.discover", "false");
    let daemon = settings.set("accounts.0.workspaces.ids", first).start();
    until_watched(&lab, &daemon, &[first]);
    daemon.sweeps("workspaces", 3.0);
    let page = until_watched(&lab, &daemon, &[first]);
    assert_eq!(lab.simulator.stats().count(Operation::ListWorkspaces), 0);
    assert_eq!(counters_of(second).count_in(&page), 0);
    assert_eq!(metric("exporter_sweep_success").values_in(&page), [1.0; 5]);
    metric("workspace_info").label("workspace_name", first).assert_in(&page, 1.0);
    assert_eq!(daemon.get("/-/ready").0, 200);
}

#[test]
fn ids_beside_discovery_do_not_wait_for_it() {
    let lab = Lab::new(world());
    let [first, second] = &lab.world().workspace_ids()[..] else { panic!() };
    let denied = Scope::of(Operation::ListWorkspaces);
    lab.simulator.faults().always(Fault::Denied("NoPermission"), denied);
    let settings = lab.settings().set("accounts.0.workspaces.include", "no-such-*");
    let daemon = settings.set("accounts.0.workspaces.ids", first).start();
    daemon.until("the workspace that is named", |page| match counters_of(first).count_in(page) {
        0 => Err("no counters".to_owned()),
        _ => Ok(()),
    });
    daemon.until_is(&metric("exporter_sweep_failure_info").label("reason", "denied"), 1.0);
    drop(daemon);
    // Once the list can be had, it adds what it knows of the workspace, and what matches.
    lab.simulator.faults().clear();
    let daemon = settings_of_all(&lab, first).start();
    let page = until_watched(&lab, &daemon, &[first, second]);
    assert_eq!(metric("workspace_info").label("workspace_name", first).count_in(&page), 0);
    lab.settle(&daemon);
}

/// One id beside discovery of everything.
fn settings_of_all(lab: &Lab, id: &str) -> crate::harness::Settings {
    lab.settings().set("accounts.0.workspaces.ids", id)
}

/// A simulator with a key for each of two accounts, in fact the same one.
fn two_accounts() -> (Lab, [String; 2]) {
    let keys = ["LTAIfirst", "LTAIsecond"].map(|id| AccessKey::new(id, "made-up-secret"));
    let options = Options { keys: keys.to_vec(), ..Options::default() };
    let lab = Lab::with_options(WorldConfig { history: 40, ..world() }, options);
    let url = lab.simulator.url();
    let accounts = [lab.account("one", &keys[0], &url), lab.account("two", &keys[1], &url)];
    (lab, accounts)
}

#[test]
fn a_workspace_that_two_accounts_reach_is_counted_by_one_and_an_error_of_the_other() {
    let (lab, accounts) = two_accounts();
    let conflict =
        metric("exporter_sweep_failure_info").label("target", "workspaces").label("reason", "conflict");
    // Which of the two is first changes from start to start, and what was counted goes to it; a page with a series twice
    // is refused as it is read.
    for _ in 0..5 {
        let daemon = lab.settings_for(&accounts).start();
        daemon.until_is(&conflict, 1.0);
        lab.settle(&daemon);
        let page = daemon.sweeps("workspaces", 4.0);
        assert_eq!(conflict.count_in(&page), 1, "of one account alone");
        assert_eq!(metric("exporter_sweep_success").label("target", "livy_sessions").count_in(&page), 4);
        let failures = metric("exporter_sweep_failures_total").label("target", "workspaces");
        assert!(failures.label("reason", "conflict").value_in(&page) > Some(0.0));
        let status = daemon.get("/").1;
        for words in ["reached a second time", "watched by account", "workspaces.include"] {
            assert!(status.contains(words) && daemon.log().contains(words), "{words}: {status}");
        }
        daemon.kill();
        let counted = ledger::inspect(&lab.ledger()).unwrap().totals;
        assert_eq!((counted.gateways.len(), counted.workspaces.len()), (4, 2), "each under one account");
    }
    // The way out that the message names: what one names the other has not.
    let [first, second] = &lab.world().workspace_ids()[..] else { panic!() };
    let apart = |first: &str, second: &str| {
        lab.settings_for(&accounts)
            .set("accounts.0.workspaces.include", first)
            .set("accounts.1.workspaces.include", second)
    };
    for settings in [apart(first, second), apart(second, first)] {
        let daemon = settings.start();
        until_watched(&lab, &daemon, &[first, second]);
        lab.advance(HOUR);
        let page = lab.settle(&daemon);
        assert_eq!(metric("exporter_sweep_failure_info").count_in(&page), 0);
        daemon.kill();
    }
}

#[test]
fn what_is_named_by_id_belongs_to_the_account_that_names_it() {
    let (lab, accounts) = two_accounts();
    let [first, second] = &lab.world().workspace_ids()[..] else { panic!() };
    // The first account is quicker, and has everything but this.
    let daemon = lab.settings_for(&accounts).set("accounts.1.workspaces.ids", second);
    let daemon = daemon.set("accounts.1.workspaces.discover", "false").start();
    until_watched(&lab, &daemon, &[first, second]);
    let page = daemon.sweeps("workspaces", 2.0);
    for (account, workspace) in [("one", first), ("two", second)] {
        metric("workspace_info")
            .label("account", account)
            .label("workspace_id", workspace)
            .assert_in(&page, 1.0);
    }
    let failure = metric("exporter_sweep_failure_info");
    failure.label("account", "one").label("reason", "conflict").assert_in(&page, 1.0);
}

#[test]
fn what_is_named_by_id_is_left_alone_by_others_while_its_account_cannot_be_reached() {
    let (lab, mut accounts) = two_accounts();
    let [first, second] = &lab.world().workspace_ids()[..] else { panic!() };
    let nowhere = format!("http://127.0.0.1:{}", crate::harness::free_port());
    accounts[1] = lab.account("two", &AccessKey::new("LTAIsecond", "made-up-secret"), &nowhere);
    let daemon = lab.settings_for(&accounts).set("accounts.1.workspaces.ids", second).start();
    let failure = metric("exporter_sweep_failure_info").label("target", "workspaces");
    daemon.until_is(&failure.label("account", "one").label("reason", "conflict"), 1.0);
    let page = daemon.until("the other workspace", |page| match counters_of(first).count_in(page) {
        0 => Err("no counters".to_owned()),
        _ => Ok(()),
    });
    assert_eq!(counters_of(second).count_in(&page), 0);
}

#[test]
fn a_workspace_passes_from_one_account_to_the_other_and_back() {
    let (lab, accounts) = two_accounts();
    let [moves, stays] = &lab.world().workspace_ids()[..] else { panic!() };
    lab.world().tag_workspace(stays, "owner", "two");
    let settings = lab.settings_for(&accounts).set("accounts.0.workspaces.tags", "owner=one");
    lab.world().tag_workspace(moves, "owner", "one");
    let daemon = settings.set("accounts.1.workspaces.tags", "owner=two").start();
    let info =
        |account: &str| metric("workspace_info").label("workspace_id", moves).label("account", account);
    for owner in ["one", "two", "one"] {
        lab.world().tag_workspace(moves, "owner", owner);
        daemon.until_is(&info(owner), 1.0);
        until_watched(&lab, &daemon, &[moves, stays]);
        lab.advance(HOUR);
        lab.settle(&daemon);
    }
    assert_eq!(metric("exporter_sweep_failure_info").count_in(&daemon.scrape()), 0);
}

#[test]
fn each_account_has_its_own_limits() {
    let (lab, _) = two_accounts();
    let other = Lab::new(WorldConfig { seed: 2, ..world() });
    let account = |lab: &Lab, name: &str, key: &AccessKey| lab.account(name, key, &lab.simulator.url());
    let accounts = [
        account(&lab, "one", &AccessKey::new("LTAIfirst", "made-up-secret")),
        account(&other, "two", &AccessKey::defaults()[0]),
    ];
    for lab in [&lab, &other] {
        lab.simulator.set_latency(std::time::Duration::from_millis(20));
    }
    let settings = lab.settings_for(&accounts).set("api.max_in_flight", "6");
    let daemon = settings.set("accounts.1.api.max_in_flight", "1").start();
    for lab in [&lab, &other] {
        for workspace in lab.world().workspace_ids() {
            daemon.until("counters", |page| match counters_of(&workspace).count_in(page) {
                0 => Err("none".to_owned()),
                _ => Ok(()),
            });
        }
    }
    daemon.sweeps("livy_sessions", 8.0);
    assert!((2..=6).contains(&lab.simulator.stats().in_flight_max));
    assert_eq!(other.simulator.stats().in_flight_max, 1);
}
