//! The pages in a real browser (`tests/page/check.mjs`), with names that were made up to run, and targets that fail.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use emr_serverless_spark_exporter::sim::{ClusterState, Fault, Operation, Scope, WorldConfig};

use crate::harness::{Daemon, Lab, PREFIX, metric, world};

/// Would run, load, break out of its place, and break the layout.
const HOSTILE: &str = "<script>globalThis.hostile=1</script>\"><img src=x onerror=alert(1)>'</td></table>\u{202e}\
    averyveryveryveryveryveryveryverylongnamewithoutanyplacetobreakitinto";

#[test]
fn it_is_good_in_a_browser_at_any_width_and_runs_no_name() {
    let lab = Lab::new(WorldConfig { workspaces: 3, session_clusters: 6, gateways: 2, ..world() });
    let workspaces = lab.world().workspace_ids();
    lab.simulator.faults().always(Fault::Named(HOSTILE), Scope::any().workspace(&workspaces[0]));
    lab.simulator.faults().always(Fault::Named(HOSTILE), Scope::of(Operation::ListWorkspaces));
    let clusters = lab.world().clusters(&workspaces[0]);
    lab.world().set_cluster_state(&clusters[0].id, ClusterState::Error, "ResourceNotEnough");
    lab.world().add_queue(&lab.world().gateways(&workspaces[0])[0].id, HOSTILE, 0);
    lab.advance(Duration::from_secs(4 * 3_600));
    let daemon = lab.start();
    lab.settle(&daemon);
    let denied = Scope::of(Operation::ListSessionClusters).workspace(&workspaces[1]);
    lab.simulator.faults().always(Fault::Denied("Forbidden.RAM"), denied);
    let broken = Scope::of(Operation::ListLivyComputeSessions).workspace(&workspaces[2]);
    lab.simulator.faults().always(Fault::ServerError(500), broken);
    let failing = metric("exporter_sweep_failure_info");
    daemon.until("failures to show", |page| match failing.count_in(page) {
        3.. => Ok(()),
        count => Err(count.to_string()),
    });
    assert!(daemon.scrape().text.contains(&format!("{PREFIX}livy_session_info")));

    check(&daemon, &[]);
}

#[test]
fn with_many_targets_it_stays_short() {
    let world = WorldConfig { workspaces: 32, session_clusters: 1, gateways: 2, history: 5, ..world() };
    let lab = Lab::new(world);
    let workspaces = lab.world().workspace_ids();
    let daemon = lab.start();
    lab.settle(&daemon);
    for (operation, workspace) in [
        (Operation::ListSessionClusters, 3),
        (Operation::ListLivyComputeSessions, 7),
        (Operation::ListLivyComputeSessions, 8),
        (Operation::ListLivyComputeSessions, 9),
    ] {
        let scope = Scope::of(operation).workspace(&workspaces[workspace]);
        lab.simulator.faults().always(Fault::ServerError(500), scope);
    }
    let failing = metric("exporter_sweep_failure_info");
    daemon.until("failures to show", |page| match failing.count_in(page) {
        7.. => Ok(()),
        count => Err(count.to_string()),
    });
    check(&daemon, &["many"]);

    // Where nothing works, it is short, too.
    lab.simulator.faults().always(Fault::ServerError(500), Scope::any());
    daemon.until("all to fail", |page| match failing.count_in(page) {
        129.. => Ok(()),
        count => Err(count.to_string()),
    });
    check(&daemon, &["outage"]);
}

/// Has the pages looked at.
#[track_caller]
fn check(daemon: &Daemon, further: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tools = root.join("target/page-tools/node_modules");
    assert!(tools.exists(), "no {}: run make test, which installs it", tools.display());
    let base = format!("http://{}", daemon.address);
    let (script, shots) = (root.join("tests/page/check.mjs"), root.join("target/page-tools/shots"));
    let mut node = Command::new("node");
    let output = node.arg(script).arg(base).arg(shots).args(further).output().expect("node is missing");
    let [said, complained] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.trim_end().ends_with(" checks, 0 failed"), "{said}{complained}");
}
