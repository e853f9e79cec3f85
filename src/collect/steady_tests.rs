//! Polls of a history that lives: sessions are born, change, end, settle and leave, and a poll must tell all of it from
//! a few pages.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::collect::{HistoryPass, Verdict};
use crate::model::{ReportedUsage, SessionCounts, SessionObservation, SessionState};

const PAGE: u32 = 10;
const SETTLE: Duration = Duration::from_secs(60);

/// The service and the ledger, as small as they can be.
struct World {
    order: HistoryOrder,
    now: UnixMillis,
    /// Oldest first.
    sessions: Vec<SessionObservation>,
    born: u32,
    /// What the ledger knows of each session, and at which pass it saw it.
    known: HashMap<String, (SessionObservation, u32)>,
    complete_pass: u32,
    pass: u32,
    reads: u32,
    tracker: Option<Tracker>,
}

impl World {
    fn new(order: HistoryOrder, sessions: u32, running: &[u32]) -> Self {
        let mut world = Self {
            order,
            now: 1_000_000_000,
            sessions: Vec::new(),
            born: 0,
            known: HashMap::new(),
            complete_pass: 0,
            pass: 0,
            reads: 0,
            tracker: None,
        };
        for index in 0..sessions {
            world.birth();
            if !running.contains(&index) {
                let last = world.sessions.len() - 1;
                world.end(last);
            }
            world.now += 1_000;
        }
        world.now += 10_000_000;
        world
    }

    fn birth(&mut self) {
        self.born += 1;
        self.sessions.push(SessionObservation {
            session_id: format!("s{:06}", self.born),
            name: String::new(),
            queue: if self.born.is_multiple_of(3) { "a".into() } else { "b".into() },
            state: SessionState::Running,
            created: Some(self.now),
            ended: None,
            usage: ReportedUsage::default(),
        });
        self.now += 1;
    }

    fn end(&mut self, index: usize) {
        self.sessions[index].state = SessionState::Terminated;
        self.sessions[index].ended = Some(self.now);
    }

    fn settling(&self) -> Settling {
        Settling { now: self.now, settle: SETTLE }
    }

    /// Hands a page to what asked for it.
    fn serve<R: ReadPages>(&mut self, reader: &mut R, number: u32) -> Result<(), R::Error> {
        self.reads += 1;
        let rows: Box<dyn Iterator<Item = &SessionObservation>> = match self.order {
            HistoryOrder::OldestFirst => Box::new(self.sessions.iter()),
            HistoryOrder::NewestFirst => Box::new(self.sessions.iter().rev()),
        };
        let skipped = (number as usize - 1) * PAGE as usize;
        let sessions: Vec<SessionObservation> = rows.skip(skipped).take(PAGE as usize).cloned().collect();
        let pass = self.pass;
        let see = |session: &SessionObservation| match self
            .known
            .insert(session.session_id.clone(), (session.clone(), pass))
        {
            None => Before::New,
            Some((known, at)) if at == pass => Before::Seen(known.state),
            Some((known, _)) => Before::Known(known.state),
        };
        let before: Vec<Before> = sessions.iter().map(see).collect();
        reader.take(HistoryPage {
            number,
            row_count: sessions.len(),
            total_count: Some(self.sessions.len() as u64),
            sessions: &sessions,
            before: &before,
        })
    }

    fn sweep(&mut self) {
        self.pass += 1;
        let mut whole = HistoryPass::new(PAGE, 1_000, self.settling());
        while let Some(number) = whole.next_page() {
            self.serve(&mut whole, number).unwrap();
        }
        assert_eq!(whole.verdict(), Verdict::Accounted);
        assert!(self.sessions.len() < 2 || whole.order() == Some(self.order));
        self.tracker = Some(whole.finish());
        self.complete_pass = self.pass;
    }

    /// One poll; returns how many pages it read.
    fn poll(&mut self) -> Result<u32, Surprise> {
        self.poll_while(|_, _| {})
    }

    /// One poll during which the world moves: `between` is called before each read.
    fn poll_while(&mut self, mut between: impl FnMut(&mut Self, u32)) -> Result<u32, Surprise> {
        self.pass += 1;
        let from = self.reads;
        let mut tracker = self.tracker.take().unwrap();
        let settling = self.settling();
        let mut poll = tracker.poll(settling).expect("it can be followed");
        let result = loop {
            while let Some(number) = poll.next_page() {
                between(self, self.reads - from);
                self.serve(&mut poll, number)?;
                assert!(self.reads - from < 1_000, "the poll does not end");
            }
            match poll.advance()? {
                Advance::Read => {}
                Advance::Done => break Ok(self.reads - from),
                Advance::Recount(oldest) => {
                    let mut counts = SessionCounts::default();
                    let listed = self
                        .known
                        .values()
                        .filter(|(known, pass)| *pass >= self.complete_pass && known.created >= Some(oldest));
                    for (session, _) in listed {
                        counts.add(&session.queue, session.state, 1);
                    }
                    break poll.recounted(counts).map(|()| self.reads - from);
                }
            }
        };
        self.tracker = Some(tracker);
        result
    }

    fn follows(&self, session_id: &str) -> bool {
        self.tracker.as_ref().unwrap().listing().unsettled.contains_key(session_id)
    }

    /// What is known must be what is there.
    fn check(&self) {
        let truth: SessionCounts =
            self.sessions.iter().map(|session| (&session.queue, session.state, 1)).collect();
        let listing = self.tracker.as_ref().unwrap().listing();
        let counts = listing.counts();
        for queue in counts.queues() {
            for state in SessionState::ALL {
                assert_eq!(counts.get(queue, *state), truth.get(queue, *state), "{queue} {state}");
            }
        }
        assert_eq!(counts.total(), truth.total());
        let active = self.sessions.iter().filter(|session| !session.state.is_ended());
        for session in active {
            assert!(
                listing.unsettled.contains_key(&session.session_id),
                "{} is not followed",
                session.session_id
            );
        }
    }
}

const BOTH: [HistoryOrder; 2] = [HistoryOrder::NewestFirst, HistoryOrder::OldestFirst];

#[test]
fn a_quiet_history_costs_its_young_end_and_the_pages_of_running_sessions() {
    for order in BOTH {
        let mut world = World::new(order, 500, &[3, 4, 250, 499]);
        world.sweep();
        assert_eq!(world.poll(), Ok(3), "{order}: 3 and 4 share a page, 499 is on the young one");
        world.check();
        assert_eq!(world.poll(), Ok(3), "{order}");
    }
}

#[test]
fn births_and_ends_are_seen_and_settled_sessions_are_let_go() {
    for order in BOTH {
        let mut world = World::new(order, 300, &[100]);
        world.sweep();
        for _ in 0..25 {
            world.birth();
        }
        world.end(100);
        assert!(world.poll().unwrap() <= 5, "{order}");
        world.check();
        let ended = world.sessions[100].session_id.clone();
        assert!(world.follows(&ended), "it may still change");
        world.now += 61_000;
        world.poll().unwrap();
        assert!(!world.follows(&ended), "it has settled");
        world.check();
    }
}

#[test]
fn what_leaves_with_its_age_is_counted_out() {
    for order in BOTH {
        let mut world = World::new(order, 300, &[0, 150, 290]);
        world.sweep();
        world.sessions.drain(..37);
        world.birth();
        let reads = world.poll().unwrap();
        assert!(reads <= 6, "{order}: {reads}");
        world.check();
        assert!(world.poll().unwrap() <= 4, "{order}");
    }
}

#[test]
fn many_that_leave_and_many_that_are_born_keep_the_ranks_right() {
    for order in BOTH {
        let mut world = World::new(order, 500, &[200, 455, 470, 485]);
        world.sweep();
        world.sessions.drain(..69);
        for _ in 0..46 {
            world.birth();
        }
        let reads = world.poll().unwrap();
        assert!(reads <= 12, "{order}: {reads}");
        world.check();
    }
}

#[test]
fn births_during_a_poll_are_caught_up_with() {
    for order in BOTH {
        let mut world = World::new(order, 300, &[20, 150, 151, 200]);
        world.sweep();
        let moved = world.poll_while(|world, reads| {
            if reads == 1 || reads == 2 {
                world.birth();
            }
        });
        assert!(moved.unwrap() <= 10, "{order}");
        world.check();
    }
}

#[test]
fn a_session_that_is_removed_from_the_middle_is_let_go() {
    for order in BOTH {
        let mut world = World::new(order, 300, &[100, 200]);
        world.sweep();
        world.sessions.remove(100);
        world.poll().unwrap();
        world.check();
    }
}

#[test]
fn what_does_not_add_up_is_a_surprise() {
    for order in BOTH {
        // A settled session left from the middle: nobody looked at its page.
        let mut world = World::new(order, 300, &[250]);
        world.sweep();
        world.sessions.remove(100);
        let surprise = world.poll().unwrap_err();
        assert!(surprise.to_string().contains("299"), "{surprise}");

        // The order does not hold any more.
        let mut world = World::new(order, 300, &[250]);
        world.sweep();
        world.sessions.swap(0, 299);
        world.sessions.swap(4, 295);
        let surprise = world.poll().unwrap_err();
        assert!(surprise.to_string().contains("not sorted"), "{surprise}");
    }
}

#[test]
fn births_during_an_outage_are_read_to_their_end() {
    let mut world = World::new(HistoryOrder::NewestFirst, 300, &[250]);
    world.sweep();
    for _ in 0..600 {
        world.birth();
    }
    assert_eq!(world.poll(), Ok(62), "60 pages of births, one that is known, one that is named");
    world.check();
}

#[test]
fn two_hundred_running_sessions_anywhere_cost_a_page_each() {
    for order in BOTH {
        let running: Vec<u32> = (0..200).map(|i| i * 47 + 5).collect();
        let mut world = World::new(order, 10_000, &running);
        world.sweep();
        for _ in 0..3 {
            world.birth();
        }
        let reads = world.poll().unwrap();
        assert!(reads <= 1 + 200 + 20, "{order}: {reads}");
        world.check();
    }
}

#[derive(Clone, Debug)]
enum Event {
    Births(u8),
    End(prop::sample::Index),
    Leave(u8),
    Pass(u32),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever happens between polls: a poll that says it is complete knows what is there, and one that is surprised
    /// is made good by a sweep.
    #[test]
    fn a_complete_poll_knows_what_is_there(
        newest_first in any::<bool>(),
        size in 11_u32..120,
        running in prop::collection::vec(0_u32..120, 0..12),
        rounds in prop::collection::vec(prop::collection::vec(prop_oneof![
            (0_u8..25).prop_map(Event::Births),
            any::<prop::sample::Index>().prop_map(Event::End),
            (0_u8..15).prop_map(Event::Leave),
            (0_u32..100_000).prop_map(Event::Pass),
        ], 0..5), 1..8),
        within in prop::collection::vec((0_u32..6, 0_u8..3), 0..3),
    ) {
        let order = if newest_first { HistoryOrder::NewestFirst } else { HistoryOrder::OldestFirst };
        let mut world = World::new(order, size, &running);
        world.sweep();
        for events in rounds {
            for event in events {
                match event {
                    Event::Births(count) => (0..count).for_each(|_| world.birth()),
                    Event::End(index) if !world.sessions.is_empty() => {
                        let index = index.index(world.sessions.len());
                        if !world.sessions[index].state.is_ended() {
                            world.end(index);
                        }
                    }
                    Event::End(_) => {}
                    Event::Leave(count) => {
                        let count = usize::from(count).min(world.sessions.len());
                        world.sessions.drain(..count);
                    }
                    Event::Pass(ms) => world.now += i64::from(ms),
                }
            }
            let can_follow = world.tracker.as_ref().is_some_and(Tracker::can_follow);
            let births = within.clone();
            let polled = can_follow.then(|| world.poll_while(|world, reads| {
                for (at, count) in &births {
                    if *at == reads {
                        (0..*count).for_each(|_| world.birth());
                    }
                }
            }));
            match polled {
                Some(Ok(_)) => {}
                _ => world.sweep(),
            }
            if within.is_empty() {
                world.check();
            }
        }
    }
}
