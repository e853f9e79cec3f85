//! One file a resource: its families and how they are filled. Invariant: the order of the catalogue is that of the page.

mod livy_gateways;
mod livy_sessions;
mod pricing;
mod session_clusters;
mod targets;
mod usage;
mod workspaces;

use super::Family;
use super::board::View;
use super::page::Page;

/// Every family that is rendered from the board, in the order of the page.
pub fn catalogue() -> Vec<&'static Family> {
    [
        workspaces::FAMILIES,
        session_clusters::FAMILIES,
        livy_gateways::FAMILIES,
        livy_sessions::FAMILIES,
        usage::FAMILIES,
        pricing::FAMILIES,
        targets::FAMILIES,
    ]
    .concat()
}

/// Writes all of them.
pub(super) fn render(view: View<'_>, page: &mut Page) {
    workspaces::render(view, page);
    session_clusters::render(view, page);
    livy_gateways::render(view, page);
    livy_sessions::render(view, page);
    usage::render(view, page);
    pricing::render(view, page);
    targets::render(view, page);
}
