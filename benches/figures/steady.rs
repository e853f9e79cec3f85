//! A poll of a long history with few sessions that can still change.

use std::time::Duration;

use tempfile::TempDir;

use crate::Outcome;
use crate::process::{Simulator, measured, number};
use crate::table::Row;

const SESSIONS: u32 = 1_000_000;
/// With runs of some twenty minutes, about twenty sessions run at a time.
const GAP: Duration = Duration::from_secs(70);
const POLLS: &str = "20";
const CPU_MILLIS_MAX: f64 = 5.0;

/// See the module.
pub fn section() -> Outcome<Vec<Row>> {
    let simulator = Simulator::start(SESSIONS, GAP, Duration::ZERO)?;
    let directory = TempDir::new()?;
    let ledger = directory.path().join("ledger.db").display().to_string();
    let report = measured("poll", &[&simulator.url, &ledger, POLLS])?;
    let millis = |name: &str| number(&report, name).map(|seconds| seconds * 1e3);
    let (poll, sweep) = (millis("poll_cpu_seconds")?, millis("sweep_cpu_seconds")?);
    let (running, requests) = (number(&report, "running")?, number(&report, "requests")?);
    Ok(vec![Row {
        what: format!("poll of a history of 1,000,000 sessions, {running} running: CPU"),
        measured: format!("{poll:.1} ms, {requests:.0} requests"),
        against: format!("its first sweep: {sweep:.0} ms"),
        ratio: Some(poll / sweep),
        goal: format!("at most {CPU_MILLIS_MAX} ms"),
        met: Some(poll <= CPU_MILLIS_MAX),
    }])
}
