//! Latency: a sweep with several requests in flight against one request at a time.

use std::time::Duration;

use tempfile::TempDir;

use crate::Outcome;
use crate::children::PAGE;
use crate::process::{BIRTH_GAP, Simulator, measured, number};
use crate::table::Row;

const SESSIONS: u32 = 40_000;
const LATENCY: Duration = Duration::from_millis(30);
const RATIO_MIN: f64 = 6.0;

/// See the module.
pub fn section() -> Outcome<Vec<Row>> {
    let simulator = Simulator::start(SESSIONS, BIRTH_GAP, LATENCY)?;
    let pages = SESSIONS / PAGE;
    let sequential = number(&measured("fetch", &[&simulator.url, &pages.to_string(), "1"])?, "seconds")?;
    let directory = TempDir::new()?;
    let ledger = directory.path().join("ledger.db").display().to_string();
    let sweep = number(&measured("sweep", &[&simulator.url, &ledger, "8"])?, "sweep_seconds")?;
    Ok(vec![Row {
        what: format!("sweep of {pages} pages at 30 ms of latency, max_in_flight 8"),
        measured: format!("{sweep:.2} s"),
        against: format!("one request at a time, nothing counted: {sequential:.2} s"),
        ratio: Some(sequential / sweep),
        goal: format!("at least {RATIO_MIN} × as fast"),
        met: Some(sequential / sweep >= RATIO_MIN),
    }])
}
