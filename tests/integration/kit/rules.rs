//! Rules, their tests and the runbooks: in step, clean, and about series that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{Rule, files, rules, run, series_in, yaml};
use crate::docs::families;

const TESTS: &str = "config/prometheus/tests";
const RUNBOOKS: &str = "docs/runbooks";

fn alerts() -> Vec<Rule> {
    rules().into_iter().filter(|rule| rule.is_alert).collect()
}

#[test]
fn promtool_has_nothing_to_say_about_configuration_and_rules() {
    let said = run("config/prometheus", "promtool", &["check", "config", "prometheus.yml"]);
    assert!(!said.contains("FAILED") && said.contains("is valid"), "{said}");
    // With every lint, which promtool would otherwise only print.
    run(
        "config/prometheus",
        "promtool",
        &["check", "rules", "--lint=all", "--lint-fatal", "rules/recording.yml", "rules/alerts.yml"],
    );
}

#[test]
fn the_tests_of_the_rules_pass() {
    for file in files(TESTS, "yml") {
        let name = file.file_name().unwrap().to_str().unwrap();
        run(TESTS, "promtool", &["test", "rules", name]);
    }
}

#[test]
fn every_alert_has_a_test_that_fires_and_one_that_does_not() {
    let mut fires = BTreeSet::new();
    let mut silent = BTreeSet::new();
    for file in files(TESTS, "yml") {
        let text = yaml(file.to_str().unwrap());
        for test in text["tests"].as_vec().unwrap() {
            assert!(!test["input_series"].as_vec().unwrap().is_empty(), "{:?} watches nothing", test["name"]);
            for case in test["alert_rule_test"].as_vec().into_iter().flatten() {
                let expected = case["exp_alerts"].as_vec().unwrap();
                let side = if expected.is_empty() { &mut silent } else { &mut fires };
                side.insert(case["alertname"].as_str().unwrap().to_owned());
            }
        }
    }
    let names: BTreeSet<String> = alerts().into_iter().map(|alert| alert.name).collect();
    assert!(names.len() >= 20, "{names:?}");
    assert_eq!(fires, names, "alerts with a case that fires");
    assert_eq!(silent, names, "alerts with a case that does not");
}

#[test]
fn every_alert_tells_how_bad_it_is_what_it_is_and_where_help_is() {
    for Rule { name, labels, annotations, expression, .. } in alerts() {
        let text = |key: &str| annotations[key].as_str().unwrap_or_else(|| panic!("{name} has no {key}"));
        let severity = labels["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        let component = labels["component"].as_str().unwrap();
        assert!(
            ["exporter", "target", "cluster", "livy", "cost"].contains(&component),
            "{name}: {component}"
        );
        assert!(text("description").ends_with('.'), "{name}");
        // Whoever is called finds it where the exporter is; of one that is not scraped at all there is no address.
        let exporter = match name.as_str() {
            "EmrSparkExporterDown" => "{{ with $labels.instance }}{{ . }}{{ else }}localhost:10990{{ end }}",
            _ => "{{ $labels.instance }}",
        };
        assert_eq!(text("runbook_url"), format!("http://{exporter}/-/docs/runbooks/{name}.md"));
        // A phone shows about this much, templates and all taken for a word.
        let mut summary = String::new();
        for (i, part) in text("summary").split("{{").enumerate() {
            summary += if i == 0 { part } else { part.split_once("}}").unwrap().1 };
        }
        assert!(summary.len() <= 60 && !summary.ends_with('.'), "{name}: {summary:?}");
        for aggregation in ["sum by (", "count by ("] {
            for by in expression.split(aggregation).skip(1) {
                assert!(by.starts_with("job, instance"), "{name} loses what inhibition needs: {by}");
            }
        }
    }
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let severities: BTreeMap<String, String> = alerts()
        .into_iter()
        .map(|alert| (alert.name, alert.labels["severity"].as_str().unwrap().to_owned()))
        .collect();
    let mut found = BTreeSet::new();
    for file in files(RUNBOOKS, "md") {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let severity = severities.get(&name).unwrap_or_else(|| panic!("{name} is no alert"));
        assert!(text.starts_with(&format!("# {name}\n\nSeverity: {severity}.\n")), "{name}");
        let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings, ["What it means", "Impact", "How to check", "How to fix"], "{name}");
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            assert!(file.parent().unwrap().join(link).exists(), "{name} links to {link}");
        }
        assert_known(&text, &name);
        found.insert(name);
    }
    assert_eq!(found, severities.into_keys().collect());
}

#[test]
fn rules_are_about_series_that_there_are() {
    for rule in rules() {
        assert_known(&rule.expression, &rule.name);
        let texts = rule.annotations.as_hash().into_iter().flatten();
        texts.for_each(|(_, text)| assert_known(text.as_str().unwrap(), &rule.name));
    }
}

#[test]
fn only_counters_are_taken_to_increase() {
    let kinds: BTreeMap<String, &str> =
        families().into_iter().map(|family| (family.name, family.kind)).collect();
    let mut seen = 0;
    for rule in rules() {
        for function in ["increase(", "rate(", "irate("] {
            for argument in rule.expression.split(function).skip(1) {
                let name = series_in(argument.split(')').next().unwrap()).pop_first().unwrap();
                let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
                let kind = kinds.get(family.unwrap_or(&name)).or_else(|| kinds.get(&name));
                assert!(matches!(kind, Some(&"counter" | &"histogram")), "{}: {name} is {kind:?}", rule.name);
                seen += 1;
            }
        }
    }
    assert!(seen > 15, "{seen}");
}

/// Asserts that the exporter has, or a rule records, every series that is named.
#[track_caller]
pub fn assert_known(text: &str, place: &str) {
    let mut known: BTreeSet<String> =
        rules().into_iter().filter(|rule| !rule.is_alert).map(|rule| rule.name).collect();
    for family in families() {
        known.extend(["", "_bucket", "_sum", "_count"].map(|part| format!("{}{part}", family.name)));
    }
    let unknown: Vec<String> = series_in(text).difference(&known).cloned().collect();
    assert!(unknown.is_empty(), "{place}: {unknown:?}");
}
