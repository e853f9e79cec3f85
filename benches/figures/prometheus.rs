//! A real Prometheus, which scrapes the daemon and nginx in turns.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::Outcome;
use crate::process::{Running, free_address, get, poll};
use crate::table::Row;

const SCRAPES: u64 = 45;

/// What it says that its scrapes took.
pub fn scrape_durations(daemon: &str, nginx: &str, directory: &Path) -> Outcome<Row> {
    let address = free_address()?;
    let config = directory.join("prometheus.yml");
    fs::write(
        &config,
        format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n\
             - {{job_name: daemon, static_configs: [{{targets: [\"{daemon}\"]}}]}}\n\
             - {{job_name: nginx, static_configs: [{{targets: [\"{nginx}\"]}}]}}\n"
        ),
    )?;
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", directory.join("tsdb").display()))
        .args([format!("--web.listen-address={address}"), "--log.level=error".to_owned()]);
    let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _process =
        Running(process.map_err(|error| format!("prometheus: {error}; run scripts/bench-tools.sh"))?);
    poll(&address, "/-/ready", "", Duration::from_millis(100))?;
    std::thread::sleep(Duration::from_secs(SCRAPES));
    let of = |job: &str| -> Outcome<f64> {
        let query = format!("quantile_over_time(0.5,scrape_duration_seconds{{job=%22{job}%22}}[40s])");
        let answer =
            get(&address, &format!("/api/v1/query?query={query}")).ok_or("no answer of Prometheus")?;
        let answer: Value = serde_json::from_str(&answer)?;
        let value =
            answer["data"]["result"][0]["value"][1].as_str().ok_or("Prometheus has no such scrape")?;
        Ok(value.parse::<f64>()? * 1e3)
    };
    let (own, nginx) = (of("daemon")?, of("nginx")?);
    Ok(Row {
        what: "scrape_duration_seconds of a real Prometheus, 100,000 series: p50".into(),
        measured: format!("{own:.0} ms"),
        against: format!("nginx, the same bytes: {nginx:.0} ms"),
        ratio: Some(own / nginx),
        goal: "at most 1.1 ×".into(),
        met: Some(own <= 1.1 * nginx),
    })
}
