//! The steady state: once the order of a history is proven, a poll reads its young end and the pages that hold
//! unsettled sessions, found by rank. Invariant: a poll is complete only if what it knows accounts for the declared
//! total; anything that does not fit is a surprise, and calls for a pass over the whole.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::history::{HistoryPage, ReadPages};
use super::listing::Settling;
use super::order::{self, Span};
use super::tracker::Tracker;
use crate::clock::UnixMillis;
use crate::model::{Before, HistoryOrder, SessionCounts};

/// Pages that one poll may read beyond those that the ranks name: for shifts, and for what was removed.
const EXTRA_PAGES_MAX: u32 = 20;
/// How often the young end is read again because sessions were born meanwhile.
const REREADS_MAX: u32 = 3;

/// Why a poll cannot be completed by pages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Surprise(String);

impl Surprise {
    /// There is nothing to follow.
    pub fn untracked() -> Self {
        Self("its order is not proven".into())
    }
}

/// What to do when no page is on its way and none is to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advance {
    /// More pages are to be asked for.
    Read,
    /// Sessions have left with their age: count what is listed from this creation on, and hand it to
    /// [`SteadyPoll::recounted`].
    Recount(UnixMillis),
    /// The poll is complete.
    Done,
}

/// What the poll is looking for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Births, at the young end.
    YoungEnd,
    /// The pages that ranks name.
    Ranks,
    /// What was not there, one page further.
    Neighbours,
    /// The old end, where sessions leave.
    OldEnd,
}

/// One poll.
#[derive(Debug)]
pub struct SteadyPoll<'t> {
    tracker: &'t mut Tracker,
    order: HistoryOrder,
    settling: Settling,
    phase: Phase,
    queue: VecDeque<u32>,
    /// Pages read.
    read: BTreeMap<u32, Read>,
    pages_read: u32,
    pages_named: u32,
    /// Unsettled sessions that this poll has not seen yet.
    missing: BTreeSet<String>,
    total: u64,
    /// Sessions that have left, so far as the ranks know.
    left: u64,
    rereads: u32,
    extra: u32,
}

/// What a page has shown.
#[derive(Clone, Copy, Debug)]
struct Read {
    /// Of its creations.
    span: Option<Span>,
    /// It showed nothing that was known before.
    is_all_born: bool,
}

impl<'t> SteadyPoll<'t> {
    /// Before the first page.
    pub(super) fn new(tracker: &'t mut Tracker, order: HistoryOrder, settling: Settling) -> Self {
        let total = tracker.listing.total();
        let first = match order {
            HistoryOrder::NewestFirst => 1,
            HistoryOrder::OldestFirst => page_of(total.saturating_sub(1), tracker.page_size),
        };
        Self {
            order,
            settling,
            phase: Phase::YoungEnd,
            queue: VecDeque::from([first]),
            read: BTreeMap::new(),
            pages_read: 0,
            pages_named: 0,
            missing: tracker.listing.unsettled.keys().cloned().collect(),
            total,
            left: 0,
            rereads: 0,
            extra: 0,
            tracker,
        }
    }

    /// What to do next, when no page is on its way and none is to be asked for.
    ///
    /// # Errors
    /// A [`Surprise`], where what is known does not add up.
    pub fn advance(&mut self) -> Result<Advance, Surprise> {
        if self.phase == Phase::YoungEnd {
            if self.read_on() {
                return Ok(Advance::Read);
            }
            self.account_for_leavers();
            self.phase = Phase::Ranks;
            if self.name_pages() {
                return Ok(Advance::Read);
            }
        }
        if self.phase == Phase::Ranks {
            self.phase = Phase::Neighbours;
            if self.name_neighbours()? {
                return Ok(Advance::Read);
            }
        }
        if self.phase == Phase::Neighbours {
            self.settle_missing()?;
            if self.total > self.known() {
                return self.reread();
            }
            if self.total == self.known() {
                return Ok(Advance::Done);
            }
            self.phase = Phase::OldEnd;
            if self.name_old_end()? {
                return Ok(Advance::Read);
            }
        }
        self.oldest().map(Advance::Recount)
    }

    /// Takes what the ledger lists from the creation on that [`Advance::Recount`] named.
    ///
    /// # Errors
    /// A [`Surprise`], where that does not account for the total either.
    pub fn recounted(&mut self, counts: SessionCounts) -> Result<(), Surprise> {
        let total = counts.total();
        if total != self.total {
            return Err(Surprise(format!(
                "{total} sessions are known to be listed, totalCount is {}",
                self.total
            )));
        }
        self.tracker.listing.counts = counts;
        Ok(())
    }

    /// Lists the page's sessions and puts each in its place.
    fn note(&mut self, page: &HistoryPage<'_>) {
        let first_index = u64::from(page.number.saturating_sub(1)) * self.tracker.page_size;
        if self.order == HistoryOrder::NewestFirst {
            // What is born pushes all that comes after it on; at the other end, nothing comes after it.
            let born = || (first_index..).zip(page.before).filter(|(_, before)| **before == Before::New);
            let (count, from) = (born().count() as u64, born().next().map_or(u64::MAX, |(index, _)| index));
            for session in self.tracker.listing.unsettled.values_mut().filter(|known| known.index >= from) {
                session.index += count;
            }
        }
        for (index, (session, before)) in (first_index..).zip(page.sessions.iter().zip(page.before)) {
            self.tracker.listing.update(session, *before, index, self.settling);
            self.missing.remove(&session.session_id);
        }
    }

    /// Queues the page at which the young end goes on beyond those read; false if it does not.
    fn read_on(&mut self) -> bool {
        let last = page_of(self.total.saturating_sub(1), self.tracker.page_size);
        let highest = self.read.last_key_value();
        let next = match self.order {
            HistoryOrder::NewestFirst => {
                highest.filter(|(_, read)| read.is_all_born).map(|(page, _)| page + 1)
            }
            HistoryOrder::OldestFirst => {
                let after = highest.map(|(page, _)| page + 1).filter(|page| *page <= last);
                let lowest = self.read.first_key_value().filter(|(_, read)| read.is_all_born);
                // Where many have left, the page that was the last is gone.
                after.or(lowest.map(|(page, _)| (page - 1).min(last)))
            }
        };
        let next = next.filter(|page| (1..=last).contains(page) && self.pages_read < self.pages_max());
        self.queue.extend(next);
        next.is_some()
    }

    /// Where the old end comes first, what has left has pulled the others up.
    fn account_for_leavers(&mut self) {
        let left = self.known().saturating_sub(self.total);
        if self.order == HistoryOrder::OldestFirst && left > self.left {
            let more = left - self.left;
            for id in &self.missing {
                if let Some(session) = self.tracker.listing.unsettled.get_mut(id) {
                    session.index = session.index.saturating_sub(more);
                }
            }
        }
        self.left = self.left.max(left);
    }

    /// Queues the pages on which unsettled sessions must be; false if there are none.
    fn name_pages(&mut self) -> bool {
        let last = page_of(self.total.saturating_sub(1), self.tracker.page_size);
        let places = self.missing.iter().filter_map(|id| self.tracker.listing.unsettled.get(id));
        let pages: BTreeSet<u32> =
            places.map(|session| page_of(session.index, self.tracker.page_size).min(last)).collect();
        let pages: Vec<u32> = pages.into_iter().filter(|page| !self.read.contains_key(page)).collect();
        self.pages_named = self.pages_read + u32::try_from(pages.len()).unwrap_or(u32::MAX);
        self.queue.extend(pages);
        !self.queue.is_empty()
    }

    /// Queues the page before or after the one on which a session was not found; false if there are none.
    fn name_neighbours(&mut self) -> Result<bool, Surprise> {
        let mut pages = BTreeSet::new();
        for id in &self.missing {
            if let Some(page) = self.neighbour(id).filter(|page| !self.read.contains_key(page)) {
                pages.insert(page);
            }
        }
        self.extra += u32::try_from(pages.len()).unwrap_or(u32::MAX);
        if self.extra > EXTRA_PAGES_MAX {
            let lost = self.missing.len();
            return Err(Surprise(format!("{lost} unsettled sessions are not where their rank says")));
        }
        self.queue.extend(pages);
        Ok(!self.queue.is_empty())
    }

    /// On which side of the page that its rank names a session must be, by its creation.
    fn neighbour(&self, id: &str) -> Option<u32> {
        let session = self.tracker.listing.unsettled.get(id)?;
        let created = session.seen.created?;
        let last = page_of(self.total.saturating_sub(1), self.tracker.page_size);
        let page = page_of(session.index, self.tracker.page_size).min(last);
        let (first_row, last_row) = self.read.get(&page)?.span?;
        let (is_before, is_after) = match self.order {
            HistoryOrder::NewestFirst => (created >= first_row, created <= last_row),
            HistoryOrder::OldestFirst => (created <= first_row, created >= last_row),
        };
        if is_before && page > 1 {
            Some(page - 1)
        } else if is_after && page < last {
            Some(page + 1)
        } else {
            None
        }
    }

    /// Lets go of unsettled sessions that are provably no longer listed.
    fn settle_missing(&mut self) -> Result<(), Surprise> {
        let oldest = self.oldest().ok();
        for id in std::mem::take(&mut self.missing) {
            let created = self.tracker.listing.unsettled.get(&id).and_then(|session| session.seen.created);
            let is_gone = |created: UnixMillis| {
                oldest.is_some_and(|oldest| created < oldest) || self.should_have_been_seen(created)
            };
            if !created.is_some_and(is_gone) {
                return Err(Surprise(format!("session {id} is not where its rank says, nor next to it")));
            }
            self.tracker.listing.remove(&id);
        }
        Ok(())
    }

    /// Whether a session of this creation belongs on a page that was read, or between two neighbours that were.
    fn should_have_been_seen(&self, created: UnixMillis) -> bool {
        let between = |(a, b): Span| created > a.min(b) && created < a.max(b);
        self.read.iter().any(|(page, read)| {
            let next = self.read.get(&(page + 1)).and_then(|next| next.span);
            let gap = read.span.zip(next).map(|((_, last), (first, _))| (last, first));
            read.span.is_some_and(between) || gap.is_some_and(between)
        })
    }

    /// Sessions were born while the poll was under way: reads the young end again.
    fn reread(&mut self) -> Result<Advance, Surprise> {
        if self.rereads == REREADS_MAX {
            let (total, known) = (self.total, self.known());
            return Err(Surprise(format!(
                "totalCount is {total}, and {known} sessions are known to be listed"
            )));
        }
        self.rereads += 1;
        let page = match self.order {
            HistoryOrder::NewestFirst => 1,
            HistoryOrder::OldestFirst => page_of(self.total.saturating_sub(1), self.tracker.page_size),
        };
        self.read.clear();
        self.queue.push_back(page);
        self.phase = Phase::YoungEnd;
        Ok(Advance::Read)
    }

    /// Queues the page at the old end, if it was not read; false if it was.
    fn name_old_end(&mut self) -> Result<bool, Surprise> {
        let page = self.old_end();
        if self.read.contains_key(&page) {
            return Ok(false);
        }
        self.extra += 1;
        if self.extra > EXTRA_PAGES_MAX {
            return Err(Surprise("the poll takes more pages than a poll may".into()));
        }
        self.queue.push_back(page);
        Ok(true)
    }

    fn old_end(&self) -> u32 {
        match self.order {
            HistoryOrder::NewestFirst => page_of(self.total.saturating_sub(1), self.tracker.page_size),
            HistoryOrder::OldestFirst => 1,
        }
    }

    /// The earliest creation that is still listed.
    fn oldest(&self) -> Result<UnixMillis, Surprise> {
        let span = self.read.get(&self.old_end()).and_then(|read| read.span);
        let (first, last) = span.ok_or_else(|| Surprise("the list has no end".into()))?;
        Ok(first.min(last))
    }

    /// Sessions that are known to be listed.
    fn known(&self) -> u64 {
        self.tracker.listing.total()
    }

    fn pages_max(&self) -> u32 {
        let unsettled = u32::try_from(self.tracker.listing.unsettled.len()).unwrap_or(u32::MAX);
        unsettled.saturating_add(1 + EXTRA_PAGES_MAX)
    }
}

impl ReadPages for SteadyPoll<'_> {
    type Error = Surprise;

    fn next_page(&mut self) -> Option<u32> {
        self.queue.pop_front()
    }

    fn progress(&self) -> f64 {
        f64::from(self.pages_read) / f64::from(self.pages_named.max(self.pages_read).max(1))
    }

    fn take(&mut self, page: HistoryPage<'_>) -> Result<(), Surprise> {
        self.pages_read += 1;
        let (compatible, span) = order::of_page(page.sessions);
        if page.sessions.len() != page.row_count {
            return Err(Surprise(format!("page {} has rows that cannot be read", page.number)));
        }
        if !compatible.with(self.order) {
            return Err(Surprise(format!(
                "page {} is not sorted by creation as the others were",
                page.number
            )));
        }
        self.total =
            page.total_count.ok_or_else(|| Surprise("the answer has no totalCount any more".into()))?;
        let size = self.tracker.page_size;
        let is_last = u64::from(page.number) * size >= self.total;
        if !is_last && (page.row_count as u64) != size {
            return Err(Surprise(format!("page {} has {} rows, not {size}", page.number, page.row_count)));
        }
        self.note(&page);
        let is_all_born = page.before.iter().all(|before| *before == Before::New);
        self.read.insert(page.number, Read { span, is_all_born });
        Ok(())
    }
}

/// The page of an index, both as the service counts them.
fn page_of(index: u64, page_size: u64) -> u32 {
    u32::try_from(index / page_size).unwrap_or(u32::MAX - 1) + 1
}

#[cfg(test)]
#[path = "steady_tests.rs"]
mod tests;
