//! What usage costs: prices and the budget, as configured.

use std::collections::BTreeSet;

use crate::metrics::Family;
use crate::metrics::board::View;
use crate::metrics::page::Page;

const PRICE: Family = Family::gauge(
    "livy_price_per_cu_hour",
    &["workspace_id", "queue", "currency"],
    "Price of a CU-hour (3600 CU-seconds) of this queue's Livy sessions that holds now, as set in pricing; absent where \
     none is. Usage times price is an estimate: the bill is the authority.",
);
const BUDGET: Family = Family::gauge(
    "livy_monthly_budget",
    &["currency"],
    "What all Livy sessions may cost in 30 days, as set in pricing.monthly_budget; absent where it is not.",
);

pub(super) const FAMILIES: &[&Family] = &[&PRICE, &BUDGET];

pub(super) fn render(view: View<'_>, page: &mut Page) {
    let pricing = view.pricing;
    let queues: BTreeSet<_> = view
        .board
        .shown_gateways()
        .flat_map(|(id, gateway)| gateway.series.keys().map(|queue| (&id.workspace, queue.as_str())))
        .collect();
    page.family(&PRICE, |page| {
        for (workspace, queue) in &queues {
            let region = view.board.region(workspace);
            if let Some(price) = pricing.price(region, &workspace.workspace_id, queue, view.now) {
                page.sample(&PRICE, &[&workspace.workspace_id, queue, &pricing.currency], price);
            }
        }
    });
    page.family(&BUDGET, |page| {
        if let Some(budget) = pricing.monthly_budget {
            page.sample(&BUDGET, &[&pricing.currency], budget);
        }
    });
}
