//! What the service keeps refusing is not asked for again and again. A refused key opens the circuit of the account in its
//! region, a refused permission that of one operation on one resource; while it is open, requests fail at once with the
//! same reason, but for a probe after each of the growing pauses. A new key starts afresh.
//! Invariant: one probe at a time; only an answer closes a circuit, and only a refusal opens one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::client::RequestObserver;
use super::credentials::Fingerprint;
use super::error::{Cause, Subject};
use super::refusal::Refusal;
use crate::clock::{UnixMillis, millis};
use crate::model::FailureReason;

/// Before the first probe; each refused one doubles it.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// The largest share of a pause by which a probe comes early, so that accounts do not keep step.
const JITTER: f64 = 0.25;

/// What a circuit is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Circuit {
    /// All requests with this key.
    Account(Fingerprint),
    /// One operation on one resource: a permission.
    Operation(Subject),
}

/// An open circuit.
#[derive(Debug)]
struct Open {
    refusal: Refusal,
    pause: Duration,
    probe_at: Instant,
    is_probing: bool,
}

/// The circuits of an account in a region; clones share them.
#[derive(Clone)]
pub(super) struct Circuits {
    shared: Arc<Shared>,
}

struct Shared {
    open: Mutex<BTreeMap<Circuit, Open>>,
    changed: watch::Sender<()>,
    observer: Arc<dyn RequestObserver>,
}

/// A request that was not sent, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Barred {
    pub(super) refusal: Refusal,
    /// Until the next probe; zero while one is under way.
    wait: Duration,
    /// From when on that is.
    now: UnixMillis,
}

impl Barred {
    /// Held back at this time of day. A message outlives the moment, which a countdown in it would not tell.
    pub(super) fn at(mut self: Box<Self>, now: UnixMillis) -> Box<Self> {
        self.now = now;
        self
    }
}

impl fmt::Display for Barred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not sent, because the latest answer was {}; ", self.refusal)?;
        // Up to the second: one that is due is not sent before it.
        let due = self.now.saturating_add(millis(self.wait)).saturating_add(999).div_euclid(1_000);
        match jiff::Timestamp::from_second(due) {
            Ok(due) if !self.wait.is_zero() => write!(f, "the next probe is due at {due}"),
            _ => f.write_str("a probe is under way"),
        }
    }
}

/// What becomes of a circuit after an answer.
enum Verdict<'a> {
    Close,
    Open(&'a Refusal),
    /// The answer says nothing about it.
    Leave,
}

impl Circuits {
    pub(super) fn new(observer: Arc<dyn RequestObserver>) -> Self {
        let circuits = Self {
            shared: Arc::new(Shared { open: Mutex::default(), changed: watch::Sender::new(()), observer }),
        };
        circuits.tell(&BTreeMap::new());
        circuits
    }

    /// Whether a request about this may be sent, so far as is known before its turn.
    pub(super) fn check(&self, subject: &Subject, key: Fingerprint) -> Result<(), Box<Barred>> {
        let (open, now) = (self.lock(), Instant::now());
        circuits_of(subject, key)
            .iter()
            .filter_map(|circuit| open.get(circuit))
            .try_for_each(|open| open.check(now))
    }

    /// Lets a request about this pass, as a probe where a circuit is open and its pause is over.
    pub(super) fn admit<'a>(
        &self,
        subject: &'a Subject,
        key: Fingerprint,
    ) -> Result<Admitted<'a>, Box<Barred>> {
        let (mut open, now) = (self.lock(), Instant::now());
        if forget_old(&mut open, now) {
            self.tell(&open);
        }
        let concerned = circuits_of(subject, key);
        concerned.iter().filter_map(|circuit| open.get(circuit)).try_for_each(|open| open.check(now))?;
        let probes = concerned.each_ref().map(|circuit| {
            let probed = open.get_mut(circuit);
            probed.map(|open| open.is_probing = true).is_some()
        });
        Ok(Admitted { circuits: self.clone(), subject, key, probes })
    }

    /// What tells when a request about this is worth another try; `None` where nothing keeps it.
    pub(super) fn resume(&self, subject: &Subject) -> Option<Resume> {
        let open = self.lock();
        let circuit = open.keys().find(|circuit| match circuit {
            Circuit::Account(_) => true,
            Circuit::Operation(about) => about == subject,
        });
        let circuit = circuit?.clone();
        Some(Resume { circuits: self.clone(), circuit })
    }

    /// Closes all: whoever asks from now on is somebody else.
    pub(super) fn reset(&self) {
        let mut open = self.lock();
        open.clear();
        self.tell(&open);
        self.shared.changed.send_replace(());
    }

    /// Tells how many circuits are open, for each reason that opens one.
    fn tell(&self, open: &BTreeMap<Circuit, Open>) {
        for reason in FailureReason::THAT_OPEN_CIRCUITS {
            let count = open.values().filter(|open| open.refusal.reason() == reason).count();
            self.shared.observer.on_open_circuits(reason, count);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Circuit, Open>> {
        // A panic while the lock was held leaves circuits that the next answers put right.
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn circuits_of(subject: &Subject, key: Fingerprint) -> [Circuit; 2] {
    [Circuit::Account(key), Circuit::Operation(subject.clone())]
}

impl Open {
    fn check(&self, now: Instant) -> Result<(), Box<Barred>> {
        if !self.is_probing && self.probe_at <= now {
            return Ok(());
        }
        let wait = self.probe_at.saturating_duration_since(now);
        Err(Box::new(Barred { refusal: self.refusal.clone(), wait, now: 0 }))
    }

    fn wait_again(&mut self, pause: Duration) {
        self.pause = pause.min(PAUSE_MAX);
        self.probe_at = Instant::now() + self.pause.mul_f64(1.0 - JITTER * rand::random::<f64>());
        self.is_probing = false;
    }
}

/// A request that may be sent. Dropped without an answer, it was no probe.
pub(super) struct Admitted<'a> {
    circuits: Circuits,
    subject: &'a Subject,
    key: Fingerprint,
    probes: [bool; 2],
}

impl Admitted<'_> {
    /// Opens and closes circuits as the request's answer says.
    pub(super) fn settle(mut self, outcome: Result<(), &Cause>) {
        use FailureReason as R;
        let refusal = match outcome {
            Err(Cause::Refused(refusal)) => Some(refusal),
            _ => None,
        };
        let verdicts = match (outcome, refusal.map(|refusal| (refusal.reason(), refusal))) {
            (Ok(()), _) | (_, Some((R::NotFound, _))) => [Verdict::Close, Verdict::Close],
            // The key was accepted before the permission was looked up.
            (_, Some((R::Denied, refusal))) => [Verdict::Close, Verdict::Open(refusal)],
            (_, Some((R::Unauthenticated | R::ClockSkew, refusal))) => {
                [Verdict::Open(refusal), Verdict::Leave]
            }
            _ => [Verdict::Leave, Verdict::Leave],
        };
        let circuits = self.circuits.clone();
        let mut open = circuits.lock();
        let mut has_changed = false;
        for ((circuit, verdict), is_probe) in
            circuits_of(self.subject, self.key).into_iter().zip(verdicts).zip(self.probes.each_mut())
        {
            has_changed |= match verdict {
                Verdict::Close => close(&mut open, &circuit),
                Verdict::Open(refusal) => refuse(&mut open, circuit, refusal, *is_probe),
                Verdict::Leave => continue,
            };
            *is_probe = false;
        }
        if has_changed {
            circuits.tell(&open);
            circuits.shared.changed.send_replace(());
        }
    }
}

/// Closes a circuit, with a key's also that of the key before it; true where one was open.
fn close(open: &mut BTreeMap<Circuit, Open>, circuit: &Circuit) -> bool {
    let before = open.len();
    open.retain(|other, _| match circuit {
        Circuit::Account(_) => !matches!(other, Circuit::Account(_)),
        Circuit::Operation(_) => other != circuit,
    });
    open.len() < before
}

/// Opens a circuit, or keeps it open for longer after a refused probe; true where that changed something.
fn refuse(open: &mut BTreeMap<Circuit, Open>, circuit: Circuit, refusal: &Refusal, is_probe: bool) -> bool {
    match open.get_mut(&circuit) {
        Some(open) if is_probe => {
            open.refusal = refusal.clone();
            open.wait_again(open.pause * 2);
        }
        // Requests that were under way when it opened say nothing new.
        Some(_) => return false,
        None => {
            close(open, &circuit);
            let (refusal, probe_at) = (refusal.clone(), Instant::now());
            let mut new = Open { refusal, pause: PAUSE_MIN, probe_at, is_probing: false };
            new.wait_again(PAUSE_MIN);
            open.insert(circuit, new);
        }
    }
    true
}

/// Whoever still asks probes at the end of each pause: what nobody has asked for since is gone, with its workspace. True
/// where there was such a circuit.
fn forget_old(open: &mut BTreeMap<Circuit, Open>, now: Instant) -> bool {
    let before = open.len();
    open.retain(|_, open| open.is_probing || now.saturating_duration_since(open.probe_at) < 2 * PAUSE_MAX);
    open.len() < before
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if self.probes == [false; 2] {
            return;
        }
        let mut open = self.circuits.lock();
        for (circuit, is_probe) in circuits_of(self.subject, self.key).into_iter().zip(self.probes) {
            if let Some(open) = open.get_mut(&circuit).filter(|_| is_probe) {
                open.wait_again(open.pause);
            }
        }
        self.circuits.shared.changed.send_replace(());
    }
}

/// Tells when a request that was refused or held back is worth another try.
#[derive(Clone)]
pub struct Resume {
    circuits: Circuits,
    circuit: Circuit,
}

impl Resume {
    /// Waits until its circuit is closed, or the time of a probe has come.
    pub async fn wait(&self) {
        let mut changed = self.circuits.shared.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let (pause, probe_at) = match self.circuits.lock().get(&self.circuit) {
                None => return,
                Some(open) => (open.pause, (!open.is_probing).then_some(open.probe_at)),
            };
            let due = async {
                match probe_at {
                    // Spread, so that of many who wait one probes and the others hear of it.
                    Some(at) => {
                        tokio::time::sleep_until(at + pause.mul_f64(JITTER * rand::random::<f64>())).await
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => return,
                // The sender lives as long as the circuits.
                _ = changed.changed() => {}
            }
        }
    }
}

impl fmt::Debug for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resume").field("circuit", &self.circuit).finish_non_exhaustive()
    }
}
