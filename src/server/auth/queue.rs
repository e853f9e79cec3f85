//! Passwords that wait to be checked. Invariant: bounded, each once, and who comes again after being turned away is not turned
//! away for those who come for the first time, whatever names they bear.

use std::collections::{HashSet, VecDeque};

use tokio::sync::watch;

use super::Verdict;

/// Passwords that may be checked or wait for it; each takes tens of milliseconds.
pub(super) const PLACES: usize = 32;

/// Of those who were turned away, in each half of what is remembered: a megabyte.
const TURNED_AWAY_MAX: usize = 100_000;

/// Of the user, the hash and the password.
pub(super) type Digest = [u8; 32];
/// What a check comes to, for all who wait for it.
pub(super) type Told = watch::Receiver<Option<Verdict>>;

/// What there is to check.
#[derive(Debug)]
pub(super) struct Work {
    /// To compare with, one after the other until one matches.
    pub(super) hashes: Vec<String>,
    pub(super) password: Vec<u8>,
    /// Whether the first of the hashes is a user's.
    pub(super) is_known: bool,
}

#[derive(Debug)]
struct Waiting {
    digest: Digest,
    work: Work,
    told: watch::Sender<Option<Verdict>>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queue {
    running: Option<(Digest, watch::Sender<Option<Verdict>>)>,
    /// Those who came again, then those who came for the first time; each in the order of arrival.
    waiting: VecDeque<Waiting>,
    came_again: usize,
    turned_away: TurnedAway,
}

impl Queue {
    /// The check of the same that waits or is under way.
    pub(super) fn join(&self, digest: &Digest) -> Option<Told> {
        let running = self.running.iter().map(|(digest, told)| (digest, told));
        let waiting = self.waiting.iter().map(|waiting| (&waiting.digest, &waiting.told));
        running.chain(waiting).find(|(other, _)| *other == digest).map(|(_, told)| told.subscribe())
    }

    /// Takes a place; where there is none, that of one who came for the first time, by chance: of a flood, each has the same
    /// prospect, and whoever knows the password and asks once more stands before all of it. `None`: turned away.
    pub(super) fn enter(&mut self, digest: Digest, work: Work) -> Option<Told> {
        let comes_again = self.turned_away.has(&digest);
        if self.taken() >= PLACES && !self.make_room(comes_again) {
            self.turned_away.add(&digest);
            return None;
        }
        let (told, receiver) = watch::channel(None);
        let place = if comes_again { self.came_again } else { self.waiting.len() };
        self.waiting.insert(place, Waiting { digest, work, told });
        self.came_again += usize::from(comes_again);
        Some(receiver)
    }

    fn make_room(&mut self, comes_again: bool) -> bool {
        let (again, all) = (self.came_again, self.waiting.len());
        let candidates = if again < all { again..all } else { 0..if comes_again { all } else { 0 } };
        if candidates.is_empty() {
            return false;
        }
        let chosen = rand::random_range(candidates);
        if let Some(out) = self.waiting.remove(chosen) {
            self.came_again -= usize::from(chosen < again);
            self.turned_away.add(&out.digest);
            out.told.send_replace(Some(Verdict::Busy));
        }
        true
    }

    /// The next to be checked, which is under way from now on.
    pub(super) fn begin(&mut self) -> Option<Work> {
        let Waiting { digest, work, told } = self.waiting.pop_front()?;
        self.came_again = self.came_again.saturating_sub(1);
        self.running = Some((digest, told));
        Some(work)
    }

    /// Tells what the one under way came to; its digest.
    pub(super) fn end(&mut self, verdict: Verdict) -> Option<Digest> {
        let (digest, told) = self.running.take()?;
        told.send_replace(Some(verdict));
        Some(digest)
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> usize {
        self.waiting.len() + usize::from(self.running.is_some())
    }
}

/// Who was turned away lately: of a flood of a thousand a second, in the last minutes. In two halves, the older of which is
/// forgotten as a whole.
#[derive(Debug, Default)]
struct TurnedAway {
    latest: HashSet<u64>,
    earlier: HashSet<u64>,
}

impl TurnedAway {
    fn has(&self, digest: &Digest) -> bool {
        let short = short(digest);
        self.latest.contains(&short) || self.earlier.contains(&short)
    }

    fn add(&mut self, digest: &Digest) {
        if self.latest.len() >= TURNED_AWAY_MAX {
            self.earlier = std::mem::take(&mut self.latest);
        }
        self.latest.insert(short(digest));
    }
}

/// A digest is as good as random, and salted: a part of it is, too.
fn short(digest: &Digest) -> u64 {
    digest.iter().take(8).fold(0, |short, byte| short << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u32) -> Digest {
        use sha2::Digest as _;
        sha2::Sha256::digest(number.to_le_bytes()).into()
    }

    fn work() -> Work {
        Work { hashes: Vec::new(), password: Vec::new(), is_known: false }
    }

    fn verdict(told: &Told) -> Option<Verdict> {
        *told.borrow()
    }

    #[test]
    fn who_comes_again_stays_through_any_flood_of_others_and_is_next() {
        let mut queue = Queue::default();
        let first = queue.enter(digest(0), work()).unwrap();
        for number in 1..5_000 {
            assert!(queue.enter(digest(number), work()).is_some(), "the newest is let in");
            assert!(queue.taken() <= PLACES);
        }
        assert_eq!(verdict(&first), Some(Verdict::Busy));
        let again = queue.enter(digest(0), work()).unwrap();
        for number in 5_000..150_000 {
            queue.enter(digest(number), work());
        }
        assert_eq!((verdict(&again), queue.taken()), (None, PLACES));
        queue.begin();
        assert_eq!(queue.end(Verdict::Right), Some(digest(0)));
        assert_eq!(verdict(&again), Some(Verdict::Right));
    }

    #[test]
    fn among_those_who_come_again_it_is_chance_and_the_others_are_turned_away() {
        let mut queue = Queue::default();
        for number in 0..1_000 {
            queue.turned_away.add(&digest(number));
        }
        let told: Vec<Told> = (0..1_000).map(|number| queue.enter(digest(number), work()).unwrap()).collect();
        assert_eq!((queue.taken(), queue.came_again), (PLACES, PLACES));
        assert_eq!(told.iter().filter(|told| verdict(told).is_none()).count(), PLACES);
        assert!(queue.enter(digest(1_000), work()).is_none());
        assert!(queue.turned_away.has(&digest(1_000)));
        queue.begin();
        assert_eq!((queue.taken(), queue.came_again), (PLACES, PLACES - 1));
    }

    #[test]
    fn the_memory_of_who_was_turned_away_is_bounded() {
        let mut turned_away = TurnedAway::default();
        for number in 0..250_000 {
            turned_away.add(&digest(number));
        }
        let halves = (turned_away.latest.len(), turned_away.earlier.len());
        assert_eq!(halves, (50_000, TURNED_AWAY_MAX));
        assert!((100_000..250_000).all(|number| turned_away.has(&digest(number))));
        assert!(!turned_away.has(&digest(99_999)) && !turned_away.has(&digest(250_000)));
    }
}
