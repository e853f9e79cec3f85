//! The linter of Prometheus has nothing to say about the metrics page.

use std::io::Write;
use std::process::{Command, Stdio};

use emr_serverless_spark_exporter::sim::{ClusterState, Fault, Operation, Scope};

use crate::harness::{Daemon, Lab, metric, world};

fn assert_nothing_to_say(page: &str) {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool =
        promtool.unwrap_or_else(|error| panic!("promtool: {error}; run make test, which installs it"));
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&said).as_ref()), (Some(0), ""));
}

#[test]
fn the_linter_has_nothing_to_say() {
    let lab = Lab::new(world());
    let workspace = &lab.world().workspace_ids()[0];
    let cluster = &lab.world().clusters(workspace)[0].id;
    lab.world().set_cluster_state(cluster, ClusterState::Starting, "200");
    lab.simulator.faults().always(Fault::Hang, Scope::any());
    let daemon: Daemon = lab.start();
    // Before anything is known.
    assert_nothing_to_say(&daemon.get("/metrics").1);
    lab.simulator.faults().clear();
    lab.settle(&daemon);
    // With a histogram of starts, a cluster that failed, and a target that fails.
    let state = metric("session_cluster_state").label("session_cluster_id", cluster);
    for (to, code) in [(ClusterState::Running, "200"), (ClusterState::Error, "DriverLost")] {
        daemon.until("the cluster", |page| match state.count_in(page) {
            0 => Err("none".to_owned()),
            _ => Ok(()),
        });
        lab.world().set_cluster_state(cluster, to, code);
        daemon.until_is(&state.clone().label("state", to.as_str()), 1.0);
    }
    lab.simulator.faults().always(Fault::Denied("NoPermission"), Scope::of(Operation::ListLivyCompute));
    daemon.until("a failure", |page| match metric("exporter_sweep_failure_info").count_in(page) {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    });
    let page = daemon.scrape();
    for name in
        ["session_cluster_failure_info", "session_cluster_start_duration_seconds_count", "livy_session_info"]
    {
        assert!(metric(name).count_in(&page) > 0, "{name}");
    }
    assert_nothing_to_say(&page.text);
}
