//! What is known of a history between two polls. Invariant: it says what is listed as of the latest complete poll.

use super::listing::{Listing, Settling};
use super::steady::SteadyPoll;
use crate::model::HistoryOrder;

/// See the module.
#[derive(Clone, Debug)]
pub struct Tracker {
    order: Option<HistoryOrder>,
    pub(super) page_size: u64,
    pub(super) listing: Listing,
}

impl Tracker {
    /// What a pass or the ledger knows; `order` is `None` where it is not proven.
    pub fn new(order: Option<HistoryOrder>, page_size: u64, listing: Listing) -> Self {
        Self { order, page_size: page_size.max(1), listing }
    }

    /// Whether a poll by pages is possible, and less than a pass over the whole.
    pub fn can_follow(&self) -> bool {
        self.order.is_some() && !self.listing.overflowed && self.listing.total() > self.page_size
    }

    /// What is listed.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// Begins a poll; `None` where [`Tracker::can_follow`] says no.
    pub fn poll(&mut self, settling: Settling) -> Option<SteadyPoll<'_>> {
        let order = self.order.filter(|_| self.can_follow())?;
        Some(SteadyPoll::new(self, order, settling))
    }
}
