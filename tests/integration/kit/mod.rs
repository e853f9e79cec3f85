//! The operator's kit: rules, runbooks, Alertmanager's configuration and dashboards, held against the tools that read them.

mod alertmanager;
mod dashboards;
mod documentation;
mod end_to_end;
mod rules;
mod stack;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use yaml_rust2::{Yaml, YamlLoader};

const RULES: &str = "config/prometheus/rules";
const ALERTMANAGER: &str = "config/alertmanager/alertmanager.yml";

/// A rule: an alert, or a recorded series.
struct Rule {
    name: String,
    is_alert: bool,
    expression: String,
    labels: Yaml,
    annotations: Yaml,
}

fn yaml(path: &str) -> Yaml {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    YamlLoader::load_from_str(&text).unwrap().remove(0)
}

/// All rules of the two files.
fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for file in ["recording.yml", "alerts.yml"] {
        let groups = yaml(&format!("{RULES}/{file}"));
        for rule in
            groups["groups"].as_vec().unwrap().iter().flat_map(|group| group["rules"].as_vec().unwrap())
        {
            let is_alert = rule["alert"].as_str().is_some();
            rules.push(Rule {
                name: rule["alert"].as_str().or(rule["record"].as_str()).unwrap().to_owned(),
                is_alert,
                expression: rule["expr"].as_str().unwrap().to_owned(),
                labels: rule["labels"].clone(),
                annotations: rule["annotations"].clone(),
            });
        }
    }
    rules
}

/// The files of a directory with this extension, in order.
fn files(directory: &str, extension: &str) -> BTreeSet<PathBuf> {
    let found = fs::read_dir(directory).unwrap_or_else(|error| panic!("{directory}: {error}"));
    let found = found.map(|entry| entry.unwrap().path());
    found.filter(|path| path.extension().is_some_and(|other| other == extension)).collect()
}

/// Runs a tool in a directory; what it said, and that it was content.
#[track_caller]
fn run(directory: &str, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(directory).output();
    let output =
        output.unwrap_or_else(|error| panic!("{program}: {error}; run make test, which installs it"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}{complaint}");
    said
}

/// The names of series in an expression: words with the prefix of the exporter, recorded or not.
fn series_in(expression: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    expression
        .split(|c| !is_part(c))
        .filter(|word| word.contains("emr_serverless_spark_"))
        .map(str::to_owned)
        .collect()
}
