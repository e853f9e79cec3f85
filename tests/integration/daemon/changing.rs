//! What comes and goes while the exporter watches.

use std::time::{Duration, Instant};

use emr_serverless_spark_exporter::sim::{ClusterState, Fault, Operation, Scope};

use crate::harness::{HOUR, Lab, MINUTE, counters, metric, world};

#[test]
fn a_queue_that_appears_later_is_shown_at_zero_first() {
    let lab = Lab::new(world());
    let daemon = lab.settings().set("exposition.zero_hold", "6s").start();
    lab.settle(&daemon);
    let gateway = &lab.world().gateways(&lab.world().workspace_ids()[0])[0].id;
    assert!(lab.world().add_queue(gateway, "late_queue", lab.world().clock().now()));
    lab.advance(HOUR);

    let mut first_seen: Option<Instant> = None;
    let mut zeros = 0;
    let page = daemon.until("the value of the late queue", |page| {
        lab.truth().assert_not_exceeded(page);
        let late: Vec<f64> = counters(page)
            .into_iter()
            .filter(|(series, _)| series.labels["queue"] == "late_queue")
            .map(|(_, value)| value)
            .collect();
        if late.is_empty() {
            return Err("it is not there yet".to_owned());
        }
        first_seen.get_or_insert_with(Instant::now);
        assert_eq!(late.len(), 6, "all of its counters appear together");
        if late.iter().all(|value| *value == 0.0) {
            zeros += 1;
            return Err(format!("{zeros} times at zero"));
        }
        // Usage, created and ended sessions are let go together.
        assert!(late.iter().filter(|value| **value > 0.0).count() >= 5, "{late:?}");
        Ok(())
    });
    // As seen from here; a machine that is busy may see its begin late.
    let held = first_seen.unwrap().elapsed();
    assert!(zeros > 10 && held > Duration::from_secs(4), "held for {held:?}, {zeros} looks");
    lab.truth().equals(&page).unwrap();
    // Others of the gateway were never held back.
    lab.settle(&daemon);

    // The hold is over for good.
    daemon.kill();
    let daemon = lab.settings().set("exposition.zero_hold", "1h").start();
    lab.truth().equals(&daemon.scrape()).unwrap();
}

#[test]
fn gateways_and_workspaces_come_and_go() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    lab.settle(&daemon);
    let workspaces = lab.world().workspace_ids();

    lab.advance(10 * MINUTE);
    let gateway = lab.world().add_gateway(&workspaces[0]).unwrap();
    lab.advance(HOUR);
    lab.settle(&daemon);

    let workspace = lab.world().add_workspace();
    lab.advance(HOUR);
    let page = lab.settle(&daemon);
    assert!(metric("livy_cu_seconds_total").label("workspace_id", &workspace).sum_in(&page) > 0.0);
    assert_eq!(metric("workspace_info").count_in(&page), 3);

    assert!(lab.world().remove_gateway(&gateway));
    let page = lab.settle(&daemon);
    for name in [
        "livy_gateway_info",
        "livy_sessions",
        "livy_session_duration_seconds_count",
        "exporter_sweep_success",
    ] {
        daemon.until("the end of the gateway", |page| {
            match metric(name).label("livy_compute_id", &gateway).count_in(page) {
                0 => Ok(()),
                count => Err(format!("{count} of {name}")),
            }
        });
    }
    assert!(metric("livy_gateway_info").count_in(&page) >= 6);
    // The ledger keeps what is gone, and a restart does not bring it back to the page.
    assert_eq!(daemon.end("TERM").code, Some(0));
    lab.settle(&lab.start());
}

#[test]
fn a_session_cluster_is_asked_for_by_name_before_it_is_let_go() {
    let lab = Lab::new(world());
    let workspace = &lab.world().workspace_ids()[0];
    let clusters: Vec<String> =
        lab.world().clusters(workspace).into_iter().map(|cluster| cluster.id).collect();
    let info = |id: &str| metric("session_cluster_info").label("session_cluster_id", id);
    let asked = || lab.simulator.stats().count(Operation::GetSessionCluster);
    let daemon = lab.start();
    for cluster in &clusters {
        daemon.until_is(&info(cluster), 1.0);
    }
    assert_eq!(asked(), 0, "what is listed needs no confirmation");

    // The list skips a row in passing and still adds up: the service knows better when asked by name.
    let list = Scope::of(Operation::ListSessionClusters).workspace(workspace);
    lab.simulator.faults().always(Fault::PageShift(-1), list);
    crate::harness::wait_for("questions", || {
        for cluster in &clusters {
            info(cluster).assert_in(&daemon.scrape(), 1.0);
        }
        if asked() >= 3 { Ok(()) } else { Err(asked().to_string()) }
    });
    lab.simulator.faults().clear();

    // Gone for real: it is let go, and not asked for any more.
    let gone = &clusters[2];
    let before = asked();
    assert!(lab.world().remove_cluster(gone));
    daemon.until("the end of the cluster", |page| match info(gone).count_in(page) {
        0 => Ok(()),
        _ => Err("it is there".to_owned()),
    });
    assert!(asked() > before);
    let page = daemon.sweeps("session_clusters", 2.0);
    for name in ["session_cluster_info", "session_cluster_state", "session_cluster_created_timestamp_seconds"]
    {
        assert_eq!(metric(name).label("session_cluster_id", gone).count_in(&page), 0, "{name}");
    }
    let after = asked();
    daemon.sweeps("session_clusters", 4.0);
    assert_eq!(asked(), after);
}

#[test]
fn a_session_cluster_that_cannot_be_asked_for_stays() {
    let lab = Lab::new(world());
    let workspace = &lab.world().workspace_ids()[0];
    let clusters: Vec<String> =
        lab.world().clusters(workspace).into_iter().map(|cluster| cluster.id).collect();
    let info = |id: &str| metric("session_cluster_info").label("session_cluster_id", id);
    let daemon = lab.settings().set("api.retries", "0").start();
    for cluster in &clusters {
        daemon.until_is(&info(cluster), 1.0);
    }
    let failure = metric("exporter_sweep_failure_info")
        .label("target", "session_clusters")
        .label("workspace_id", workspace)
        .label("reason", "server_error");
    let gone = &clusters[1];
    let get = Scope::of(Operation::GetSessionCluster).resource(gone);
    lab.simulator.faults().always(Fault::ServerError(500), get);
    assert!(lab.world().remove_cluster(gone));
    // The others of the workspace go on: what is not known of one says nothing of them.
    lab.world().set_cluster_state(&clusters[0], ClusterState::Error, "DriverLost");
    daemon.until_is(&failure, 1.0);
    let state = metric("session_cluster_state").label("session_cluster_id", &clusters[0]);
    daemon.until_is(&state.label("state", "Error"), 1.0);
    for _ in 0..3 {
        let page = daemon.sweeps("session_clusters", 2.0);
        for cluster in &clusters {
            info(cluster).assert_in(&page, 1.0);
        }
        failure.assert_in(&page, 1.0);
    }
    lab.simulator.faults().clear();
    daemon.until("the end of the cluster", |page| match info(gone).count_in(page) {
        0 => Ok(()),
        _ => Err("it is there".to_owned()),
    });
    let page = daemon.until("the end of the failure", |page| match failure.count_in(page) {
        0 => Ok(()),
        _ => Err("it fails".to_owned()),
    });
    assert_eq!(
        metric("session_cluster_info").label("workspace_id", workspace).count_in(&page),
        clusters.len() - 1
    );
}

#[test]
fn a_session_cluster_that_cannot_be_asked_for_goes_when_what_is_known_of_it_is_too_old() {
    let lab = Lab::new(world());
    let workspace = &lab.world().workspace_ids()[0];
    let gone = &lab.world().clusters(workspace)[1].id.clone();
    let info = metric("session_cluster_info").label("session_cluster_id", gone);
    let daemon = lab.settings().set("exposition.stale_after", "10s").start();
    daemon.until_is(&info, 1.0);
    let denied = Scope::of(Operation::GetSessionCluster);
    lab.simulator.faults().always(Fault::Denied("NoPermission"), denied);
    assert!(lab.world().remove_cluster(gone));
    let failure = metric("exporter_sweep_failure_info").label("target", "session_clusters");
    daemon.until_is(&failure.label("reason", "denied"), 1.0);
    let page = daemon.until("the end of the cluster", |page| match info.count_in(page) {
        0 => Ok(()),
        _ => Err("it is there".to_owned()),
    });
    let others = metric("session_cluster_info").label("workspace_id", workspace).count_in(&page);
    assert_eq!(others, lab.world().clusters(workspace).len(), "the others stay");
}

#[test]
fn states_of_session_clusters_follow_and_their_changes_are_counted() {
    let lab = Lab::new(world());
    let workspace = &lab.world().workspace_ids()[0];
    let cluster = lab.world().clusters(workspace)[0].clone();
    lab.world().set_cluster_state(&cluster.id, ClusterState::Stopped, "200");
    let state = |name: &str| {
        metric("session_cluster_state").label("session_cluster_id", &cluster.id).label("state", name)
    };
    let changes = |name: &str| {
        metric("session_cluster_state_changes_total")
            .label("workspace_id", workspace)
            .label("kind", cluster.kind)
            .label("state", name)
    };
    let daemon = lab.start();
    daemon.until_is(&state("Stopped"), 1.0);
    changes("Running").assert_in(&daemon.scrape(), 0.0);
    let steps = [
        (ClusterState::Starting, "200"),
        (ClusterState::Running, "200"),
        (ClusterState::Error, "DriverLost"),
        (ClusterState::Stopped, "200"),
        (ClusterState::Starting, "200"),
        (ClusterState::Running, "200"),
    ];
    for (to, code) in steps {
        lab.world().set_cluster_state(&cluster.id, to, code);
        let page = daemon.until_is(&state(to.as_str()), 1.0);
        assert_eq!(
            metric("session_cluster_state").label("session_cluster_id", &cluster.id).sum_in(&page),
            1.0
        );
        let failure = metric("session_cluster_failure_info").label("session_cluster_id", &cluster.id);
        assert_eq!(failure.count_in(&page), usize::from(to == ClusterState::Error));
        assert_eq!(
            failure.label("code", "DriverLost").count_in(&page),
            usize::from(to == ClusterState::Error)
        );
    }
    let expected = [("Starting", 2.0), ("Running", 2.0), ("Error", 1.0), ("Stopped", 1.0), ("Stopping", 0.0)];
    for (name, count) in expected {
        daemon.until_is(&changes(name), count);
    }
    // What was counted outlives the process.
    daemon.kill();
    let daemon = lab.start();
    for (name, count) in expected {
        changes(name).assert_in(&daemon.scrape(), count);
    }
}
