//! What Livy sessions consumed, from the ledger.

use crate::clock::UnixMillis;
use crate::ledger::{GatewayTotals, SeriesTotals};
use crate::metrics::board::View;
use crate::metrics::lines::float;
use crate::metrics::page::Page;
use crate::metrics::{Family, Kind};
use crate::model::{Baseline, GatewayId, Usage};

const QUEUE: &[&str] = &["workspace_id", "livy_compute_id", "queue"];

const CU: Family = Family::counter(
    "livy_cu_seconds_total",
    QUEUE,
    "CU-seconds that Livy sessions consumed (cuHours × 3600, exactly; 1 CU = 1 vCPU + 4 GiB), an estimate of the \
     service: the bill is the authority. Each session counts at the highest value ever polled; kept in the ledger \
     across restarts.",
);
const VCORE: Family = Family::counter(
    "livy_vcore_seconds_total",
    QUEUE,
    "Allocated vcores × seconds of Livy sessions (vcoreSeconds). Each session counts at the highest value ever polled; \
     kept in the ledger across restarts.",
);
const MEMORY: Family = Family::counter(
    "livy_memory_byte_seconds_total",
    QUEUE,
    "Allocated memory in bytes × seconds of Livy sessions (mbSeconds × 2^20, exactly). Each session counts at the \
     highest value ever polled; kept in the ledger across restarts.",
);
const CREATED: Family = Family::counter(
    "livy_sessions_created_total",
    QUEUE,
    "Livy sessions that came into being, counted when a poll first lists them; kept in the ledger across restarts.",
);
const ENDED: Family = Family::counter(
    "livy_sessions_ended_total",
    &["workspace_id", "livy_compute_id", "queue", "state"],
    "Livy sessions that ended in this state, counted when a poll first lists them so; kept in the ledger across \
     restarts.",
);
const DURATION: Family = Family::histogram(
    "livy_session_duration_seconds",
    &["workspace_id", "livy_compute_id"],
    "Time from createTime to endTime of the Livy sessions that ended, in seconds, counted when a poll first lists them \
     so; kept in the ledger across restarts.",
);
const OVER_CU: Family = Family::gauge(
    "livy_overcounted_cu_seconds",
    QUEUE,
    "CU-seconds that the service took back after they were counted: counters never fall, subtract this for the \
     corrected total. Polled with the history.",
);
const OVER_VCORE: Family = Family::gauge(
    "livy_overcounted_vcore_seconds",
    QUEUE,
    "Vcore-seconds that the service took back after they were counted: counters never fall, subtract this for the \
     corrected total. Polled with the history.",
);
const OVER_MEMORY: Family = Family::gauge(
    "livy_overcounted_memory_byte_seconds",
    QUEUE,
    "Byte-seconds of memory that the service took back after they were counted: counters never fall, subtract this \
     for the corrected total. Polled with the history.",
);

pub(super) const FAMILIES: &[&Family] =
    &[&CU, &VCORE, &MEMORY, &CREATED, &ENDED, &DURATION, &OVER_CU, &OVER_VCORE, &OVER_MEMORY];

pub(super) fn render(view: View<'_>, page: &mut Page) {
    figure(view, page, &CU, |series| counted(series).cu_seconds());
    figure(view, page, &VCORE, |series| counted(series).vcore_seconds());
    figure(view, page, &MEMORY, |series| counted(series).memory_byte_seconds());
    figure(view, page, &CREATED, |series| if series.held { 0.0 } else { float(series.created) });
    page.family(&ENDED, |page| {
        for (id, gateway) in view.board.shown_gateways() {
            let zero = zero_at(view, id, gateway);
            for (queue, series) in &gateway.series {
                for (state, count) in [("terminated", series.terminated), ("error", series.error)] {
                    let labels = [id.workspace.workspace_id.as_str(), &id.livy_compute_id, queue, state];
                    page.sample(&ENDED, &labels, if series.held { 0.0 } else { float(count) });
                    page.created(&ENDED, &labels, zero);
                }
            }
        }
    });
    page.family(&DURATION, |page| {
        for (id, gateway) in view.board.shown_gateways() {
            // While all of a new gateway is held at zero, so are its durations.
            let held = !gateway.series.is_empty() && gateway.series.values().all(|series| series.held);
            let durations = if held { &gateway.durations.emptied() } else { &gateway.durations };
            let labels = [id.workspace.workspace_id.as_str(), &id.livy_compute_id];
            page.durations(&DURATION, &labels, durations, "session_id");
            page.created(&DURATION, &labels, zero_at(view, id, gateway));
        }
    });
    figure(view, page, &OVER_CU, |series| series.over.cu_seconds());
    figure(view, page, &OVER_VCORE, |series| series.over.vcore_seconds());
    figure(view, page, &OVER_MEMORY, |series| series.over.memory_byte_seconds());
}

/// When the counters of a gateway were at zero, where that is known: at the end of a baseline that is left out, or when
/// a gateway that was watched from its birth was created. Where the baseline is included, its usage began at no known time.
fn zero_at(view: View<'_>, id: &GatewayId, gateway: &GatewayTotals) -> Option<UnixMillis> {
    if gateway.born_watched {
        return view.board.gateway_created(id);
    }
    (gateway.baseline == Baseline::Exclude).then_some(gateway.baseline_cut)
}

/// What a counter shows of a series' usage.
fn counted(series: &SeriesTotals) -> Usage {
    if series.held { Usage::ZERO } else { series.usage() }
}

fn figure(view: View<'_>, page: &mut Page, family: &Family, of: impl Fn(&SeriesTotals) -> f64) {
    page.family(family, |page| {
        for (id, gateway) in view.board.shown_gateways() {
            let zero = zero_at(view, id, gateway).filter(|_| family.kind == Kind::Counter);
            for (queue, series) in &gateway.series {
                let labels = [id.workspace.workspace_id.as_str(), &id.livy_compute_id, queue];
                page.sample(family, &labels, of(series));
                page.created(family, &labels, zero);
            }
        }
    });
}
