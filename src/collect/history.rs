//! One pass over the whole of a page-numbered session history. Invariant: it is complete only if the sessions that it
//! saw account for the declared total; a list that moved while it was read is read again at its ends, where lists grow.

use std::collections::{HashMap, VecDeque};

use super::listing::{Listing, Settling};
use super::order::Proof;
use super::tracker::Tracker;
use crate::clock::UnixMillis;
use crate::model::{Before, FailureReason, HistoryOrder, SessionObservation};

/// A page of the history as it was read.
#[derive(Clone, Copy, Debug)]
pub struct HistoryPage<'a> {
    /// Its number, from 1.
    pub number: u32,
    /// Rows in it, malformed ones included.
    pub row_count: usize,
    /// `totalCount`
    pub total_count: Option<u64>,
    /// Its well-formed sessions.
    pub sessions: &'a [SessionObservation],
    /// For each of them, what was known of it.
    pub before: &'a [Before],
}

/// Something that asks for pages, several at a time, and takes them in whatever order they come.
pub trait ReadPages {
    /// Why it cannot go on.
    type Error;

    /// The next page to ask for, while others may be on their way; `None` where that depends on those.
    fn next_page(&mut self) -> Option<u32>;

    /// Takes a page.
    ///
    /// # Errors
    /// Where it cannot go on.
    fn take(&mut self, page: HistoryPage<'_>) -> Result<(), Self::Error>;

    /// How far it has come, 0 to 1.
    fn progress(&self) -> f64;
}

/// What a pass has come to when there is nothing more to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The sessions that it saw account for the history: complete, if none is missing that was there before.
    Accounted,
    /// It must begin again, for this reason.
    Moved(String),
}

/// A history that cannot be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// It has more pages than a sweep may read.
    #[error("the history has {pages} pages or more, over the limit of {pages_max} (api.pages_max)")]
    PageCap {
        /// How many it has.
        pages: u64,
        /// The limit.
        pages_max: u32,
    },
}

impl HistoryError {
    /// The reason to count.
    pub const fn reason(self) -> FailureReason {
        match self {
            Self::PageCap { .. } => FailureReason::Overrun,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct HistoryPass {
    page_size: u64,
    pages_max: u32,
    settling: Settling,
    /// Pages to ask for next.
    queue: VecDeque<u32>,
    /// The highest page number that was ever queued.
    last_page: u32,
    pages_read: u32,
    first_total: Option<u64>,
    latest_total: Option<u64>,
    moved: bool,
    /// How far the head was read again; 0 before [`HistoryPass::catch_up`].
    caught_up_to: u32,
    rows: u64,
    malformed: u64,
    fresh: u64,
    oldest: Option<UnixMillis>,
    proof: Proof,
    listing: Listing,
    /// `totalCount` when an unsettled session was read.
    totals: HashMap<String, u64>,
}

impl HistoryPass {
    /// Before the first page. `page_size` is what is asked for.
    pub fn new(page_size: u32, pages_max: u32, settling: Settling) -> Self {
        Self {
            page_size: u64::from(page_size.max(1)),
            pages_max: pages_max.max(1),
            settling,
            queue: VecDeque::from([1]),
            last_page: 1,
            pages_read: 0,
            first_total: None,
            latest_total: None,
            moved: false,
            caught_up_to: 0,
            rows: 0,
            malformed: 0,
            fresh: 0,
            oldest: None,
            proof: Proof::default(),
            listing: Listing::default(),
            totals: HashMap::new(),
        }
    }

    /// What the pass has come to, when no page is on its way and none is to be asked for. After
    /// [`HistoryPass::catch_up`] it may be asked again.
    pub fn verdict(&self) -> Verdict {
        let accounted = self.fresh + self.malformed;
        let total = self.latest_total.unwrap_or(self.rows);
        if accounted == total && (self.caught_up_to > 0 || !self.moved && self.rows == total) {
            return Verdict::Accounted;
        }
        Verdict::Moved(format!(
            "totalCount is {total}, but the pages have {} rows and {accounted} different ones",
            self.rows
        ))
    }

    /// Has the ends of the list read again; false where that was done already.
    pub fn catch_up(&mut self) -> bool {
        if self.caught_up_to > 0 {
            return false;
        }
        self.caught_up_to = 1;
        self.queue.push_back(1);
        if self.last_page > 1 {
            self.queue.push_back(self.last_page);
        }
        true
    }

    /// The earliest creation among the sessions seen: what is missing and older may have left with its age.
    pub fn oldest(&self) -> Option<UnixMillis> {
        self.oldest
    }

    /// The order that a complete pass proves; rows that could not be read, or no total, prove nothing.
    pub fn order(&self) -> Option<HistoryOrder> {
        self.proof.order().filter(|_| self.malformed == 0 && self.latest_total.is_some())
    }

    /// What a complete pass saw, to be followed from here on.
    pub fn finish(mut self) -> Tracker {
        let order = self.order();
        if order == Some(HistoryOrder::NewestFirst) {
            // Births since its page was read have pushed a session on.
            let total = self.latest_total.unwrap_or(0);
            for (id, read_at) in &self.totals {
                if let Some(session) = self.listing.unsettled.get_mut(id) {
                    session.index += total.saturating_sub(*read_at);
                }
            }
        }
        Tracker::new(order, self.page_size, self.listing)
    }

    /// Notes what the pass had not seen before; returns how many that are.
    fn list(&mut self, page: &HistoryPage<'_>) -> u64 {
        let first_index = u64::from(page.number.saturating_sub(1)) * self.page_size;
        let mut fresh = 0;
        for (offset, (session, before)) in page.sessions.iter().zip(page.before).enumerate() {
            if !before.is_fresh() {
                continue;
            }
            fresh += 1;
            self.oldest = self.oldest.into_iter().chain(session.created).min();
            let follows = self.listing.add(session, first_index + offset as u64, self.settling);
            if let (Some(total), true) = (page.total_count, follows) {
                self.totals.insert(session.session_id.clone(), total);
            }
        }
        self.fresh += fresh;
        fresh
    }

    /// Queues the pages that this one shows to be there.
    fn extend(&mut self, page: &HistoryPage<'_>) -> Result<(), HistoryError> {
        let declared = page.total_count.map_or(0, |total| total.div_ceil(self.page_size));
        // A full last page may be followed by another, whatever the total says.
        let is_full = page.number == self.last_page && page.row_count as u64 >= self.page_size;
        let overfull = is_full && u64::from(self.last_page) * self.page_size != page.total_count.unwrap_or(0);
        let pages = declared.max(if overfull { u64::from(self.last_page) + 1 } else { 0 });
        if pages > u64::from(self.pages_max) {
            return Err(HistoryError::PageCap { pages, pages_max: self.pages_max });
        }
        let pages = u32::try_from(pages).unwrap_or(self.pages_max);
        self.queue.extend(self.last_page + 1..=pages);
        self.last_page = self.last_page.max(pages);
        Ok(())
    }
}

impl ReadPages for HistoryPass {
    type Error = HistoryError;

    fn next_page(&mut self) -> Option<u32> {
        self.queue.pop_front()
    }

    fn progress(&self) -> f64 {
        (f64::from(self.pages_read) / f64::from(self.last_page.max(1))).min(1.0)
    }

    fn take(&mut self, page: HistoryPage<'_>) -> Result<(), HistoryError> {
        let row_count = page.row_count as u64;
        if self.pages_read == 0 {
            self.first_total = page.total_count;
            self.page_size = page_size(self.page_size, row_count, page.total_count);
        }
        self.pages_read = self.pages_read.saturating_add(1);
        self.moved |= page.total_count != self.first_total;
        self.latest_total = page.total_count;
        let fresh = self.list(&page);
        if self.caught_up_to > 0 {
            // Births at the head push rows on: read on until a page tells nothing new.
            if fresh > 0 && page.number == self.caught_up_to && page.number < self.last_page {
                self.caught_up_to += 1;
                self.queue.push_back(self.caught_up_to);
            }
        } else {
            self.rows += row_count;
            self.malformed += row_count.saturating_sub(page.sessions.len() as u64);
            self.proof.take(page.number, page.sessions);
        }
        self.extend(&page)
    }
}

/// The size of the service's pages: what was asked for, unless the first page shows that they are smaller.
pub(super) fn page_size(asked: u64, row_count: u64, total_count: Option<u64>) -> u64 {
    let capped = total_count.is_some_and(|total| row_count > 0 && row_count < total.min(asked));
    if capped { row_count } else { asked }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
