//! From the start of the daemon on a large ledger to the first page with counters.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Outcome;
use crate::process::{BIRTH_GAP, EXPORTER, Running, Simulator, measured, poll, sample};
use crate::table::{Row, median};

const SESSIONS: u32 = 1_000_000;
const RUNS: usize = 5;
const SECONDS_MAX: f64 = 1.0;

/// See the module.
pub fn section() -> Outcome<Vec<Row>> {
    let directory = TempDir::new()?;
    let ledger = directory.path().join("ledger.db").display().to_string();
    let simulator = Simulator::start(SESSIONS, BIRTH_GAP, Duration::ZERO)?;
    measured("sweep", &[&simulator.url, &ledger, "4"])?;
    drop(simulator);
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let config = directory.path().join("exporter.yaml");
    // Nothing answers at the endpoint: what the page shows is what the ledger held.
    write!(
        fs::File::create(&config)?,
        "accounts:\n  - name: bench\n    regions: [cn-hangzhou]\n    endpoint: http://127.0.0.1:9\n    \
         credentials: {{type: static, access_key_id: a, access_key_secret: b}}\n\
         ledger: {{path: {ledger}, backup_interval: 0s}}\nweb: {{listen_address: \"{address}\"}}\nlog: {{level: warn}}\n"
    )?;
    let (mut opened, mut read) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let started = Instant::now();
        let bytes = fs::read(&ledger)?;
        read.push(started.elapsed().as_secs_f64());
        drop(bytes);
        let started = Instant::now();
        let mut command = Command::new(EXPORTER);
        let _daemon = Running(command.args(["serve", "--config.file"]).arg(&config).spawn()?);
        let counters = "livy_cu_seconds_total{";
        let page = poll(&address, "/metrics", counters, Duration::from_millis(2))?;
        opened.push(started.elapsed().as_secs_f64());
        let sessions = sample(&page, "emr_serverless_spark_exporter_ledger_sessions ")?;
        if sessions != f64::from(SESSIONS) {
            return Err(format!("the ledger holds {sessions} sessions").into());
        }
    }
    let (opened, read) = (median(opened), median(read));
    Ok(vec![Row {
        what: "start on a ledger of 1,000,000 sessions to a served /metrics".into(),
        measured: format!("{opened:.2} s"),
        against: format!("reading the file: {read:.2} s"),
        ratio: Some(opened / read),
        goal: format!("under {SECONDS_MAX} s"),
        met: Some(opened < SECONDS_MAX),
    }])
}
