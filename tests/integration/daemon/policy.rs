//! The RAM policy of the documentation is enough, and no action in it is too many.

use std::fs;

use emr_serverless_spark_exporter::sim::{Operation, RamPolicy, WorldConfig};
use serde_json::Value;

use crate::harness::{Lab, metric, world};

/// The first JSON block after a line.
fn policy_in(file: &str, line: &str) -> Value {
    let text = fs::read_to_string(file).unwrap();
    let (_, after) = text.split_once(line).unwrap_or_else(|| panic!("no {line:?} in {file}"));
    let block = after.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    serde_json::from_str(block).unwrap()
}

fn documented() -> Value {
    policy_in("docs/authentication.md", "## The RAM policy\n")
}

fn actions(policy: &Value) -> Vec<String> {
    let actions = policy["Statement"][0]["Action"].as_array().unwrap();
    actions.iter().map(|action| action.as_str().unwrap().to_owned()).collect()
}

fn lab() -> Lab {
    Lab::new(WorldConfig { history: 40, ..world() })
}

fn enforce(lab: &Lab, policy: &Value) {
    lab.simulator.set_policy(Some(RamPolicy::parse(&policy.to_string()).unwrap()));
}

#[test]
fn the_readme_has_the_same_policy() {
    assert_eq!(policy_in("README.md", "needs this policy and no more"), documented());
}

#[test]
fn the_documented_policy_is_enough_and_each_action_of_it_is_used() {
    let (lab, policy) = (lab(), documented());
    enforce(&lab, &policy);
    let daemon = lab.start();
    lab.settle(&daemon);
    // What has vanished is asked for by name.
    let workspace = &lab.world().workspace_ids()[0];
    let cluster = lab.world().clusters(workspace)[0].id.clone();
    daemon.until_is(&metric("session_cluster_info").label("session_cluster_id", &cluster), 1.0);
    lab.world().remove_cluster(&cluster);
    daemon.until("the end of the cluster", |page| {
        match metric("session_cluster_info").label("session_cluster_id", &cluster).count_in(page) {
            0 => Ok(()),
            _ => Err("it is there".to_owned()),
        }
    });
    let page = lab.settle(&daemon);
    assert_eq!(metric("exporter_sweep_failures_total").sum_in(&page), 0.0);
    let asked: Vec<String> = Operation::ALL
        .iter()
        .filter(|operation| lab.simulator.stats().count(**operation) > 0)
        .map(|operation| format!("emr-serverless-spark:{}", operation.as_str()))
        .collect();
    let mut documented = actions(&policy);
    let mut asked = asked;
    documented.sort();
    asked.sort();
    assert_eq!(documented, asked);
}

#[test]
fn without_any_one_action_its_collector_alone_is_denied() {
    let policy = documented();
    assert_eq!(actions(&policy).len(), 5);
    for action in actions(&policy) {
        let lab = lab();
        enforce(&lab, &policy);
        let daemon = lab.start();
        lab.settle(&daemon);
        let mut less = policy.clone();
        less["Statement"][0]["Action"].as_array_mut().unwrap().retain(|other| *other != action);
        enforce(&lab, &less);
        let (workspace, other) = (&lab.world().workspace_ids()[0], &lab.world().workspace_ids()[1]);
        let (collector, targets) = match action.split_once(':').unwrap().1 {
            "ListWorkspaces" => ("workspaces", 1),
            "ListSessionClusters" => ("session_clusters", 2),
            "ListLivyCompute" => ("livy_gateways", 2),
            "ListLivyComputeSessions" => ("livy_sessions", 4),
            "GetSessionCluster" => {
                // Asked only about what has vanished.
                let cluster = lab.world().clusters(workspace)[0].id.clone();
                lab.world().remove_cluster(&cluster);
                ("session_clusters", 1)
            }
            unknown => panic!("{unknown}"),
        };
        let denied =
            metric("exporter_sweep_failure_info").label("target", collector).label("reason", "denied");
        daemon.until(&action, |page| match denied.count_in(page) {
            count if count == targets => Ok(()),
            count => Err(format!("{count} of {targets} {collector} denied")),
        });
        for kind in ["session_clusters", "livy_sessions", "workspaces"] {
            daemon.sweeps(kind, 2.0);
        }
        let page = daemon.scrape();
        assert_eq!(
            metric("exporter_sweep_failure_info").count_in(&page),
            targets,
            "{action}: others fail, too"
        );
        let failures = metric("exporter_sweep_failures_total");
        let of_collector = failures.clone().label("target", collector).label("reason", "denied");
        assert_eq!(failures.sum_in(&page), of_collector.sum_in(&page), "{action}");
        let status = daemon.get("/").1;
        assert!(status.contains("NoPermission"), "{status}");
        assert!(
            metric("livy_cu_seconds_total").label("workspace_id", other).count_in(&page) > 0,
            "counters stay"
        );
    }
}
