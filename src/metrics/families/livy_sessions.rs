//! Livy sessions as listed now, from ListLivyComputeSessions.

use crate::metrics::Family;
use crate::metrics::board::View;
use crate::metrics::lines::float;
use crate::metrics::page::Page;
use crate::metrics::sessions::{Figures, SESSION, SESSION_INFO};
use crate::model::SessionState;

const COUNT: Family = Family::gauge(
    "livy_sessions",
    &["workspace_id", "livy_compute_id", "queue", "state"],
    "Livy sessions that the gateway's history lists in this state, ended ones included. \
     Polled: as of the last complete pass over the history.",
);
const INFO: Family = Family::gauge(
    "livy_session_info",
    SESSION_INFO,
    "An active Livy session and its attributes; always 1, to be joined on session_id. Only the largest by CU-hours, up \
     to series_limit a gateway. Polled: as of the last complete pass over the history.",
);
const CU: Family = Family::gauge(
    "livy_session_cu_seconds",
    SESSION,
    "CU-seconds that an active Livy session has consumed so far (cuHours × 3600; 1 CU = 1 vCPU + 4 GiB), an estimate of \
     the service: the bill is the authority. Polled with the history.",
);
const VCORE: Family = Family::gauge(
    "livy_session_vcore_seconds",
    SESSION,
    "Allocated vcores × seconds of an active Livy session so far (vcoreSeconds). Polled with the history.",
);
const MEMORY: Family = Family::gauge(
    "livy_session_memory_byte_seconds",
    SESSION,
    "Allocated memory in bytes × seconds of an active Livy session so far (mbSeconds × 2^20). Polled with the history.",
);
const CREATED: Family = Family::gauge(
    "livy_session_created_timestamp_seconds",
    SESSION,
    "When an active Livy session was created (createTime), in Unix seconds. Polled with the history.",
);

pub(super) const FAMILIES: &[&Family] = &[&COUNT, &INFO, &CU, &VCORE, &MEMORY, &CREATED];

pub(super) fn render(view: View<'_>, page: &mut Page) {
    page.family(&COUNT, |page| {
        for (id, sessions) in view.sessions() {
            for queue in sessions.counts.queues() {
                for state in SessionState::ALL {
                    let count = sessions.counts.get(queue, *state);
                    let labels =
                        [id.workspace.workspace_id.as_str(), &id.livy_compute_id, queue, state.as_str()];
                    page.sample(&COUNT, &labels, float(count));
                }
            }
        }
    });
    page.family(&INFO, |page| {
        for labels in view.sessions().flat_map(|(_, sessions)| sessions.info_labels()) {
            page.sample_with(labels, 1.0);
        }
    });
    let figure = |page: &mut Page, family: &Family, of: fn(&Figures) -> Option<f64>| {
        page.family(family, |page| {
            for (figures, labels) in view.sessions().flat_map(|(_, sessions)| sessions.figures()) {
                if let Some(value) = of(figures) {
                    page.sample_with(labels, value);
                }
            }
        });
    };
    figure(page, &CU, |of| of.cu_seconds);
    figure(page, &VCORE, |of| of.vcore_seconds);
    figure(page, &MEMORY, |of| of.memory_byte_seconds);
    figure(page, &CREATED, |of| of.created);
}
