//! The dashboards: as their generator writes them, whole, and within the rules of Grafana's dashboard-linter.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::{files, rules, run, series_in};
use crate::docs::families;

const DIRECTORY: &str = "dashboards";

/// The units of Grafana that are used, each known to the linter.
const UNITS: [&str; 6] = ["none", "s", "bytes", "percentunit", "reqps", "cps"];

/// All dashboards by the names of their files.
pub fn dashboards() -> Vec<(String, Value)> {
    let read = |path: &std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
    };
    files(DIRECTORY, "json").iter().map(read).collect()
}

/// The panels that show something.
pub fn panels(dashboard: &Value) -> Vec<&Value> {
    let all = dashboard["panels"].as_array().unwrap();
    all.iter().filter(|panel| panel["type"] != "row").collect()
}

/// The queries of a panel.
pub fn queries(panel: &Value) -> Vec<&str> {
    panel["targets"].as_array().unwrap().iter().map(|target| target["expr"].as_str().unwrap()).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

#[test]
fn they_are_what_their_generator_writes() {
    let directory = tempfile::tempdir().unwrap();
    run(".", "python3", &["-B", "dashboards/generator", directory.path().to_str().unwrap()]);
    let shipped = files(DIRECTORY, "json");
    assert_eq!(shipped.len(), 4);
    assert_eq!(files(directory.path().to_str().unwrap(), "json").len(), shipped.len());
    for path in shipped {
        let written = fs::read_to_string(directory.path().join(path.file_name().unwrap())).unwrap();
        let differs = fs::read_to_string(&path).unwrap() != written;
        assert!(!differs, "{} is not what `make dashboards` writes", path.display());
    }
}

#[test]
fn each_is_whole_and_finds_its_data_source() {
    let mut ids = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        assert!(ids.insert(text(&dashboard, "uid").to_owned()), "{file}");
        assert_eq!(dashboard["editable"], false, "{file}");
        assert_eq!(dashboard["schemaVersion"], 39, "{file}: Grafana 11");
        assert!(!text(&dashboard, "description").is_empty());
        assert!(dashboard.get("id").is_none() && dashboard.get("__inputs").is_none(), "{file}");
        let links: Vec<&str> =
            dashboard["links"].as_array().unwrap().iter().map(|link| text(link, "type")).collect();
        assert_eq!(links, ["dashboards", "link"], "{file}: to the other dashboards, to the runbooks");
        // Wherever a data source is named, it is the one that was chosen.
        let written = dashboard.to_string();
        let named = written.matches("\"datasource\":{").count();
        assert_eq!(
            written.matches("\"datasource\":{\"type\":\"prometheus\",\"uid\":\"${datasource}\"}").count(),
            named
        );
        assert!(named > 20, "{file}");
    }
}

#[test]
fn the_variables_are_as_the_linter_wants_them() {
    for (file, dashboard) in dashboards() {
        let list = dashboard["templating"]["list"].as_array().unwrap();
        let names: Vec<&str> = list.iter().map(|variable| text(variable, "name")).collect();
        let mut expected = vec!["datasource", "job", "instance", "account", "region"];
        if file != "exporter_health" {
            expected.extend(["workspace", "queue"]);
        }
        expected.push("exporter");
        assert_eq!(names, expected, "{file}");
        assert_eq!(
            (text(&list[0], "type"), text(&list[0], "query"), text(&list[0], "label")),
            ("datasource", "prometheus", "Data source")
        );
        for variable in &list[1..] {
            let name = text(variable, "name");
            assert_eq!(text(variable, "type"), "query", "{name}");
            assert_eq!(text(variable, "label").to_lowercase(), name);
            assert_eq!(variable["refresh"], 2, "{name} follows the range of time");
            assert!(text(variable, "definition").starts_with("label_values("), "{name}");
            assert_eq!(variable["definition"], variable["query"]["query"]);
            if name == "exporter" {
                // One address, for links; nobody is to choose it.
                assert!(variable["multi"] == false && variable["includeAll"] == false);
                assert_eq!(variable["hide"], 2);
                continue;
            }
            assert!(variable["multi"] == true && variable["includeAll"] == true, "{name}");
            let unused = !dashboard["panels"].to_string().contains(&format!("${name}\\\""));
            assert!(!unused, "{file}: nothing asks for {name}");
            // An empty queue or region is one, too.
            let all = if ["job", "instance"].contains(&name) { ".+" } else { ".*" };
            assert_eq!(text(variable, "allValue"), all, "{name}");
        }
    }
}

#[test]
fn every_panel_is_explained_has_a_unit_and_its_own_place() {
    for (file, dashboard) in dashboards() {
        let mut ids = BTreeSet::new();
        let mut titles = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = text(panel, "title");
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}: {title}");
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            assert!(w > 0 && h > 0 && x + w <= 24, "{file}: {title} is out of the grid");
            for cell in (y..y + h).flat_map(|row| (x..x + w).map(move |column| (row, column))) {
                assert!(taken.insert(cell), "{file}: {title} lies over another panel at {cell:?}");
            }
            if panel["type"] == "row" {
                continue;
            }
            assert!(titles.insert(title), "{file}: {title} is there twice");
            assert!(text(panel, "description").ends_with('.'), "{file}: {title}");
            let unit = text(&panel["fieldConfig"]["defaults"], "unit");
            assert!(UNITS.contains(&unit), "{file}: {title} has the unit {unit}");
            let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array().unwrap();
            assert!(steps[0]["value"].is_null() && steps[1..].iter().all(|step| step["value"].is_number()));
            for (i, target) in panel["targets"].as_array().unwrap().iter().enumerate() {
                assert_eq!(text(target, "refId"), ["A", "B", "C", "D"][i]);
                let is_table = target["format"] == "table";
                assert!(
                    is_table || !text(target, "legendFormat").is_empty(),
                    "{file}: {title} has no legend"
                );
            }
        }
    }
}

/// The links of a panel and of its columns.
fn links(panel: &Value) -> Vec<&Value> {
    let overrides = panel["fieldConfig"]["overrides"].as_array().into_iter().flatten();
    let properties = overrides.flat_map(|one| one["properties"].as_array().unwrap());
    let of_columns =
        properties.filter(|one| one["id"] == "links").flat_map(|one| one["value"].as_array().unwrap());
    panel["links"].as_array().into_iter().flatten().chain(of_columns).collect()
}

#[test]
fn every_link_leads_to_a_dashboard_or_to_what_the_exporter_serves() {
    let all = dashboards();
    let uids: BTreeSet<&str> = all.iter().map(|(_, dashboard)| text(dashboard, "uid")).collect();
    let (mut runbooks, mut others) = (BTreeSet::new(), 0);
    for (file, dashboard) in &all {
        let own = dashboard["links"].as_array().unwrap().iter().filter(|link| link["type"] == "link");
        for link in own.chain(panels(dashboard).into_iter().flat_map(links)) {
            let url = text(link, "url");
            assert!(!text(link, "title").is_empty());
            if let Some(rest) = url.strip_prefix("/d/") {
                let uid = rest.strip_suffix("?${__url_time_range}&${__all_variables}").unwrap();
                assert!(uids.contains(uid) && text(dashboard, "uid") != uid, "{file}: {url}");
                others += 1;
                continue;
            }
            let page =
                url.strip_prefix("http://${exporter}/-/docs/").unwrap_or_else(|| panic!("{file}: {url}"));
            match page.split_once("${__data.fields.") {
                None => assert!(fs::exists(format!("docs/{page}")).unwrap(), "{file}: {url}"),
                // Where the value of a column makes the address: the directory, or the page.
                Some((start, field)) => {
                    assert!(["runbooks/", "troubleshooting.md#"].contains(&start), "{file}: {url}");
                    assert!(["Alert}.md", "Reason}"].contains(&field), "{file}: {url}");
                }
            }
            runbooks.insert(page.to_owned());
        }
    }
    assert!(others > 8, "{others} links between the dashboards");
    for alert in rules().into_iter().filter(|rule| rule.is_alert).map(|rule| rule.name) {
        assert!(runbooks.contains(&format!("runbooks/{alert}.md")), "no panel leads to {alert}");
    }
}

#[test]
fn every_query_is_within_the_linters_rules() {
    let mut known: BTreeSet<String> =
        rules().into_iter().filter(|rule| !rule.is_alert).map(|rule| rule.name).collect();
    for family in families() {
        known.extend(["", "_bucket", "_sum", "_count"].map(|part| format!("{}{part}", family.name)));
    }
    let mut seen = 0;
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            let title = format!("{file}: {}", text(panel, "title"));
            assert!(!queries(panel).is_empty(), "{title}");
            for query in queries(panel) {
                seen += 1;
                let unknown: Vec<_> = series_in(query).difference(&known).cloned().collect();
                assert!(unknown.is_empty(), "{title}: {unknown:?}");
                // Every selector is of the exporters that were chosen.
                let selectors = query.matches('{').count();
                assert_eq!(
                    query.matches("{job=~\"$job\", instance=~\"$instance\"").count(),
                    selectors,
                    "{title}: {query}"
                );
                for range in query.split("rate(").skip(1).map(|rest| rest.split(')').next().unwrap()) {
                    assert!(range.ends_with("[$__rate_interval]"), "{title}: {query}");
                }
                for (at, _) in query.match_indices("_total{") {
                    let start = query[..at]
                        .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                        .map_or(0, |i| i + 1);
                    let before = &query[..start];
                    assert!(
                        before.ends_with("rate(") || before.ends_with("increase("),
                        "{title}: a bare counter: {query}"
                    );
                }
                assert!(!query.contains(" offset "), "{title}");
            }
        }
    }
    assert!(seen > 80, "{seen}");
}

#[test]
fn grafana_is_told_where_they_are() {
    let provider = super::yaml("config/grafana/provisioning/dashboards/emr-serverless-spark.yml");
    assert_eq!(provider["providers"][0]["type"].as_str(), Some("file"));
    assert_eq!(provider["providers"][0]["allowUiUpdates"].as_bool(), Some(false));
    let source = super::yaml("config/grafana/provisioning/datasources/prometheus.yml");
    assert_eq!(source["datasources"][0]["type"].as_str(), Some("prometheus"));
    assert!(source["datasources"][0]["uid"].is_badvalue(), "no dashboard names it");
    let scrape = super::yaml("config/prometheus/prometheus.yml");
    let interval = scrape["scrape_configs"][0]["scrape_interval"].as_str();
    assert_eq!(source["datasources"][0]["jsonData"]["timeInterval"].as_str(), interval);
}
