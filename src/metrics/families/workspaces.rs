//! Workspaces, from ListWorkspaces.

use crate::metrics::Family;
use crate::metrics::board::View;
use crate::metrics::page::Page;

const INFO: Family = Family::gauge(
    "workspace_info",
    &["account", "region", "workspace_id", "workspace_name", "status", "payment_type"],
    "A watched workspace and its attributes; always 1, to be joined on workspace_id; \
     its name is its id where no list tells one. Polled: as of the last complete ListWorkspaces.",
);

pub(super) const FAMILIES: &[&Family] = &[&INFO];

pub(super) fn render(view: View<'_>, page: &mut Page) {
    page.family(&INFO, |page| {
        for (scope, row) in view.workspaces() {
            let labels = [
                scope.account.as_str(),
                &scope.region,
                &row.workspace_id,
                // One that the settings name and no list does is told apart by its id.
                if row.name.is_empty() { &row.workspace_id } else { &row.name },
                &row.status,
                &row.payment_type,
            ];
            page.sample(&INFO, &labels, 1.0);
        }
    });
}
