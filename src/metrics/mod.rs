//! From observations and ledger totals to the metrics page.
//!
//! Invariant: a page is rendered once per change and is whole: it shows one state of the ledger and the latest complete
//! sweep of every target. Nothing here does I/O or reads a clock.

mod board;
mod body;
mod exposition;
mod families;
mod family;
mod gzip;
mod labels;
mod lines;
mod memory;
mod own;
mod page;
mod sessions;

#[cfg(test)]
mod forms_tests;
#[cfg(test)]
pub(crate) mod tests;

pub use board::{Board, Failure, Listing, TargetStatus, View};
pub use body::Body;
pub use exposition::{Exposition, Rendered};
pub use families::catalogue;
pub use family::{Family, Kind, PREFIX};
pub use gzip::Gzip;
pub use memory::{Memory, Text};
pub use own::{ApiMetrics, LedgerMetrics, OwnFamily, OwnMetrics, ProcessFigures, Scrape, SweepMetrics};
pub use sessions::{LARGEST_MAX, SessionsView};
