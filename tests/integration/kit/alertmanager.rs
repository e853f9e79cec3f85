//! Alertmanager's configuration: well-formed, and each alert comes to whom it concerns.

use std::fs;

use serde_json::json;

use super::{ALERTMANAGER, rules, run, yaml};

/// Which receivers get an alert of these labels.
fn receivers(labels: &[String]) -> String {
    let config = format!("--config.file={ALERTMANAGER}");
    let mut arguments = vec!["config", "routes", "test", &config];
    arguments.extend(labels.iter().map(String::as_str));
    run(".", "amtool", &arguments).trim().to_owned()
}

#[test]
fn amtool_has_nothing_to_say() {
    let said = run(".", "amtool", &["check-config", ALERTMANAGER]);
    assert!(said.contains("SUCCESS") && said.contains("6 inhibit rules"), "{said}");
}

#[test]
fn the_commented_receivers_are_well_formed() {
    let text = fs::read_to_string(ALERTMANAGER).unwrap();
    let (shipped, examples) =
        text.split_once("# Other receivers, with their secrets in files:\n#\n").unwrap();
    let examples: String =
        examples.lines().map(|line| format!("{}\n", line.strip_prefix('#').unwrap())).collect();
    let (routes, _) = shipped.split_once("receivers:\n").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("alertmanager.yml");
    fs::write(&file, format!("{routes}receivers:\n  - name: none\n{examples}")).unwrap();
    run(".", "amtool", &["check-config", file.to_str().unwrap()]);
    for secret in ["key:", "token:", "password:", "credentials:", "api_url:"] {
        assert!(!examples.contains(secret), "{secret} belongs into a file");
    }
}

#[test]
fn every_alert_comes_to_whom_it_concerns() {
    let mut seen = 0;
    for alert in rules().into_iter().filter(|rule| rule.is_alert) {
        let label = |key: &str| alert.labels[key].as_str().unwrap();
        let expected = match (label("severity"), label("component")) {
            ("critical", "cost") => "oncall,cost",
            ("critical", _) => "oncall",
            (_, "cost") => "cost",
            ("info", _) => "none",
            _ => "team",
        };
        let labels: Vec<String> = [
            format!("alertname={}", alert.name),
            format!("severity={}", label("severity")),
            format!("component={}", label("component")),
        ]
        .into();
        assert_eq!(receivers(&labels), expected, "{labels:?}");
        seen += 1;
    }
    assert!(seen >= 20);
    assert_eq!(receivers(&["alertname=SomethingElse".to_owned()]), "team", "nothing gets lost");
}

#[test]
fn inhibitions_name_alerts_that_there_are() {
    let names: Vec<String> = rules().into_iter().map(|rule| rule.name).collect();
    let config = yaml(ALERTMANAGER);
    let mut named = 0;
    for rule in config["inhibit_rules"].as_vec().unwrap() {
        for side in ["source_matchers", "target_matchers"] {
            for matcher in rule[side].as_vec().unwrap().iter().filter_map(|matcher| matcher.as_str()) {
                let Some((_, value)) = matcher.split_once('=').filter(|_| matcher.starts_with("alertname"))
                else {
                    continue;
                };
                for name in value.trim_matches(['~', '"']).split('|').filter(|name| !name.is_empty()) {
                    assert!(names.iter().any(|known| known == name), "{name}");
                    named += 1;
                }
            }
        }
        let equal: Vec<&str> =
            rule["equal"].as_vec().unwrap().iter().filter_map(|label| label.as_str()).collect();
        assert!(equal.starts_with(&["job", "instance"]), "another exporter's alerts are its own: {equal:?}");
    }
    assert!(named >= 10, "{named}");
}

#[test]
fn an_exporter_that_is_down_silences_every_other_alert_of_its_own() {
    let config = yaml(ALERTMANAGER);
    let rule = &config["inhibit_rules"][0];
    let matchers = |side: &str| -> Vec<String> {
        let list = rule[side].as_vec().unwrap().iter();
        list.map(|matcher| matcher.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(matchers("source_matchers"), ["alertname=\"EmrSparkExporterDown\""]);
    let targets = matchers("target_matchers");
    assert_eq!(targets[1..], ["alertname!=\"EmrSparkExporterDown\""], "it does not silence itself");
    let components = targets[0].strip_prefix("component=~\"").unwrap().strip_suffix('"').unwrap();
    for alert in rules().into_iter().filter(|rule| rule.is_alert) {
        let component = alert.labels["component"].as_str().unwrap();
        assert!(components.split('|').any(|named| named == component), "{}: {component}", alert.name);
    }
}

#[test]
fn the_bridge_to_dingtalk_has_the_receivers_targets() {
    let bridge = yaml("config/alertmanager/dingtalk.yml");
    let config = yaml(ALERTMANAGER);
    let mut urls = 0;
    for receiver in config["receivers"].as_vec().unwrap() {
        for webhook in receiver["webhook_configs"].as_vec().into_iter().flatten() {
            let name = receiver["name"].as_str().unwrap();
            assert_eq!(
                webhook["url"].as_str(),
                Some(&*format!("http://localhost:8060/dingtalk/{name}/send"))
            );
            assert!(bridge["targets"][name]["url"].as_str().is_some(), "{name}");
            urls += 1;
        }
    }
    assert_eq!(urls, 3);
}

/// What DingTalk shows of a notification: the title for the phone, and the text.
fn shown(status: &str, summaries: &[&str]) -> (String, String) {
    let alert = |summary: &&str| {
        json!({
            "status": status, "startsAt": "2026-01-02T03:04:05Z",
            "labels": {"alertname": "EmrSparkClusterError", "severity": "warning"},
            "annotations": {"summary": summary, "description": "A text.", "runbook_url": "http://e:1/help.md"},
        })
    };
    // Alertmanager names those annotations that all of the alerts have.
    let common = if let [summary] = summaries { json!({"summary": summary}) } else { json!({}) };
    let data = json!({
        "status": status, "alerts": summaries.iter().map(alert).collect::<Vec<_>>(),
        "commonLabels": {"alertname": "EmrSparkClusterError"}, "commonAnnotations": common,
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), data.to_string()).unwrap();
    let bridge = yaml("config/alertmanager/dingtalk.yml");
    let render = |part: &str| {
        let text = bridge["targets"]["oncall"]["message"][part].as_str().unwrap();
        let (text, data) =
            (format!("--template.text={text}"), format!("--template.data={}", file.path().display()));
        let glob = "--template.glob=config/alertmanager/dingtalk.tmpl";
        run(".", "amtool", &["template", "render", glob, "--template.type=text", &text, &data])
            .trim()
            .to_owned()
    };
    (render("title"), render("text"))
}

#[test]
fn what_dingtalk_shows_reads_well() {
    let (title, text) = shown("firing", &["SQL session x is in Error (analytics)"]);
    assert_eq!(title, "🔥 SQL session x is in Error (analytics)");
    for part in
        ["### 🔥 SQL", "A text.", "warning · since 2026-01-02 03:04:05 UTC", "[Runbook](http://e:1/help.md)"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (title, text) = shown("resolved", &["First", "Second"]);
    assert_eq!(title, "✅ EmrSparkClusterError × 2");
    assert!(text.contains("- (over) **First**") && text.contains("- (over) **Second**"), "{text}");
}
