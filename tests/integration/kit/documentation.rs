//! `docs/monitoring.md`: its tables are whole, and what it tells to type works as it stands.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use emr_serverless_spark_exporter::config::{self, LoadRequest};

use super::rules::assert_known;
use super::{files, rules, run};

const FILE: &str = "docs/monitoring.md";

fn text() -> String {
    fs::read_to_string(FILE).unwrap()
}

/// The blocks of code in a language, without the indentation of a list.
fn blocks(language: &str) -> Vec<String> {
    let text = text();
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(indent) = line.find("```").filter(|at| line[at + 3..] == *language) else { continue };
        let code = lines.by_ref().take_while(|line| line.trim() != "```");
        blocks.push(code.map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect());
    }
    blocks
}

/// The one block of a language with this in it.
#[track_caller]
fn block(language: &str, part: &str) -> String {
    let mut found = blocks(language).into_iter().filter(|block| block.contains(part));
    let block = found.next().unwrap_or_else(|| panic!("no block with {part}"));
    assert!(found.next().is_none(), "two blocks with {part}");
    block
}

/// Copies a directory with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target);
        } else {
            fs::copy(&source, &target).unwrap();
        }
    }
}

/// All files below a directory whose text has this in it.
fn with(part: &str, directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(with(part, &path));
        } else if fs::read_to_string(&path).unwrap().contains(part) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn every_alert_and_every_dashboard_is_in_its_table() {
    let text = text();
    let mut expected = BTreeSet::new();
    for alert in rules().into_iter().filter(|rule| rule.is_alert) {
        let (name, severity) = (&alert.name, alert.labels["severity"].as_str().unwrap());
        expected.insert(format!("| [{name}](runbooks/{name}.md) | {severity} |"));
    }
    let rows = text.lines().filter(|line| line.starts_with("| [EmrSpark"));
    let rows: BTreeSet<String> =
        rows.map(|row| row.splitn(4, '|').take(3).collect::<Vec<_>>().join("|") + "|").collect();
    assert_eq!(rows, expected);
    for file in files("dashboards", "json") {
        let file = file.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(text.matches(&format!("(`{file}`)")).count(), 1, "{file}");
    }
}

#[test]
fn its_queries_and_prices_are_read_as_they_stand() {
    let text = text().replace("`…:emr_serverless_spark", "`exporter:emr_serverless_spark");
    assert_known(&text, FILE);
    let pricing = block("yaml", "pricing:");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("accounts: [{{regions: [cn-hangzhou]}}]\n{pricing}")).unwrap();
    let request = LoadRequest { file: Some(file.path()), environment: [], overrides: Vec::new() };
    let config = config::load(request).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.pricing.price(Some("ap-southeast-1"), "w-1", "root_queue", 0), Some(0.52));
    // As rules of their own, the queries are well-formed.
    let queries = blocks("promql");
    assert_eq!(queries.len(), 2);
    for query in queries {
        let query: String = query.lines().map(|line| format!("      {line}\n")).collect();
        let rule = format!("groups:\n- name: q\n  rules:\n  - record: a:b:c\n    expr: |\n{query}");
        fs::write(file.path(), rule).unwrap();
        run(".", "promtool", &["check", "rules", file.path().to_str().unwrap()]);
    }
}

#[test]
fn a_newcomers_prometheus_takes_the_rules() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("prometheus");
    let home = home.to_str().unwrap();
    run(".", "sh", &["-ec", &block("sh", "mkdir").replace("/etc/prometheus", home)]);
    let config = block("yaml", "rule_files:") + &block("yaml", "scrape_configs:");
    fs::write(format!("{home}/prometheus.yml"), config).unwrap();
    let check = block("sh", "check config").replace("/etc/prometheus", home);
    let said = run(".", "sh", &["-ec", check.lines().next().unwrap()]);
    assert!(said.contains("2 rule files found") && !said.contains("FAILED"), "{said}");
}

#[test]
fn who_gets_an_alert_is_asked_as_written() {
    assert_eq!(run(".", "sh", &["-ec", &block("sh", "amtool")]).trim(), "oncall");
}

#[test]
fn one_command_has_all_links_lead_elsewhere_and_leaves_all_else_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let at = |path: &str| directory.path().join(path);
    for part in ["config", "dashboards"] {
        copy(Path::new(part), &at(part));
    }
    let linking = with("/-/docs", directory.path()).len();
    assert!(linking >= 10, "rules, their tests, dashboards and their generator: {linking}");
    run(directory.path().to_str().unwrap(), "sh", &["-ec", &block("sh", "sed")]);
    assert_eq!(with("/-/docs", directory.path()), Vec::<String>::new());
    assert_eq!(with("https://git.your-company.cn/spark-exporter/docs", directory.path()).len(), linking);
    for alert in rules().into_iter().filter(|rule| rule.is_alert).map(|rule| rule.name) {
        let url = format!("https://git.your-company.cn/spark-exporter/docs/runbooks/{alert}.md");
        for place in ["config/prometheus/rules", "config/prometheus/tests", "dashboards"] {
            assert!(!with(&url, &at(place)).is_empty(), "{alert} in {place}");
        }
    }
    let tests = at("config/prometheus/tests");
    for file in files(tests.to_str().unwrap(), "yml") {
        run(tests.to_str().unwrap(), "promtool", &["test", "rules", file.to_str().unwrap()]);
    }
    // Their generator writes what the command made of the dashboards.
    let made: Vec<String> = files(at("dashboards").to_str().unwrap(), "json")
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    run(directory.path().to_str().unwrap(), "python3", &["-B", "dashboards/generator"]);
    let written: Vec<String> = files(at("dashboards").to_str().unwrap(), "json")
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    assert!(made == written);
}
