//! The child that renders: what a change of every one of 100,000 series costs until there is a page.

use emr_serverless_spark_exporter::config;
use emr_serverless_spark_exporter::metrics::{Exposition, Gzip, Memory, SessionsView};
use emr_serverless_spark_exporter::model::{
    Format, GatewayId, ScopeId, SessionObservation, SessionState, Usage, WorkspaceId,
};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Outcome;
use crate::process::{cpu_seconds, memory_mib};
use crate::table::median;

const GATEWAYS: usize = 40;
/// Of each gateway; five series each.
const SESSIONS: usize = 500;
/// Renderings between two looks at the CPU time, which counts in hundredths of a second.
const BATCH: u32 = 25;
const BATCHES: usize = 5;

/// See the module.
pub fn render() -> Outcome<Value> {
    let settings = config::Exposition {
        zero_hold: Duration::ZERO,
        stale_after: Duration::from_secs(86_400),
        created_timestamps: false,
    };
    let scope = ScopeId { account: "bench".into(), region: "cn-hangzhou".into() };
    let exposition = Exposition::new(settings, config::Pricing::default(), vec![scope]);
    let (mut plain, mut gzip, mut round) = (Vec::new(), Vec::new(), 10);
    let (mut sizes, mut open_bytes) = ((0, 0), 0);
    change(&exposition, 0);
    let state_mib = memory_mib(std::process::id(), "VmRSS")?;
    let peak_mib = peak(&exposition)? - state_mib;
    for _ in 0..BATCHES {
        round += 1;
        change(&exposition, round);
        let started = cpu_seconds()?;
        for _ in 0..BATCH {
            drop(exposition.render(1_000));
        }
        plain.push((cpu_seconds()? - started) * 1e3 / f64::from(BATCH));
        let body = exposition.render(1_000).body;
        open_bytes = body.parts(Format::OpenMetrics).concat().len();
        let started = cpu_seconds()?;
        for _ in 0..BATCH / 5 {
            let compressed = Gzip::new(body.parts(Format::Text), None);
            sizes = (
                body.parts(Format::Text).concat().len(),
                compressed.with_end(&bytes::Bytes::new(), &Memory::default()).concat().len(),
            );
        }
        gzip.push((cpu_seconds()? - started) * 1e3 / f64::from(BATCH / 5));
    }
    Ok(json!({
        "plain_millis": median(plain),
        "gzip_millis": median(gzip),
        "plain_bytes": sizes.0,
        "gzip_bytes": sizes.1,
        "open_bytes": open_bytes,
        "peak_mib": peak_mib,
    }))
}

/// The most that is held as pages follow one another: the one that is shown stays until the next one is whole.
fn peak(exposition: &Exposition) -> Outcome<f64> {
    let mut shown = None;
    for round in 1..4 {
        change(exposition, round);
        let body = exposition.render(1_000).body;
        let before = shown.as_ref().map(|(_, gzip)| gzip);
        let gzip = Gzip::new(body.parts(Format::Text), before);
        shown = Some((body, gzip));
    }
    drop(shown);
    memory_mib(std::process::id(), "VmHWM")
}

/// All sessions with other figures than before.
fn change(exposition: &Exposition, round: i64) {
    for number in 0..GATEWAYS {
        let workspace = WorkspaceId { account: "bench".into(), workspace_id: "w-975cb1ba9a1c5b48".into() };
        let gateway = GatewayId { workspace, livy_compute_id: format!("lc-{number:016x}") };
        let active = (0..SESSIONS).map(|session| active(number * SESSIONS + session, round)).collect();
        let view = SessionsView { active, ..SessionsView::default() };
        exposition.update(|board| board.set_sessions(gateway, 0, view));
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
        usage: Usage { nano_cu_hours: figure * 1_000_000, vcore_seconds: figure, mb_seconds: figure * 4_096 }
            .into(),
    }
}
