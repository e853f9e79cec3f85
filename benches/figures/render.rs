//! The child that renders: what a change of every one of 100,000 series costs until there is a page.

use emr_serverless_spark_exporter::config;
use emr_serverless_spark_exporter::metrics::{Exposition, Gzip, Memory, SessionsView};
use emr_serverless_spark_exporter::model::{
    Format, GatewayId, ScopeId, SessionCounts, SessionObservation, SessionState, Usage, WorkspaceId,
};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::Outcome;
use crate::process::memory_mib;
use crate::table::median;

const GATEWAYS: usize = 40;
/// Of each gateway; five series each.
const SESSIONS: usize = 500;
/// Pages that are written, each after a change of all.
const PAGES: i64 = 100;
/// Pages that are compressed.
const COMPRESSED: usize = 25;

/// See the module.
pub fn render() -> Outcome<Value> {
    let settings = config::Exposition {
        zero_hold: Duration::ZERO,
        stale_after: Duration::from_secs(86_400),
        created_timestamps: false,
    };
    let scope = ScopeId { account: "bench".into(), region: "cn-hangzhou".into() };
    let exposition = Exposition::new(settings, config::Pricing::default(), vec![scope]);
    take(&exposition, &sweeps(0));
    let state_mib = memory_mib(std::process::id(), "VmRSS")?;
    let peak_mib = peak(&exposition)? - state_mib;
    let (mut labels, mut plain) = (Vec::new(), Vec::new());
    for round in 10..10 + PAGES {
        let sweeps = sweeps(round);
        let ((), taking) = timed(|| take(&exposition, &sweeps));
        let (_, writing) = timed(|| exposition.render(1_000).body);
        labels.push(taking);
        plain.push(taking + writing);
    }
    let body = exposition.render(1_000).body;
    let gzip = (0..COMPRESSED).map(|_| timed(|| Gzip::new(body.parts(Format::Text), None)).1).collect();
    let compressed = Gzip::new(body.parts(Format::Text), None);
    let compressed = compressed.with_end(&bytes::Bytes::new(), &Memory::default()).concat();
    Ok(json!({
        "label_millis": median(labels),
        "plain_millis": median(plain),
        "copy_millis": copy_millis(&body.parts(Format::Text).concat()),
        "gzip_millis": median(gzip),
        "plain_bytes": body.parts(Format::Text).concat().len(),
        "gzip_bytes": compressed.len(),
        "open_bytes": body.parts(Format::OpenMetrics).concat().len(),
        "peak_mib": peak_mib,
    }))
}

/// What it takes to copy a page line by line: the least that it takes to write one.
fn copy_millis(page: &[u8]) -> f64 {
    let lines: Vec<&[u8]> = page.split_inclusive(|byte| *byte == b'\n').collect();
    let mut copy = Vec::with_capacity(page.len());
    let copying = (0..COMPRESSED).map(|_| {
        copy.clear();
        timed(|| lines.iter().for_each(|line| copy.extend_from_slice(line))).1
    });
    median(copying.collect())
}

/// The most that is held as pages follow one another: the one that is shown stays until the next one is whole.
fn peak(exposition: &Exposition) -> Outcome<f64> {
    let mut shown = None;
    for round in 1..4 {
        take(exposition, &sweeps(round));
        let body = exposition.render(1_000).body;
        let before = shown.as_ref().map(|(_, gzip)| gzip);
        let gzip = Gzip::new(body.parts(Format::Text), before);
        shown = Some((body, gzip));
    }
    drop(shown);
    memory_mib(std::process::id(), "VmHWM")
}

/// What it gives, and the CPU time that this process takes for it, in milliseconds.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let now = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    };
    let started = now();
    let result = work();
    (result, (now() - started).as_secs_f64() * 1e3)
}

/// What a sweep of each gateway has found: all sessions with other figures than in any other round.
fn sweeps(round: i64) -> Vec<(GatewayId, Vec<SessionObservation>)> {
    let sweep = |number| {
        let workspace = WorkspaceId { account: "bench".into(), workspace_id: "w-975cb1ba9a1c5b48".into() };
        let gateway = GatewayId { workspace, livy_compute_id: format!("lc-{number:016x}") };
        (gateway, (0..SESSIONS).map(|session| active(number * SESSIONS + session, round)).collect())
    };
    (0..GATEWAYS).map(sweep).collect()
}

/// As the ends of sweeps do: labels are written here, and what was shown before is freed.
fn take(exposition: &Exposition, sweeps: &[(GatewayId, Vec<SessionObservation>)]) {
    for (gateway, sessions) in sweeps {
        let active: Vec<_> = sessions.iter().collect();
        let view = SessionsView::new(gateway, SessionCounts::default(), &active);
        exposition.update(|board| board.set_sessions(gateway.clone(), 0, view));
    }
}

fn active(number: usize, round: i64) -> SessionObservation {
    let figure = i64::try_from(number).unwrap_or(0) * 7_919 + round * 3_600;
    SessionObservation {
        session_id: format!("livy-{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        name: format!("etl-{}", number % 97),
        queue: "root_queue".into(),
        state: SessionState::Running,
        created: Some(1_768_213_240_000 + figure),
        ended: None,
        usage: Usage { nano_cu_hours: figure * 1_234_567, vcore_seconds: figure, mb_seconds: figure * 4_096 }
            .into(),
    }
}
