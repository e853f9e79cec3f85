//! The metrics page of a seeded world that stands still, whole: `tests/data/golden/metrics.txt`.
//! With `UPDATE_EXPECTED=1` it is written anew, for a person to read in the diff.

use std::fs;

use emr_serverless_spark_exporter::build_info;
use emr_serverless_spark_exporter::sim::{ClusterState, WorldConfig};

use crate::harness::{HOUR, Lab, PREFIX, metric};

const GOLDEN: &str = "tests/data/golden/metrics.txt";

/// Families whose values follow the machine or its clock, by the beginning of their sample's names. All else must be
/// the same on every machine, to the last digit.
const MASKED: [&str; 15] = [
    "process_",
    "emr_serverless_spark_exporter_api_request_duration_seconds_bucket",
    "emr_serverless_spark_exporter_api_request_duration_seconds_sum",
    "emr_serverless_spark_exporter_clock_offset_seconds{",
    "emr_serverless_spark_exporter_config_last_reload_success_timestamp_seconds",
    "emr_serverless_spark_exporter_ledger_commit_duration_seconds",
    "emr_serverless_spark_exporter_ledger_filesystem_",
    "emr_serverless_spark_exporter_ledger_last_backup_timestamp_seconds",
    "emr_serverless_spark_exporter_ledger_size_bytes",
    "emr_serverless_spark_exporter_snapshot_age_seconds",
    "emr_serverless_spark_exporter_sweep_duration_seconds_bucket",
    "emr_serverless_spark_exporter_sweep_duration_seconds_sum",
    "emr_serverless_spark_exporter_sweep_last_duration_seconds",
    "emr_serverless_spark_exporter_sweep_last_success_timestamp_seconds",
    "emr_serverless_spark_exporter_sweep_progress_ratio",
];

/// 2026-01-12T10:20:40Z
const START: i64 = 1_768_213_240_000;

/// Small, and the same each time.
pub fn seeded_world() -> WorldConfig {
    WorldConfig {
        seed: 20_260_112,
        start: START,
        speed: 0.0,
        workspaces: 2,
        queues: 2,
        session_clusters: 4,
        gateways: 1,
        history: 120,
        history_span: 24 * HOUR,
        ..WorldConfig::default()
    }
}

fn normalised(page: &str) -> String {
    let line = |line: &str| -> String {
        let is_masked = MASKED.iter().any(|start| line.starts_with(start));
        match line.rsplit_once(' ') {
            Some((series, _)) if is_masked => format!("{series} (masked)\n"),
            _ => format!("{}\n", masked_build(line)),
        }
    };
    page.lines().map(line).collect()
}

/// The build's labels must be those of this build; their values are another build's tomorrow.
fn masked_build(line: &str) -> String {
    let labels = |version: &str, revision: &str, date: &str| {
        format!("build_info{{version=\"{version}\",revision=\"{revision}\",build_date=\"{date}\"}}")
    };
    let own = labels(build_info::VERSION, build_info::REVISION, build_info::DATE);
    line.replace(&own, &labels("(masked)", "(masked)", "(masked)"))
}

#[test]
fn the_page_of_a_seeded_world_is_as_it_was() {
    let lab = Lab::new(seeded_world());
    let cluster = &lab.world().clusters(&lab.world().workspace_ids()[0])[1].id;
    lab.world().set_cluster_state(cluster, ClusterState::Error, "ResourceNotEnough");
    // One sweep of each target, so that what they count is the same every time.
    let mut settings = lab.settings().set("exposition.stale_after", "2days");
    for kind in ["workspaces", "session_clusters", "livy_gateways", "livy_sessions"] {
        settings = settings.set(&format!("collectors.{kind}.interval"), "24h");
    }
    let daemon = settings.start();
    let page = daemon.until("one sweep of each target", |page| {
        match metric("exporter_sweep_success").sum_in(page) {
            7.0 => lab.truth().equals(page),
            count => Err(format!("{count} of 1 + 2 × 3")),
        }
    });
    assert!(metric("session_cluster_failure_info").count_in(&page) > 0);
    assert!(metric("livy_session_info").count_in(&page) > 0);

    let page = normalised(&page.text);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(GOLDEN, &page).unwrap();
    }
    let golden = fs::read_to_string(GOLDEN).unwrap();
    for (number, (shown, expected)) in page.lines().zip(golden.lines()).enumerate() {
        assert_eq!(
            shown,
            expected,
            "line {} of {GOLDEN}; UPDATE_EXPECTED=1 takes over what is shown",
            number + 1
        );
    }
    assert_eq!(page.lines().count(), golden.lines().count());
}

#[test]
fn what_is_masked_is_there_and_nothing_else_is_hidden() {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        return;
    }
    let golden = fs::read_to_string(GOLDEN).unwrap();
    let masked: Vec<&str> = golden.lines().filter(|line| line.ends_with(" (masked)")).collect();
    for start in MASKED {
        let is_between_sweeps = start.ends_with("progress_ratio");
        assert_eq!(masked.iter().any(|line| line.starts_with(start)), !is_between_sweeps, "{start}");
    }
    assert!(!masked.iter().any(|line| line.starts_with(&format!("{PREFIX}livy"))));
    assert!(golden.lines().filter(|line| !line.starts_with('#')).count() > masked.len() * 2);
}
