//! Every form of the metrics page, as programs of others read it: the strict parser of Python's prometheus_client, curl,
//! and a real Prometheus.

use std::process::Command;

use crate::harness::{Daemon, Lab, Page, world};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Samples, exemplars and `_created` samples of the OpenMetrics form.
fn judged(daemon: &Daemon) -> [usize; 3] {
    let judge = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/scrape.py");
    let url = format!("http://{}/metrics", daemon.address);
    let output = Command::new(crate::sdk::python()).arg(judge).arg(url).output().unwrap();
    let [said, complained] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{complained}");
    let numbers: Vec<usize> = said.split_whitespace().map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

/// Head and body of an answer as curl has it.
fn curl(daemon: &Daemon, arguments: &[&str]) -> (String, String) {
    let url = format!("http://{}/metrics", daemon.address);
    let output = Command::new("curl")
        .args(["--silent", "--include", "--max-time", "60"])
        .args(arguments)
        .arg(url)
        .output();
    let output = output.unwrap_or_else(|error| panic!("curl: {error}; run make test, which installs it"));
    assert!(output.status.success(), "{:?}", output.status);
    let answer = String::from_utf8(output.stdout).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[test]
fn strict_parsers_of_others_accept_each_form_and_find_the_same_in_all() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    lab.settle(&daemon);
    let [samples, exemplars, created] = judged(&daemon);
    assert!(samples > 1_000 && exemplars > 0, "{samples} samples, {exemplars} exemplars");
    assert_eq!(created, 0, "they are told where they are asked for only");
    daemon.stop();

    let daemon = lab.settings().set("exposition.created_timestamps", "true").start();
    lab.settle(&daemon);
    let [_, _, created] = judged(&daemon);
    assert!(created > 0);
}

#[test]
fn curl_gets_what_it_asks_for() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    lab.settle(&daemon);
    let (head, body) = curl(&daemon, &["--compressed"]);
    assert!(head.contains("content-encoding: gzip"), "{head}");
    assert!(Page::parse(body).samples.len() > 1_000);
    let accept = format!("Accept: {OPEN_METRICS}");
    let (head, body) = curl(&daemon, &["--compressed", "--header", &accept]);
    assert!(head.contains(&format!("content-type: {OPEN_METRICS}")) && body.ends_with("\n# EOF\n"), "{head}");
    let (head, _) =
        curl(&daemon, &["--header", "Accept: image/png", "--header", "Accept-Encoding: gzip;q=0, *;q=0"]);
    assert!(head.starts_with("http/1.1 200") && !head.contains("content-encoding"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    for encoding in ["identity", "gzip"] {
        let header = format!("Accept-Encoding: {encoding}");
        let (head, body) = curl(&daemon, &["--head", "--header", &header]);
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        assert!(length.parse::<usize>().unwrap() > 1_000 && body.is_empty(), "{head}");
        assert_eq!(head.contains("content-encoding: gzip"), encoding == "gzip");
    }
}
