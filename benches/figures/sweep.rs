//! The first full sweep of a long history: CPU a session, and memory.

use std::time::Duration;

use tempfile::TempDir;

use crate::Outcome;
use crate::children::PAGE;
use crate::process::{BIRTH_GAP, Simulator, measured, number};
use crate::table::{Row, median};

const SESSIONS: u32 = 1_000_000;
const FEW_SESSIONS: u32 = 100_000;
const RUNS: usize = 5;
/// The exporter's default.
const MAX_IN_FLIGHT: &str = "4";

const CPU_MICROS_MAX: f64 = 6.0;
const RATIO_MAX: f64 = 2.5;
const RSS_MIB_MAX: f64 = 64.0;
/// The peak with ten times the sessions: caches of a fixed size fill up, and nothing else grows.
const RSS_GROWTH_MAX: f64 = 1.5;

/// What one sweep took.
struct Sweep {
    cpu_micros: f64,
    rss_mib: f64,
    seconds: f64,
}

/// See the module.
pub fn section() -> Outcome<Vec<Row>> {
    let simulator = Simulator::start(SESSIONS, BIRTH_GAP, Duration::ZERO)?;
    let (mut sweeps, mut loops) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        sweeps.push(sweep(&simulator, SESSIONS)?);
        let pages = (SESSIONS / PAGE).to_string();
        let report = measured("fetch", &[&simulator.url, &pages, MAX_IN_FLIGHT])?;
        loops.push(number(&report, "cpu_seconds")? * 1e6 / f64::from(SESSIONS));
    }
    drop(simulator);
    let few = sweep(&Simulator::start(FEW_SESSIONS, BIRTH_GAP, Duration::ZERO)?, FEW_SESSIONS)?;

    let cpu = median(sweeps.iter().map(|sweep| sweep.cpu_micros).collect());
    let rss = sweeps.iter().map(|sweep| sweep.rss_mib).fold(0.0, f64::max);
    let seconds = median(sweeps.iter().map(|sweep| sweep.seconds).collect());
    let bare = median(loops);
    Ok(vec![
        Row {
            what: "first sweep of 1,000,000 sessions: CPU a session".into(),
            measured: format!("{cpu:.2} µs"),
            against: format!("fetching and parsing the pages only: {bare:.2} µs"),
            ratio: Some(cpu / bare),
            goal: format!("at most {CPU_MICROS_MAX} µs and {RATIO_MAX} ×"),
            met: Some(cpu <= CPU_MICROS_MAX && cpu / bare <= RATIO_MAX),
        },
        Row {
            what: "the same: peak RSS".into(),
            measured: format!("{rss:.1} MiB"),
            against: format!("a sweep of 100,000 sessions: {:.1} MiB", few.rss_mib),
            ratio: Some(rss / few.rss_mib),
            goal: format!("at most {RSS_MIB_MAX} MiB and {RSS_GROWTH_MAX} ×"),
            met: Some(rss <= RSS_MIB_MAX && rss / few.rss_mib <= RSS_GROWTH_MAX),
        },
        Row {
            what: "the same: time".into(),
            measured: format!("{seconds:.1} s"),
            against: "the simulator shares the machine".into(),
            ratio: None,
            goal: String::new(),
            met: None,
        },
    ])
}

fn sweep(simulator: &Simulator, sessions: u32) -> Outcome<Sweep> {
    let directory = TempDir::new()?;
    let ledger = directory.path().join("ledger.db").display().to_string();
    let report = measured("sweep", &[&simulator.url, &ledger, MAX_IN_FLIGHT])?;
    let held = number(&report, "sessions")?;
    if held != f64::from(sessions) {
        return Err(format!("the ledger holds {held} sessions instead of {sessions}").into());
    }
    Ok(Sweep {
        cpu_micros: number(&report, "cpu_seconds")? * 1e6 / f64::from(sessions),
        rss_mib: number(&report, "rss_mib")?,
        seconds: number(&report, "sweep_seconds")?,
    })
}
