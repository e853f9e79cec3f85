//! The kit at work: a world in fast time, the daemon, Prometheus and Alertmanager as shipped, and a webhook. What goes
//! wrong arrives where it should and ends; every panel and every rule has something to show.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use emr_serverless_spark_exporter::sim::{
    AccessKey, ClusterState, Fault, KeyStatus, Operation, Scope, WorldConfig,
};

use super::stack::{Stack, Webhook};
use super::{dashboards, rules, series_in};
use crate::harness::{Daemon, Lab, Settings, wait_for, wait_looking_every, world};

/// What may show nothing, and why that is right.
const RIGHTLY_EMPTY: [(&str, &str); 3] = [
    ("exporter_health: Running sweeps: A", "sweeps of a small world are over before a scrape sees them"),
    ("exporter_health: Cut by limits: C", "the simulated service has no text that is too long for a label"),
    ("livy_usage_and_cost: Gateways without sessions: A", "each simulated gateway has sessions all the time"),
];

/// Every query of a panel, every recorded series and every series that an alert is about, by where it stands.
fn everything() -> BTreeMap<String, String> {
    let mut queries = BTreeMap::new();
    for (file, dashboard) in dashboards::dashboards() {
        for panel in dashboards::panels(&dashboard) {
            let title = panel["title"].as_str().unwrap();
            for (letter, query) in ["A", "B", "C", "D"].iter().zip(dashboards::queries(panel)) {
                queries.insert(format!("{file}: {title}: {letter}"), filled_in(query));
            }
        }
    }
    for rule in rules() {
        if rule.is_alert {
            let series = series_in(&rule.expression).into_iter().filter(|name| !name.contains(':'));
            queries.extend(series.map(|name| (format!("series: {name}"), name)));
        } else {
            queries.insert(format!("recorded: {}", rule.name), rule.name);
        }
    }
    queries
}

/// A query with what Grafana puts in the place of its variables.
fn filled_in(query: &str) -> String {
    let ranges = query.replace("$__rate_interval", "10s").replace("$__range", "2m");
    let exporters = ranges.replace("$job", ".+").replace("$instance", ".+");
    let filled = ["$account", "$region", "$workspace", "$queue"]
        .iter()
        .fold(exporters, |text, name| text.replace(name, ".*"));
    assert!(!filled.contains('$'), "{filled}");
    filled
}

/// Takes out what has something to show.
fn look(stack: &Stack, left: &mut BTreeMap<String, String>) {
    left.retain(|place, query| match stack.count(query) {
        Ok(count) => count == 0,
        Err(why) => panic!("{place}: {why}: {query}"),
    });
}

/// Two accounts, each with one workspace of the world, the second one by a temporary key that is given to it; and one
/// without a workspace, by temporary keys that tell when they expire.
fn settings(lab: &Lab, key: &AccessKey) -> Settings {
    let workspaces = lab.world().workspace_ids();
    let of = |workspace: &str| format!("    workspaces: {{include: [{workspace}]}}\n");
    let first = lab.account("first", &AccessKey::defaults()[0], &lab.simulator.url()) + &of(&workspaces[0]);
    let token = key.security_token.as_deref().unwrap();
    let second = lab.account("second", key, &lab.simulator.url()).replace("type: static", "type: sts");
    let second =
        second.replace("access_key_secret:", &format!("security_token: {token}, access_key_secret:"));
    let third = "  - name: third\n    credentials: {type: ecs_ram_role}\n    regions: [cn-hangzhou]\n";
    let simulator = lab.simulator.url();
    let third = format!("{third}    endpoint: {simulator}\n    metadata_endpoint: {simulator}\n");
    let third = third + "    workspaces: {include: [none-of-them]}\n";
    lab.settings_for(&[first, second + &of(&workspaces[1]), third])
        .set("collectors.livy_sessions.series_limit", "1")
        .set("api.connect_timeout", "500ms")
        .set("api.timeout", "500ms")
        .set("api.retries", "0")
        .set("pricing.default", "0.5")
        .set("pricing.monthly_budget", "1000")
}

/// What goes wrong: who is told, and of what.
fn troubles(cluster: &str) -> [(&'static str, Vec<(&'static str, String)>); 3] {
    let text = str::to_owned;
    [
        ("team", vec![("alertname", text("EmrSparkClusterError")), ("session_cluster_id", text(cluster))]),
        (
            "team",
            vec![
                ("alertname", text("EmrSparkSweepsFailing")),
                ("account", text("first")),
                ("target", text("livy_gateways")),
                ("reason", text("timeout")),
            ],
        ),
        (
            "oncall",
            vec![
                ("alertname", text("EmrSparkCredentialsRejected")),
                ("account", text("second")),
                ("reason", text("unauthenticated")),
            ],
        ),
    ]
}

/// Waits until each trouble was told as it should be, with a way to what can be done about it.
fn until_told(webhook: &Webhook, daemon: &Daemon, cluster: &str, status: &str) {
    for (receiver, labels) in troubles(cluster) {
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let alert = webhook.until(receiver, status, &labels);
        let summary = alert["annotations"]["summary"].as_str().unwrap();
        for word in ["{{", "no value", "error expanding"] {
            assert!(!summary.contains(word), "{summary}");
        }
        let url = alert["annotations"]["runbook_url"].as_str().unwrap();
        let path = url.strip_prefix(&format!("http://{}", daemon.address)).unwrap();
        let (found, page) = daemon.get(path);
        assert_eq!(found, 200, "{url}");
        let name = alert["labels"]["alertname"].as_str().unwrap();
        assert!(page.contains(&format!(">{name}</h1>")), "{url}: {page}");
    }
}

/// Two starts: the histogram is there with the first one, and increases with the second.
fn start_twice(lab: &Lab, stack: &Stack, cluster: &str) {
    let started = "emr_serverless_spark_session_cluster_start_duration_seconds_count";
    for count in 1..=2 {
        for state in [ClusterState::Stopped, ClusterState::Starting, ClusterState::Running] {
            lab.world().set_cluster_state(cluster, state, "200");
            let name = state.as_str();
            let seen = format!(
                "emr_serverless_spark_session_cluster_state{{session_cluster_id=\"{cluster}\",state=\"{name}\"}} == 1"
            );
            until(stack, &seen);
        }
        until(stack, &format!("sum({started}) >= {count}"));
    }
}

/// What the exporter leaves out: a body that a client announces, and fields that it does not understand.
fn trouble_the_exporter(lab: &Lab, daemon: &Daemon) {
    let mut client = TcpStream::connect(daemon.address).unwrap();
    client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n").unwrap();
    lab.simulator.faults().next(1, Fault::MistypedRow, Scope::of(Operation::ListSessionClusters));
}

fn until(stack: &Stack, query: &str) {
    wait_for(query, || match stack.count(query)? {
        0 => Err("no".to_owned()),
        _ => Ok(()),
    });
}

#[test]
fn what_goes_wrong_arrives_and_ends_and_everything_has_something_to_show() {
    let key = AccessKey::defaults().into_iter().find(|key| key.security_token.is_some()).unwrap();
    let lab = Lab::new(WorldConfig { speed: 60.0, ..world() });
    let workspaces = lab.world().workspace_ids();
    let clusters = lab.world().clusters(&workspaces[0]);
    let (failing, starting) = (&clusters[0].id, &clusters[1].id);
    lab.world().set_cluster_state(failing, ClusterState::Running, "200");
    let webhook = Webhook::start();
    let daemon = settings(&lab, &key).start();
    let stack = Stack::start(daemon.address, &webhook);
    let mut left = everything();
    assert!(left.len() > 140, "{}", left.len());
    for (place, why) in RIGHTLY_EMPTY {
        assert!(left.contains_key(place), "{place} ({why}) is not there any more");
    }
    start_twice(&lab, &stack, starting);

    lab.world().set_cluster_state(failing, ClusterState::Error, "DriverLost");
    let hang = Scope::of(Operation::ListLivyCompute).workspace(&workspaces[0]);
    lab.simulator.faults().always(Fault::Hang, hang);
    lab.simulator.keys().put(AccessKey { status: KeyStatus::Expired, ..key.clone() });
    until_told(&webhook, &daemon, failing, "firing");
    look(&stack, &mut left);

    lab.world().set_cluster_state(failing, ClusterState::Running, "200");
    lab.simulator.faults().clear();
    lab.simulator.keys().put(key);
    until_told(&webhook, &daemon, failing, "resolved");

    wait_looking_every(Duration::from_millis(500), "every panel and every rule", || {
        trouble_the_exporter(&lab, &daemon);
        look(&stack, &mut left);
        let missing = left.keys().filter(|place| RIGHTLY_EMPTY.iter().all(|(empty, _)| empty != place));
        let missing: Vec<&String> = missing.collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("nothing to show: {missing:#?}")) }
    });
    assert_eq!(stack.broken_rules(), Vec::<String>::new());

    let instance = daemon.address.to_string();
    assert!(!stack.holds_back_an_alert_of(&instance), "nothing is down");
    daemon.kill();
    let down =
        [("alertname", "EmrSparkExporterDown"), ("severity", "critical"), ("instance", instance.as_str())];
    webhook.until("oncall", "firing", &down);
    assert!(stack.holds_back_an_alert_of(&instance), "it derives from what is down");
    assert!(!stack.holds_back_an_alert_of("another:10990"), "another exporter's alert is its own");
}
