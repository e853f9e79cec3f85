//! Passes over histories that hold still, move and lie.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{ReportedUsage, SessionState, Usage};

const PAGE: u32 = 10;

fn session(id: u32) -> SessionObservation {
    let usage = Usage { nano_cu_hours: i64::from(id), vcore_seconds: 0, mb_seconds: 0 };
    SessionObservation {
        session_id: format!("s{id:05}"),
        name: String::new(),
        queue: if id.is_multiple_of(2) { "even".into() } else { "odd".into() },
        state: if id.is_multiple_of(5) { SessionState::Running } else { SessionState::Terminated },
        created: None,
        ended: None,
        usage: usage.into(),
    }
}

/// A history that a pass reads; `declared` is by how much its total lies.
struct History {
    rows: Vec<u32>,
    page_size: usize,
    declared: i64,
    has_total: bool,
    seen: BTreeSet<u32>,
    reads: u32,
}

impl History {
    fn of(rows: impl IntoIterator<Item = u32>) -> Self {
        let rows = rows.into_iter().collect();
        Self { rows, page_size: PAGE as usize, declared: 0, has_total: true, seen: BTreeSet::new(), reads: 0 }
    }

    fn read(&mut self, pass: &mut HistoryPass, number: u32) -> Result<(), HistoryError> {
        self.reads += 1;
        let from = (number as usize - 1) * self.page_size;
        let ids: Vec<u32> = self.rows.iter().skip(from).take(self.page_size).copied().collect();
        let known = Before::Seen(SessionState::Unknown);
        let before: Vec<Before> =
            ids.iter().map(|id| if self.seen.insert(*id) { Before::New } else { known }).collect();
        let sessions: Vec<SessionObservation> = ids.iter().map(|id| session(*id)).collect();
        let total = (self.rows.len() as u64).checked_add_signed(self.declared).unwrap();
        pass.take(HistoryPage {
            number,
            row_count: sessions.len(),
            total_count: self.has_total.then_some(total),
            sessions: &sessions,
            before: &before,
        })
    }

    /// Reads all that the pass asks for; `between` moves the history before each read.
    fn sweep(&mut self, pass: &mut HistoryPass, mut between: impl FnMut(&mut Vec<u32>, u32)) -> Verdict {
        loop {
            while let Some(number) = pass.next_page() {
                between(&mut self.rows, self.reads);
                self.read(pass, number).unwrap();
                assert!(self.reads < 10_000, "the pass does not end");
            }
            match pass.verdict() {
                Verdict::Accounted => return Verdict::Accounted,
                other if !pass.catch_up() => return other,
                _ => {}
            }
        }
    }
}

const SETTLING: Settling = Settling { now: 1_000_000, settle: Duration::from_secs(100) };

fn pass() -> HistoryPass {
    HistoryPass::new(PAGE, 100, SETTLING)
}

fn listed(pass: &HistoryPass) -> u64 {
    pass.listing.total()
}

#[test]
fn a_still_history_is_read_once_and_counted_by_queue_and_state() {
    for size in [0, 1, 9, 10, 11, 20, 95] {
        let mut history = History::of(0..size);
        let mut pass = pass();
        assert_eq!(history.sweep(&mut pass, |_, _| {}), Verdict::Accounted, "{size} rows");
        assert_eq!(history.reads, size.div_ceil(PAGE).max(1), "{size} rows");
        assert_eq!(listed(&pass), u64::from(size));
        let running_even = pass.listing.counts().get("even", SessionState::Running);
        assert_eq!(running_even, u64::from(size.div_ceil(10)));
    }
}

#[test]
fn without_a_total_it_reads_until_a_page_is_not_full() {
    for (size, reads) in [(0, 1), (9, 1), (10, 2), (25, 3)] {
        let mut history = History { has_total: false, ..History::of(0..size) };
        assert_eq!(history.sweep(&mut pass(), |_, _| {}), Verdict::Accounted);
        assert_eq!(history.reads, reads, "{size} rows");
    }
}

#[test]
fn smaller_pages_than_asked_for_are_followed() {
    let mut history = History { page_size: 4, ..History::of(0..30) };
    assert_eq!(history.sweep(&mut pass(), |_, _| {}), Verdict::Accounted);
    assert_eq!(history.reads, 8);
}

#[test]
fn births_at_the_head_are_caught_up_with() {
    let mut history = History::of((0..50).rev());
    let mut pass = pass();
    let mut next = 50;
    let verdict = history.sweep(&mut pass, |rows, reads| {
        if reads == 1 || reads == 3 {
            rows.insert(0, next);
            next += 1;
        }
    });
    assert_eq!(verdict, Verdict::Accounted);
    assert_eq!(history.seen.len(), 52);
    assert_eq!(listed(&pass), 52, "a session on two pages counts once");
}

#[test]
fn more_births_than_a_page_are_caught_up_with() {
    let mut history = History::of((0..50).rev());
    let verdict = history.sweep(&mut pass(), |rows, reads| {
        if reads == 2 {
            rows.splice(0..0, (50..75).rev());
        }
    });
    assert_eq!(verdict, Verdict::Accounted);
    assert_eq!(history.seen.len(), 75);
}

#[test]
fn births_at_the_tail_are_caught_up_with() {
    let mut history = History::of(0..48);
    let verdict = history.sweep(&mut pass(), |rows, reads| {
        if reads == 4 {
            rows.extend(48..63);
        }
    });
    assert_eq!(verdict, Verdict::Accounted);
    assert_eq!(history.seen.len(), 63);
}

#[test]
fn rows_that_are_shifted_past_the_reader_are_missed_by_name() {
    // Removal at the head moves a row from page 3 to page 2, which was read already.
    let mut history = History::of(0..50);
    let verdict = history.sweep(&mut pass(), |rows, reads| {
        if reads == 2 {
            rows.remove(0);
        }
    });
    // The row that was removed after it was read hides the one that was missed: only the ledger knows it is missing.
    assert_eq!(verdict, Verdict::Accounted);
    assert!(!history.seen.contains(&20));
}

#[test]
fn a_total_that_lies_is_never_complete() {
    for declared in [-3, 2, 40] {
        let mut history = History { declared, ..History::of(0..50) };
        let verdict = history.sweep(&mut pass(), |_, _| {});
        let Verdict::Moved(why) = verdict else { panic!("{declared}: {verdict:?}") };
        assert!(why.contains(&format!("totalCount is {}", 50 + declared)), "{why}");
        assert_eq!(history.seen.len(), 50, "what is there is seen all the same");
    }
}

#[test]
fn malformed_rows_are_accounted_for() {
    let mut pass = pass();
    assert_eq!(pass.next_page(), Some(1));
    let sessions: Vec<_> = (0..4).map(session).collect();
    let page = HistoryPage {
        number: 1,
        row_count: 6,
        total_count: Some(6),
        sessions: &sessions,
        before: &[Before::New; 4],
    };
    pass.take(page).unwrap();
    assert_eq!((pass.next_page(), pass.verdict()), (None, Verdict::Accounted));
}

#[test]
fn too_many_pages_are_refused_at_once() {
    let mut history = History::of(0..50);
    let mut pass = HistoryPass::new(PAGE, 4, SETTLING);
    let number = pass.next_page().unwrap();
    let error = history.read(&mut pass, number).unwrap_err();
    assert_eq!(error.to_string(), "the history has 5 pages or more, over the limit of 4 (api.pages_max)");
    assert_eq!(error.reason(), FailureReason::Overrun);
}

#[test]
fn the_largest_active_sessions_are_kept() {
    let mut history = History::of(0..50);
    let mut pass = pass();
    history.sweep(&mut pass, |_, _| {});
    let tracker = pass.finish();
    let (active, dropped) = tracker.listing().active(3);
    let ids: Vec<&str> = active.iter().map(|session| session.session_id.as_str()).collect();
    assert_eq!((ids, dropped), (vec!["s00045", "s00040", "s00035"], 7));
    assert_eq!(active[0].usage, ReportedUsage::from(Usage { nano_cu_hours: 45, ..Usage::ZERO }));
}

proptest! {
    /// Pages in any order, and births at both ends at any moment: a pass that says it is complete has seen every
    /// session that was there from the beginning, and each of them once.
    #[test]
    fn births_never_make_a_pass_blind(
        size in 0_u32..80,
        births in prop::collection::vec((0_u32..12, 0_u32..15, any::<bool>()), 0..4),
    ) {
        let mut history = History::of(1_000..1_000 + size);
        let mut pass = pass();
        let mut born = 0;
        let verdict = history.sweep(&mut pass, |rows, reads| {
            for (at, count, at_head) in &births {
                if *at == reads {
                    for _ in 0..*count {
                        let place = if *at_head { 0 } else { rows.len() };
                        rows.insert(place, 5_000 + born);
                        born += 1;
                    }
                }
            }
        });
        if !matches!(verdict, Verdict::Moved(_)) {
            prop_assert!((1_000..1_000 + size).all(|id| history.seen.contains(&id)));
            prop_assert_eq!(listed(&pass), history.seen.len() as u64);
        }
    }

    /// Whatever the service says, a pass ends.
    #[test]
    fn a_pass_always_ends(
        pages in prop::collection::vec((0_usize..25, prop::option::of(0_u64..2_000), any::<u64>()), 1..40),
    ) {
        let mut pass = pass();
        let mut reads = 0_u32;
        let mut ended = false;
        while !ended {
            while let Some(number) = pass.next_page() {
                reads += 1;
                prop_assert!(reads <= 400, "the pass does not end");
                let (rows, total_count, freshness) = pages[reads as usize % pages.len()];
                let sessions: Vec<_> = (0..u32::try_from(rows).unwrap()).map(session).collect();
                let known = Before::Seen(SessionState::Unknown);
                let before: Vec<Before> = (0..rows)
                    .map(|row| if freshness >> row & 1 == 1 { Before::New } else { known })
                    .collect();
                let page = HistoryPage { number, row_count: rows, total_count, sessions: &sessions, before: &before };
                if pass.take(page).is_err() {
                    return Ok(());
                }
            }
            ended = pass.verdict() == Verdict::Accounted || !pass.catch_up();
        }
    }
}
