//! Passwords of basic authentication. Invariant: bcrypt runs off the serving threads, one at a time, whether or not the client
//! still waits; a password that was checked before costs no more than a look; and whoever is refused was checked for as long, known or not.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

/// Passwords that may be checked or wait for it; each takes tens of milliseconds.
const WAITING_MAX: usize = 32;
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
    known: Arc<Mutex<Known>>,
    turn: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    salt: [u8; 32],
}

/// Wrong ones never push out right ones.
#[derive(Debug, Default)]
struct Known {
    right: Remembered,
    wrong: Remembered,
}

impl Known {
    fn add(&mut self, digest: [u8; 32], is_right: bool) {
        if is_right {
            self.right.add(digest, RIGHT_MAX);
        } else {
            self.wrong.add(digest, WRONG_MAX);
        }
    }
}

#[derive(Debug, Default)]
struct Remembered {
    digests: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl Remembered {
    fn add(&mut self, digest: [u8; 32], max: usize) {
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
        Self {
            known: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
            queue: Arc::new(Semaphore::new(WAITING_MAX)),
            salt: rand::random(),
        }
    }
}

impl Passwords {
    /// Whether the head bears the name and the password of one of these users.
    pub(super) async fn check(&self, users: &BTreeMap<String, SecretString>, head: &HeaderMap) -> Verdict {
        let Some((name, password)) = credentials(head) else { return Verdict::Wrong };
        let user = users.get(&name);
        let hashes = hashes(users, user);
        let hash = hashes.first().map_or("", String::as_str);
        let digest = self.digest([name.as_bytes(), hash.as_bytes(), password.as_bytes()]);
        if let Some(verdict) = self.remembered(&digest) {
            return verdict;
        }
        let Ok(place) = Arc::clone(&self.queue).try_acquire_owned() else { return Verdict::Busy };
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else { return Verdict::Busy };
        // Others with the same password may have been first.
        if let Some(verdict) = self.remembered(&digest) {
            return verdict;
        }
        let (known, is_known) = (Arc::clone(&self.known), user.is_some());
        let check = move || {
            // They are free again when bcrypt is done, not when the client hangs up.
            let _held = (place, turn);
            let is_right = matching(&hashes, &password) == Some(0) && is_known;
            known.lock().unwrap_or_else(PoisonError::into_inner).add(digest, is_right);
            is_right
        };
        match tokio::task::spawn_blocking(check).await {
            Ok(true) => Verdict::Right,
            _ => Verdict::Wrong,
        }
    }

    fn remembered(&self, digest: &[u8; 32]) -> Option<Verdict> {
        let known = self.known();
        match (known.right.digests.contains(digest), known.wrong.digests.contains(digest)) {
            (true, _) => Some(Verdict::Right),
            (_, true) => Some(Verdict::Wrong),
            _ => None,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn digest(&self, parts: [&[u8]; 3]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.salt);
        for part in parts {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// Name and password of `Authorization: Basic …`.
fn credentials(head: &HeaderMap) -> Option<(String, Arc<str>)> {
    let text = head.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.into()))
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
fn matching(hashes: &[String], password: &str) -> Option<usize> {
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
