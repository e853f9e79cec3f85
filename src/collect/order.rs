//! Is the history sorted by creation? Invariant: an order is proven only by pages that leave no gap between them.

use std::collections::BTreeMap;

use crate::clock::UnixMillis;
use crate::model::{HistoryOrder, SessionObservation};

/// The first and the last creation on a page.
pub(super) type Span = (UnixMillis, UnixMillis);

/// Which orders the rows of a page, or of several, are compatible with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Compatible {
    newest_first: bool,
    oldest_first: bool,
}

impl Compatible {
    const ALL: Self = Self { newest_first: true, oldest_first: true };
    const NONE: Self = Self { newest_first: false, oldest_first: false };

    /// One row after another; equal times are compatible with both.
    fn pair(before: UnixMillis, after: UnixMillis) -> Self {
        Self { newest_first: before >= after, oldest_first: before <= after }
    }

    fn and(self, other: Self) -> Self {
        Self {
            newest_first: self.newest_first && other.newest_first,
            oldest_first: self.oldest_first && other.oldest_first,
        }
    }

    /// Whether the rows may be in this order.
    pub(super) fn with(self, order: HistoryOrder) -> bool {
        match order {
            HistoryOrder::NewestFirst => self.newest_first,
            HistoryOrder::OldestFirst => self.oldest_first,
        }
    }
}

/// What orders a page is compatible with, and its span; a row without a creation is compatible with none.
pub(super) fn of_page(sessions: &[SessionObservation]) -> (Compatible, Option<Span>) {
    let mut compatible = Compatible::ALL;
    let mut span: Option<Span> = None;
    for session in sessions {
        let Some(created) = session.created else { return (Compatible::NONE, None) };
        span = Some(match span {
            None => (created, created),
            Some((first, last)) => {
                compatible = compatible.and(Compatible::pair(last, created));
                (first, created)
            }
        });
    }
    (compatible, span)
}

/// Proves the order of a whole history from its pages, in whatever order they come.
#[derive(Debug)]
pub(super) struct Proof {
    compatible: Compatible,
    /// Spans of the pages that still wait for a neighbour, with how many do: first the page before, then the one after.
    waiting: BTreeMap<u32, (Span, bool, bool)>,
}

impl Default for Proof {
    fn default() -> Self {
        Self { compatible: Compatible::ALL, waiting: BTreeMap::new() }
    }
}

impl Proof {
    /// Takes a page.
    pub(super) fn take(&mut self, number: u32, sessions: &[SessionObservation]) {
        let (compatible, span) = of_page(sessions);
        self.compatible = self.compatible.and(compatible);
        let Some(span) = span else { return };
        let before = number.checked_sub(1).is_none_or(|page| page == 0 || self.meet(page, Some(span), None));
        let after = self.meet(number + 1, None, Some(span));
        if !(before && after) {
            self.waiting.insert(number, (span, before, after));
        }
    }

    /// The order that all pages together prove; newest first where they leave it open.
    pub(super) fn order(&self) -> Option<HistoryOrder> {
        HistoryOrder::ALL.iter().copied().find(|order| self.compatible.with(*order))
    }

    /// Compares with a neighbour that waits: `next` comes after it, or `previous` before it.
    fn meet(&mut self, page: u32, next: Option<Span>, previous: Option<Span>) -> bool {
        let Some((span, before, after)) = self.waiting.get_mut(&page) else { return false };
        if let Some(next) = next {
            self.compatible = self.compatible.and(Compatible::pair(span.1, next.0));
            *after = true;
        }
        if let Some(previous) = previous {
            self.compatible = self.compatible.and(Compatible::pair(previous.1, span.0));
            *before = true;
        }
        if *before && *after {
            self.waiting.remove(&page);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ReportedUsage, SessionState};

    fn page(times: &[i64]) -> Vec<SessionObservation> {
        let session = |time: &i64| SessionObservation {
            session_id: time.to_string(),
            name: String::new(),
            queue: String::new(),
            state: SessionState::Terminated,
            created: (*time > 0).then_some(*time),
            ended: None,
            usage: ReportedUsage::default(),
        };
        times.iter().map(session).collect()
    }

    fn proven(pages: &[(u32, &[i64])]) -> Option<HistoryOrder> {
        let mut proof = Proof::default();
        pages.iter().for_each(|(number, times)| proof.take(*number, &page(times)));
        proof.order()
    }

    #[test]
    fn an_order_must_hold_within_pages_and_between_them() {
        use HistoryOrder::{NewestFirst, OldestFirst};
        assert_eq!(proven(&[(1, &[9, 8, 8]), (2, &[8, 5]), (3, &[1])]), Some(NewestFirst));
        assert_eq!(proven(&[(3, &[1]), (1, &[9, 8, 8]), (2, &[8, 5])]), Some(NewestFirst));
        assert_eq!(proven(&[(1, &[1, 2]), (2, &[2, 7])]), Some(OldestFirst));
        assert_eq!(proven(&[(2, &[9, 8]), (1, &[7, 6])]), None, "each page falls, but they rise");
        assert_eq!(proven(&[(1, &[5, 4]), (2, &[3, 6])]), None);
        assert_eq!(proven(&[(1, &[5, 0, 3])]), None, "a row without a time proves nothing");
        assert_eq!(proven(&[(1, &[])]), Some(NewestFirst));
    }

    #[test]
    fn only_pages_without_both_neighbours_are_kept() {
        let mut proof = Proof::default();
        for number in 1..=1_000 {
            proof.take(number, &page(&[2_000 - i64::from(number)]));
        }
        assert_eq!(proof.waiting.len(), 1);
    }
}
