//! A real Prometheus scrapes the daemon and answers queries with the truth; what it stored never fell, and nothing that
//! appeared late lost its first increase.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{
    Authority, HOUR, Lab, MINUTE, PREFIX, Page, Running, Series, Settings, Truth, free_port, http_get, tied,
    wait_for, world,
};

/// A Prometheus that scrapes every second.
struct Prometheus {
    address: SocketAddr,
    _process: Running,
    _directory: TempDir,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Self {
        Self::start_with(target, "", "exemplar-storage")
    }

    /// With more settings of its job, and these features.
    fn start_with(target: SocketAddr, job: &str, features: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("prometheus.yml");
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs: [{{job_name: exporter, {job}static_configs: [{{targets: [\"{target}\"]}}]}}]\n"
        );
        fs::write(&file, config).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .any(|directory| directory.join("prometheus").is_file());
        assert!(found, "no prometheus; run make test, which installs it");
        let mut command = tied("prometheus");
        command
            .arg(format!("--enable-feature={features}"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"));
        let process = Running::start(command);
        wait_for("Prometheus", || match http_get(address, "/-/ready") {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}: {}", process.log())),
        });
        Self { address, _process: process, _directory: directory }
    }

    /// Status and body of an answer of its API.
    fn get(&self, path: &str) -> (u16, String) {
        http_get(self.address, &format!("/api/v1/{path}")).unwrap()
    }

    /// The result of a query: labels, and whatever the type of the result holds.
    fn query(&self, query: &str) -> Vec<(Series, Value)> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (status, body) = http_get(self.address, &format!("/api/v1/query?query={encoded}")).unwrap();
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        let row = |row: &Value| {
            let mut labels: BTreeMap<String, String> = serde_json::from_value(row["metric"].clone()).unwrap();
            let name = labels.remove("__name__").unwrap_or_default();
            labels.retain(|name, _| name != "job" && name != "instance");
            let name = name.strip_prefix(PREFIX).unwrap_or(&name).to_owned();
            (Series { name, labels }, row.clone())
        };
        answer["data"]["result"].as_array().unwrap().iter().map(row).collect()
    }

    /// Waits until the counters that it answers with are the truth.
    fn until_truth(&self, truth: &Truth) {
        wait_for("the truth from Prometheus", || {
            let found = self.query(&format!("{{__name__=~\"{PREFIX}livy_.*_total\"}}"));
            let value = |row: &Value| row["value"][1].as_str().unwrap().parse().unwrap();
            let samples = found.into_iter().map(|(series, row)| (series, value(&row))).collect();
            truth.equals(&Page { text: String::new(), samples })
        });
    }
}

#[test]
fn prometheus_answers_with_the_truth_and_stores_no_fall() {
    let lab = Lab::new(world());
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let settings: Settings =
        lab.settings().set("web.listen_address", &address.to_string()).set("exposition.zero_hold", "4s");
    let daemon = settings.start();
    let prometheus = Prometheus::start(address);
    lab.settle(&daemon);
    let at_first = lab.truth();
    prometheus.until_truth(&at_first);

    let workspace = &lab.world().workspace_ids()[0];
    let first = &lab.world().gateways(workspace)[0].id;
    assert!(lab.world().add_queue(first, "late_queue", lab.world().clock().now()));
    lab.advance(10 * MINUTE);
    let late_gateway = lab.world().add_gateway(workspace).unwrap();
    lab.advance(HOUR);
    prometheus.until_truth(&lab.truth());

    assert_eq!(daemon.end("TERM").code, Some(0));
    lab.advance(HOUR);
    let daemon = settings.start();
    prometheus.until_truth(&lab.truth());
    daemon.kill();
    lab.advance(HOUR);
    let daemon = settings.start();
    lab.settle(&daemon);
    prometheus.until_truth(&lab.truth());

    // A sum over the queues is one of integers below 2^53: exact, too.
    let total = prometheus.query(&format!("sum({PREFIX}livy_vcore_seconds_total)"));
    let truth: f64 = lab
        .truth()
        .series()
        .iter()
        .filter(|(s, _)| s.name == "livy_vcore_seconds_total")
        .map(|(_, v)| v)
        .sum();
    assert_eq!(total[0].1["value"][1].as_str().unwrap().parse::<f64>().unwrap(), truth);

    let series = prometheus.query(&format!("{{__name__=~\"{PREFIX}livy_.*_total\"}}[1h]"));
    assert!(series.len() >= 6 * 12, "{} series", series.len());
    let (at_first, at_last) = (at_first.series(), lab.truth().series());
    let mut late = 0;
    for (series, row) in &series {
        let samples: Vec<f64> = row["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| pair[1].as_str().unwrap().parse().unwrap())
            .collect();
        assert!(samples.windows(2).all(|pair| pair[0] <= pair[1]), "{series} fell: {samples:?}");
        if series.labels["queue"] == "late_queue" || series.labels["livy_compute_id"] == late_gateway {
            late += 1;
            assert_eq!(samples[0], 0.0, "{series} appeared with a value: {samples:?}");
        }
        // No jump at the start and none at the end: the growth of the samples is the growth of the truth.
        let (first, last) = (at_first.get(series).copied().unwrap_or(0.0), at_last[series]);
        assert_eq!((samples[0], samples[samples.len() - 1]), (first, last), "{series}: {samples:?}");
    }
    assert!(late >= 6 * 2, "{late} series appeared late");
    // So that the increase over all of it is all of it.
    let increase = |queue: &str| {
        let query =
            format!("{PREFIX}livy_sessions_created_total{{queue=\"{queue}\",livy_compute_id=\"{first}\"}}");
        let range = prometheus.query(&format!("{query}[1h]"));
        let values = range[0].1["values"].as_array().unwrap().clone();
        let value = |pair: &Value| pair[1].as_str().unwrap().parse::<f64>().unwrap();
        value(values.last().unwrap()) - value(&values[0])
    };
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let created = lab.world().truth(workspace, first)["late_queue"].created as f64;
    assert_eq!(increase("late_queue"), created);

    // It takes OpenMetrics, with the exemplars that only that format has.
    let (status, exemplars) = prometheus.get(&format!(
        "query_exemplars?query={PREFIX}livy_session_duration_seconds_bucket&start=0&end=9999999999"
    ));
    assert!(status == 200 && exemplars.contains("\"session_id\""), "{exemplars}");

    // The queries of the documentation are understood, and those about usage have an answer.
    for query in crate::docs::queries() {
        let found = prometheus.query(&query);
        let is_about_trouble = query.contains("failure_info") || query.contains(" > ");
        assert!(is_about_trouble || !found.is_empty(), "no answer to {query}");
    }
}

#[test]
fn one_that_would_rather_have_protobuf_scrapes_by_tls_with_a_password() {
    let lab = Lab::new(world());
    let directory = lab.directory.path();
    let authority = Authority::new("house");
    authority.identity(&["localhost"]).write(directory, "server");
    fs::write(directory.join("ca.crt"), authority.pem()).unwrap();
    let web = directory.join("web.yml");
    let yaml = format!(
        "tls_server_config: {{cert_file: server.crt, key_file: server.key}}\n\
         basic_auth_users: {{prometheus: \"{}\"}}\n",
        bcrypt::hash("wonder", 4).unwrap()
    );
    fs::write(&web, yaml).unwrap();
    let daemon = lab.settings().set("web.config_file", &web.display().to_string()).start();
    let job = format!(
        "scheme: https, tls_config: {{ca_file: {}, server_name: localhost}}, \
         basic_auth: {{username: prometheus, password: wonder}}, ",
        directory.join("ca.crt").display()
    );
    // With native histograms, protobuf comes first in what it accepts.
    let prometheus = Prometheus::start_with(daemon.address, &job, "native-histograms");
    prometheus.until_truth(&lab.truth());
    assert_eq!(prometheus.query("up")[0].1["value"][1], "1");
    daemon.stop();
}
