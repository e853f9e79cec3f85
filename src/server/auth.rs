//! Passwords of basic authentication. Invariant: bcrypt runs off the serving threads, one at a time, whether or not the client
//! still waits, and once for all who send the same; a password that was checked before costs no more than a look; and whoever is
//! refused was checked for as long, known or not.

mod queue;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};

use self::queue::{Digest, Queue, Told, Work};

/// Wrong passwords that are remembered, the latest.
const WRONG_MAX: usize = 1_000;
/// Right passwords that are remembered: more than one only where a hash is changed.
const RIGHT_MAX: usize = 1_000;

/// Whether a request may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
    /// Too many are waiting: nothing was checked.
    Busy,
}

/// What a check came to before; of the user, the hash and the password, by a digest with a salt of this process.
#[derive(Debug)]
pub(super) struct Passwords {
    state: Arc<Mutex<State>>,
    salt: [u8; 32],
}

#[derive(Debug, Default)]
struct State {
    known: Known,
    queue: Queue,
    /// Whether a thread takes what waits in the queue.
    is_at_work: bool,
}

/// Wrong ones never push out right ones.
#[derive(Debug, Default)]
struct Known {
    right: Remembered,
    wrong: Remembered,
}

impl Known {
    fn verdict(&self, digest: &Digest) -> Option<Verdict> {
        match (self.right.digests.contains(digest), self.wrong.digests.contains(digest)) {
            (true, _) => Some(Verdict::Right),
            (_, true) => Some(Verdict::Wrong),
            _ => None,
        }
    }

    fn add(&mut self, digest: Digest, is_right: bool) {
        if is_right {
            self.right.add(digest, RIGHT_MAX);
        } else {
            self.wrong.add(digest, WRONG_MAX);
        }
    }
}

#[derive(Debug, Default)]
struct Remembered {
    digests: HashSet<Digest>,
    order: VecDeque<Digest>,
}

impl Remembered {
    fn add(&mut self, digest: Digest, max: usize) {
        if !self.digests.insert(digest) {
            return;
        }
        self.order.push_back(digest);
        if self.order.len() > max
            && let Some(oldest) = self.order.pop_front()
        {
            self.digests.remove(&oldest);
        }
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self { state: Arc::default(), salt: rand::random() }
    }
}

impl Passwords {
    /// Whether the head bears the name and the password of one of these users.
    pub(super) async fn check(&self, users: &BTreeMap<String, SecretString>, head: &HeaderMap) -> Verdict {
        let Some((name, password)) = credentials(head) else { return Verdict::Wrong };
        // The names of a file are UTF-8: any other is nobody's.
        let user = std::str::from_utf8(&name).ok().and_then(|name| users.get(name));
        let hashes = hashes(users, user);
        let hash = hashes.first().map_or("", String::as_str);
        let digest = self.digest([&name, hash.as_bytes(), &password]);
        let mut told = match self.ask(digest, Work { hashes, password, is_known: user.is_some() }) {
            Ok(verdict) => return verdict,
            Err(told) => told,
        };
        match told.wait_for(Option::is_some).await {
            Ok(verdict) => verdict.unwrap_or(Verdict::Busy),
            // The thread ended before the check was done.
            Err(_) => Verdict::Busy,
        }
    }

    /// What is known already; else what will tell.
    fn ask(&self, digest: Digest, work: Work) -> Result<Verdict, Told> {
        let mut state = lock(&self.state);
        if let Some(verdict) = state.known.verdict(&digest) {
            return Ok(verdict);
        }
        if let Some(told) = state.queue.join(&digest) {
            return Err(told);
        }
        let Some(told) = state.queue.enter(digest, work) else { return Ok(Verdict::Busy) };
        let is_at_work = std::mem::replace(&mut state.is_at_work, true);
        drop(state);
        if !is_at_work {
            let desk = Desk(Some(Arc::clone(&self.state)));
            tokio::task::spawn_blocking(|| desk.work());
        }
        Err(told)
    }

    fn digest(&self, parts: [&[u8]; 3]) -> Digest {
        let mut hash = Sha256::new();
        hash.update(self.salt);
        for part in parts {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where passwords are checked, one after the other until none waits; there is one at a time.
struct Desk(Option<Arc<Mutex<State>>>);

impl Desk {
    fn work(mut self) {
        while let Some(work) = self.next() {
            let is_right = matching(&work.hashes, &work.password) == Some(0) && work.is_known;
            let Some(state) = &self.0 else { return };
            let mut state = lock(state);
            let verdict = if is_right { Verdict::Right } else { Verdict::Wrong };
            if let Some(digest) = state.queue.end(verdict) {
                state.known.add(digest, is_right);
            }
        }
    }

    /// Where nothing waits, the desk is closed at the same moment: whoever comes then opens another.
    fn next(&mut self) -> Option<Work> {
        let mut state = lock(self.0.as_ref()?);
        let work = state.queue.begin();
        state.is_at_work = work.is_some();
        drop(state);
        if work.is_none() {
            self.0 = None;
        }
        work
    }
}

impl Drop for Desk {
    /// Where it was not closed, its thread has panicked, or was none any more.
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            let mut state = lock(state);
            state.queue.end(Verdict::Busy);
            state.is_at_work = false;
        }
    }
}

/// Name and password of `Authorization: Basic …`: bytes, as bcrypt and other clients have it.
fn credentials(head: &HeaderMap) -> Option<(Vec<u8>, Vec<u8>)> {
    let value = head.get(AUTHORIZATION)?.as_bytes();
    let (scheme, encoded) = value.split_at(value.iter().position(|byte| *byte == b' ')?);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let mut name = STANDARD.decode(encoded.trim_ascii()).ok()?;
    let password = name.split_off(name.iter().position(|byte| *byte == b':')?);
    Some((name, password[1..].to_vec()))
}

/// What a password is compared with, one after the other until one matches: the hash of its user, then fakes that cost as much
/// as is missing to the dearest hash of all; for an unknown user a fake as dear as that.
fn hashes(users: &BTreeMap<String, SecretString>, user: Option<&SecretString>) -> Vec<String> {
    let dearest = users.values().map(cost).max().unwrap_or(10);
    match user {
        // Each is twice as dear as the one before: a cost, and all from it on, are the next above.
        Some(hash) => {
            let missing = (cost(hash)..dearest).map(fake);
            std::iter::once(hash.expose_secret().to_owned()).chain(missing).collect()
        }
        None => vec![fake(dearest)],
    }
}

/// The first of them that a password has.
fn matching(hashes: &[String], password: &[u8]) -> Option<usize> {
    hashes.iter().position(|hash| bcrypt::verify(password, hash).unwrap_or(false))
}

fn cost(hash: &SecretString) -> u32 {
    hash.expose_secret().parse::<bcrypt::HashParts>().map_or(0, |parts| parts.get_cost())
}

/// A hash that no password has.
fn fake(cost: u32) -> String {
    format!("$2b${cost:02}$abcdefghijklmnopqrstuu{}", "u".repeat(31))
}

#[cfg(test)]
mod tests;
