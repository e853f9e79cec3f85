//! `docs/metrics.md` holds the table of all families as the code has it, and names none that is not there;
//! `docs/troubleshooting.md` explains every reason of a failure.
//! With `UPDATE_EXPECTED=1` the table is written anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use emr_serverless_spark_exporter::api::wire::malformed_names;
use emr_serverless_spark_exporter::config::{self, LoadRequest};
use emr_serverless_spark_exporter::metrics::{OwnFamily, OwnMetrics, catalogue};
use emr_serverless_spark_exporter::model::{FailureReason, ScopeId};

use crate::harness::PREFIX;

const FILE: &str = "docs/metrics.md";
const TROUBLESHOOTING: &str = "docs/troubleshooting.md";
const BEGIN: &str = "<!-- families: begin -->\n";
const END: &str = "<!-- families: end -->\n";

/// A table: its title, and whether it holds the family of a name.
type Group = (&'static str, fn(&str) -> bool);

/// The tables, in their order.
const GROUPS: [Group; 9] = [
    ("Workspaces", |name| name.starts_with("workspace_")),
    ("Session clusters", |name| name.starts_with("session_cluster")),
    ("Livy gateways", |name| name.starts_with("livy_gateway_")),
    ("Usage, from the ledger", |name| {
        let ended = name.ends_with("_total") || name == "livy_session_duration_seconds";
        name.starts_with("livy_") && (ended || name.starts_with("livy_overcounted_"))
    }),
    ("Cost, as configured", |name| name.starts_with("livy_price_") || name == "livy_monthly_budget"),
    ("Livy sessions as they are listed", |name| name.starts_with("livy_session")),
    ("Targets", |name| {
        let of_one = [
            "success",
            "last_success_timestamp_seconds",
            "failure_info",
            "progress_ratio",
            "last_duration_seconds",
        ];
        of_one.iter().any(|what| name == format!("exporter_sweep_{what}"))
    }),
    ("The exporter itself", |name| name.starts_with("exporter_")),
    ("Its process", |name| name.starts_with("process_")),
];

/// Every family that the exporter has.
pub fn families() -> Vec<OwnFamily> {
    let watched = catalogue().into_iter().map(|family| OwnFamily {
        name: family.name(),
        kind: family.kind.as_str(),
        labels: family.labels.iter().map(|label| (*label).to_owned()).collect(),
        help: family.help.to_owned(),
    });
    let some = ScopeId { account: String::new(), region: String::new() };
    watched.chain(OwnMetrics::new(malformed_names(), &[some]).unwrap().catalogue()).collect()
}

fn tables() -> String {
    let mut left = families();
    let mut out = String::new();
    for (title, holds) in GROUPS {
        let is_held = |family: &OwnFamily| holds(family.name.strip_prefix(PREFIX).unwrap_or(&family.name));
        let (held, others) = left.into_iter().partition(is_held);
        left = others;
        let held: Vec<OwnFamily> = held;
        assert!(!held.is_empty(), "{title}");
        write!(out, "\n### {title}\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n").unwrap();
        for OwnFamily { name, kind, labels, help } in held {
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            writeln!(out, "| `{name}` | {kind} | {} | {} |", labels.join(", "), help.replace('|', "\\|"))
                .unwrap();
        }
    }
    assert!(left.is_empty(), "in no table: {left:#?}");
    out.push('\n');
    out
}

#[test]
fn the_tables_are_those_of_the_code() {
    let text = fs::read_to_string(FILE).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the mark where the tables begin");
    let (found, after) = rest.split_once(END).expect("the mark where the tables end");
    let expected = tables();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(FILE, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected, "in {FILE}; UPDATE_EXPECTED=1 writes the tables anew");
    }
    assert_eq!(found, expected);
}

#[test]
fn every_family_that_is_named_is_there() {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        return;
    }
    let text = fs::read_to_string(FILE).unwrap();
    let known: BTreeSet<String> = families()
        .into_iter()
        .flat_map(|family| ["", "_bucket", "_sum", "_count"].map(|part| format!("{}{part}", family.name)))
        .collect();
    let mut named = 0;
    for (at, _) in text.match_indices(PREFIX) {
        let end =
            text[at..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len() - at);
        assert!(known.contains(&text[at..at + end]), "{} is no family", &text[at..at + end]);
        named += 1;
    }
    assert!(named > 60, "{named}");
    assert!(queries().len() >= 8);
}

#[test]
fn every_recipe_for_credentials_loads_as_it_is_written() {
    let text = fs::read_to_string("docs/authentication.md").unwrap();
    let blocks = text.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap());
    // A recipe in a list is indented as a whole.
    let recipes: Vec<&str> = blocks.filter(|block| block.trim_start().starts_with("accounts:")).collect();
    assert_eq!(recipes.len(), 4);
    let rrsa = [
        ("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/r"),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:ram::1:oidc-provider/p"),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "/run/token"),
    ];
    for recipe in recipes {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), recipe).unwrap();
        let environment = rrsa.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let request = LoadRequest { file: Some(file.path()), environment, overrides: Vec::new() };
        if let Err(errors) = config::load(request) {
            panic!("{errors}\n{recipe}");
        }
    }
    for (at, _) in text.match_indices(PREFIX) {
        let name = text[at..].split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
        assert!(families().iter().any(|family| family.name == name), "{name} is no family");
    }
}

#[test]
fn every_reason_of_a_failure_is_explained_and_every_metric_beside_it_is_there() {
    let text = fs::read_to_string(TROUBLESHOOTING).unwrap();
    for reason in FailureReason::ALL {
        let rows = text.lines().filter(|line| line.starts_with(&format!("| `{reason}` |"))).count();
        assert_eq!(rows, 1, "{reason} in {TROUBLESHOOTING}");
    }
    let known: BTreeSet<String> = families().into_iter().map(|family| family.name).collect();
    for (at, _) in text.match_indices("`exporter_") {
        let name = text[at + 1..].split(['`', '{']).next().unwrap();
        assert!(known.contains(&format!("{PREFIX}{name}")), "{name} is no family");
    }
}

/// The queries of the documentation.
pub fn queries() -> Vec<String> {
    let text = fs::read_to_string(FILE).unwrap();
    let blocks = text.split("```promql\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect()
}
