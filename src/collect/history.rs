//! One pass over a page-numbered session history. Invariant: it is complete only if the sessions that it saw account
//! for the declared total; a list that moved while it was read is read again at its ends, where lists grow.

use std::collections::{BTreeMap, VecDeque};

use crate::model::{FailureReason, SessionObservation, SessionState, Usage};

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
    /// For each of them, whether this pass had not seen it before.
    pub fresh: &'a [bool],
}

/// What a pass has come to when there is nothing more to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It saw the whole history.
    Complete,
    /// The sessions add up, but the list moved meanwhile: complete if none is missing that was there before.
    CompleteIfNoneMissing,
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
    series_limit: usize,
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
    counts: BTreeMap<(String, SessionState), u64>,
    active: Vec<SessionObservation>,
    active_count: u64,
}

impl HistoryPass {
    /// Before the first page. `page_size` is what is asked for; `series_limit` bounds the active sessions kept.
    pub fn new(page_size: u32, pages_max: u32, series_limit: usize) -> Self {
        Self {
            page_size: u64::from(page_size.max(1)),
            pages_max: pages_max.max(1),
            series_limit,
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
            counts: BTreeMap::new(),
            active: Vec::new(),
            active_count: 0,
        }
    }

    /// The next page to ask for, while others may be on their way; `None` where that depends on those.
    pub fn next_page(&mut self) -> Option<u32> {
        self.queue.pop_front()
    }

    /// How far it has come, 0 to 1.
    pub fn progress(&self) -> f64 {
        (f64::from(self.pages_read) / f64::from(self.last_page.max(1))).min(1.0)
    }

    /// Takes a page, in whatever order they come.
    ///
    /// # Errors
    /// Where the history has more pages than the pass may read.
    pub fn take(&mut self, page: HistoryPage<'_>) -> Result<(), HistoryError> {
        let row_count = page.row_count as u64;
        if self.pages_read == 0 {
            self.first_total = page.total_count;
            if page.total_count.is_some_and(|total| row_count > 0 && row_count < total.min(self.page_size)) {
                // The service hands out smaller pages than it was asked for, and numbers them accordingly.
                self.page_size = row_count;
            }
        }
        self.pages_read = self.pages_read.saturating_add(1);
        self.moved |= page.total_count != self.first_total;
        self.latest_total = page.total_count;
        let fresh = self.tally(&page);
        if self.caught_up_to > 0 {
            // Births at the head push rows on: read on until a page tells nothing new.
            if fresh > 0 && page.number == self.caught_up_to && page.number < self.last_page {
                self.caught_up_to += 1;
                self.queue.push_back(self.caught_up_to);
            }
        } else {
            self.rows += row_count;
            self.malformed += row_count.saturating_sub(page.sessions.len() as u64);
        }
        self.extend(&page)
    }

    /// What the pass has come to, when no page is on its way and none is to be asked for. After
    /// [`HistoryPass::catch_up`] it may be asked again.
    pub fn verdict(&self) -> Verdict {
        let accounted = self.fresh + self.malformed;
        let total = self.latest_total.unwrap_or(self.rows);
        if accounted != total {
            return Verdict::Moved(format!(
                "totalCount is {total}, but the pages have {} rows and {accounted} different ones",
                self.rows
            ));
        }
        if self.moved || self.rows != total { Verdict::CompleteIfNoneMissing } else { Verdict::Complete }
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

    /// Listed sessions by queue and state.
    pub fn counts(&self) -> &BTreeMap<(String, SessionState), u64> {
        &self.counts
    }

    /// The active sessions with the most CU-hours, and how many there are beyond the limit.
    pub fn into_active(mut self) -> (Vec<SessionObservation>, u64) {
        self.keep_largest();
        let dropped = self.active_count - self.active.len() as u64;
        (self.active, dropped)
    }

    /// Counts what the pass had not seen before; returns how many that are.
    fn tally(&mut self, page: &HistoryPage<'_>) -> u64 {
        let mut fresh = 0;
        for session in page.sessions.iter().zip(page.fresh).filter(|(_, fresh)| **fresh).map(|(s, _)| s) {
            fresh += 1;
            match self.counts.get_mut(&(session.queue.clone(), session.state)) {
                Some(count) => *count += 1,
                None => drop(self.counts.insert((session.queue.clone(), session.state), 1)),
            }
            if !session.state.is_ended() && session.state != SessionState::Unknown {
                self.active_count += 1;
                self.active.push(session.clone());
            }
        }
        if self.active.len() > self.series_limit.saturating_mul(2).saturating_add(1_000) {
            self.keep_largest();
        }
        self.fresh += fresh;
        fresh
    }

    fn keep_largest(&mut self) {
        let size = |session: &SessionObservation| session.usage.or(Usage::ZERO).nano_cu_hours;
        self.active.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.session_id.cmp(&b.session_id)));
        self.active.truncate(self.series_limit);
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

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
