//! Livy gateways, from ListLivyCompute.

use crate::metrics::Family;
use crate::metrics::board::View;
use crate::metrics::lines::seconds;
use crate::metrics::page::Page;
use crate::model::GatewayState;

const INFO: Family = Family::gauge(
    "livy_gateway_info",
    &["workspace_id", "livy_compute_id", "name", "queue", "created_by"],
    "A Livy gateway and its attributes; always 1, to be joined on livy_compute_id. \
     Polled: as of the last complete ListLivyCompute.",
);
const STATE: Family = Family::gauge(
    "livy_gateway_state",
    &["workspace_id", "livy_compute_id", "state"],
    "Whether a Livy gateway is in this state: 1 for the state it is in, 0 for the others. \
     Polled: as of the last complete ListLivyCompute.",
);
const CREATED: Family = Family::gauge(
    "livy_gateway_created_timestamp_seconds",
    &["workspace_id", "livy_compute_id"],
    "When a Livy gateway was created (gmtCreate), in Unix seconds. Polled with ListLivyCompute.",
);
const STARTED: Family = Family::gauge(
    "livy_gateway_start_timestamp_seconds",
    &["workspace_id", "livy_compute_id"],
    "When a Livy gateway was last started (startTime), in Unix seconds; absent if it never was. \
     Polled with ListLivyCompute.",
);

pub(super) const FAMILIES: &[&Family] = &[&INFO, &STATE, &CREATED, &STARTED];

pub(super) fn render(view: View<'_>, page: &mut Page) {
    page.family(&INFO, |page| {
        for (id, row) in view.gateways() {
            let labels =
                [id.workspace_id.as_str(), &row.livy_compute_id, &row.name, &row.queue, &row.created_by];
            page.sample(&INFO, &labels, 1.0);
        }
    });
    page.family(&STATE, |page| {
        for (id, row) in view.gateways() {
            for state in GatewayState::ALL {
                let labels = [id.workspace_id.as_str(), &row.livy_compute_id, state.as_str()];
                page.sample(&STATE, &labels, f64::from(*state == row.state));
            }
        }
    });
    page.family(&CREATED, |page| {
        for (id, row) in view.gateways() {
            if let Some(created) = row.created {
                page.sample(&CREATED, &[&id.workspace_id, &row.livy_compute_id], seconds(created));
            }
        }
    });
    page.family(&STARTED, |page| {
        for (id, row) in view.gateways() {
            if let Some(started) = row.started {
                page.sample(&STARTED, &[&id.workspace_id, &row.livy_compute_id], seconds(started));
            }
        }
    });
}
