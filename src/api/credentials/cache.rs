//! Keeps keys and renews them in the background. Invariant: one fetch at a time, whoever waits or gives up waiting; keys
//! that still hold are never given up because their renewal fails.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::error::{CredentialsError, Failure};
use super::source::{Fetch, Fetched};
use super::{AccessCredentials, CredentialsFuture, CredentialsObserver, CredentialsProvider};
use crate::clock::{Clock, UnixMillis, millis};
use crate::model::FailureReason;

/// Renewal begins this long before the end, or earlier by the jitter; of keys with a short life at two thirds of it.
const LEAD_MAX: Duration = Duration::from_secs(15 * 60);
/// Between two fetches, at least.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Between two fetches that fail, at most.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// The longest that a fetch may take: a chain of roles asks several services.
const FETCH_MAX: Duration = Duration::from_secs(90);
/// How often files are looked at, and the time of day: this machine may have slept.
const LOOK: Duration = Duration::from_secs(2);
/// Keys that the service keeps rejecting are not asked for again sooner: the source may have no others.
const REJECTION_PAUSE: Duration = Duration::from_secs(30);
/// A standing failure is told this often.
const REPEAT: Duration = Duration::from_secs(5 * 60);

/// What renewal works with.
pub(super) struct Background {
    /// For messages and metrics.
    pub(super) account: String,
    pub(super) clock: Clock,
    pub(super) observer: Arc<dyn CredentialsObserver>,
    /// A number from 0 to 1.
    pub(super) jitter: fn() -> f64,
}

/// How things stand.
#[derive(Clone)]
enum State {
    /// The answer is on its way, and there is nothing to go on with.
    Waiting,
    Held(Held),
    Failed(CredentialsError),
}

#[derive(Clone)]
struct Held {
    keys: Arc<AccessCredentials>,
    end: Option<End>,
}

/// When keys end, by two clocks: one does not count sleep, the other can be set.
#[derive(Clone, Copy)]
struct End {
    instant: Instant,
    wall: UnixMillis,
}

impl End {
    fn is_over(self, clock: &Clock) -> bool {
        Instant::now() >= self.instant || clock.now() >= self.wall
    }
}

/// A provider around a source.
pub(super) struct Cached {
    state: watch::Receiver<State>,
    /// Asks for another look.
    wish: Arc<Notify>,
    /// Keys that the service rejected, and when: what the next look is to settle.
    rejected: Arc<Mutex<Rejection>>,
    clock: Clock,
    task: AbortHandle,
}

#[derive(Default)]
struct Rejection {
    is_new: bool,
    last: Option<Instant>,
}

impl Cached {
    /// Begins at once, in the background of the present runtime; ends when it is dropped.
    pub(super) fn start(source: impl Fetch, background: Background) -> Self {
        let (sender, state) = watch::channel(State::Waiting);
        let (wish, rejected) = (Arc::<Notify>::default(), Arc::<Mutex<Rejection>>::default());
        let clock = background.clock.clone();
        let renewal = Renewal {
            source,
            background,
            state: sender,
            wish: Arc::clone(&wish),
            rejected: Arc::clone(&rejected),
            failures: 0,
            told: None,
            latest: None,
        };
        let task = tokio::spawn(renewal.run()).abort_handle();
        Self { state, wish, rejected, clock, task }
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cached")
    }
}

impl CredentialsProvider for Cached {
    fn credentials(&self) -> CredentialsFuture<'_> {
        Box::pin(async move {
            let mut state = self.state.clone();
            loop {
                let now = state.borrow_and_update().clone();
                match now {
                    State::Held(held) if held.end.is_none_or(|end| !end.is_over(&self.clock)) => {
                        return Ok(held.keys);
                    }
                    // Over just now, or while this machine slept: the next look settles it.
                    State::Held(_) => self.wish.notify_one(),
                    State::Failed(error) => return Err(error),
                    State::Waiting => {}
                }
                if state.changed().await.is_err() {
                    return Err(Failure::absent("the task that renews them has ended").into());
                }
            }
        })
    }

    fn rejected(&self, keys: &AccessCredentials, code: &str) {
        const KEY: [&str; 4] =
            ["InvalidAccessKeyId", "InvalidSecurityToken", "MissingSecurityToken", "SignatureDoesNotMatch"];
        let is_held = matches!(&*self.state.borrow(), State::Held(held) if held.keys.id == keys.id);
        if !is_held || !KEY.iter().any(|known| code.starts_with(known)) {
            return;
        }
        let mut rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        if rejected.last.is_none_or(|last| last.elapsed() >= REJECTION_PAUSE) {
            *rejected = Rejection { is_new: true, last: Some(Instant::now()) };
            self.wish.notify_one();
        }
    }

    fn look(&self) {
        self.wish.notify_one();
    }
}

/// The task behind a [`Cached`].
struct Renewal<F> {
    source: F,
    background: Background,
    state: watch::Sender<State>,
    wish: Arc<Notify>,
    rejected: Arc<Mutex<Rejection>>,
    /// In a row.
    failures: u32,
    /// The failure that was told, and when.
    told: Option<(String, Instant)>,
    /// The latest failure, for whoever asks when the keys have ended.
    latest: Option<CredentialsError>,
}

impl<F: Fetch> Renewal<F> {
    async fn run(mut self) {
        loop {
            // Before the fetch: what changes meanwhile is a change.
            let files = self.look_at_files().await;
            let fetched = tokio::time::timeout(FETCH_MAX, self.source.fetch()).await;
            let late = |_| Failure {
                why: format!("no answer within {} s", FETCH_MAX.as_secs()),
                reason: FailureReason::Timeout,
            };
            let pause = match fetched.map_err(late).flatten() {
                Ok(fetched) => self.succeeded(fetched),
                Err(failure) => self.failed(failure),
            };
            self.pause(pause, &files).await;
        }
    }

    /// Waits until the next fetch is due: `pause` from now (`None` = never by itself), or sooner for a reason.
    async fn pause(&self, pause: Option<Duration>, files: &[Stamp]) {
        let due = pause.map(|pause| Instant::now() + pause);
        loop {
            let look = Instant::now() + LOOK;
            tokio::select! {
                () = tokio::time::sleep_until(due.map_or(look, |due| due.min(look))) => {}
                () = self.wish.notified() => {}
            }
            if std::mem::take(&mut self.rejected.lock().unwrap_or_else(PoisonError::into_inner).is_new) {
                // Nobody else is to try them.
                self.state.send_replace(State::Waiting);
                return;
            }
            if due.is_some_and(|due| Instant::now() >= due) || self.has_changed(files).await {
                return;
            }
            if self.is_over() {
                match &self.latest {
                    // The pause between two fetches is kept: whoever asks meanwhile is told why.
                    Some(error) => drop(self.state.send_replace(State::Failed(error.clone()))),
                    None => return,
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        let end = if let State::Held(held) = &*self.state.borrow() { held.end } else { None };
        end.is_some_and(|end| end.is_over(&self.background.clock))
    }

    fn succeeded(&mut self, fetched: Fetched) -> Option<Duration> {
        let account = &self.background.account;
        if self.told.take().is_some() {
            tracing::info!(account, "keys are to be had again");
        }
        (self.failures, self.latest) = (0, None);
        let Fetched { keys, expiry } = fetched;
        let is_temporary = keys.security_token.is_some();
        self.background.observer.on_keys(account, expiry.map(|expiry| expiry.at), is_temporary);
        let end = expiry.map(|expiry| End {
            instant: Instant::now() + expiry.left,
            wall: self.background.clock.now().saturating_add(millis(expiry.left)),
        });
        tracing::debug!(account, expires = expiry.is_some(), "keys came");
        self.state.send_replace(State::Held(Held { keys: Arc::new(keys), end }));
        let left = expiry?.left;
        let lead = LEAD_MAX.min(left / 3);
        // Earlier by up to a third, so that many exporters do not ask at once.
        let earlier = lead.mul_f64((self.background.jitter)() / 3.0);
        Some(left.saturating_sub(lead + earlier).max(PAUSE_MIN))
    }

    fn failed(&mut self, failure: Failure) -> Option<Duration> {
        let error = CredentialsError::from(failure);
        let holds = !self.is_over() && matches!(&*self.state.borrow(), State::Held(_));
        self.tell(&error, holds);
        self.latest = Some(error.clone());
        if !holds {
            self.state.send_replace(State::Failed(error));
        }
        let pause = PAUSE_MIN * 2_u32.saturating_pow(self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        let pause = pause.min(PAUSE_MAX);
        Some(pause.mul_f64(0.75 + (self.background.jitter)() / 4.0))
    }

    /// Once for each failure, and again where it stands for long.
    fn tell(&mut self, error: &CredentialsError, holds: bool) {
        let text = error.to_string();
        let is_told = self.told.as_ref().is_some_and(|(told, at)| *told == text && at.elapsed() < REPEAT);
        if is_told {
            return;
        }
        let account = &self.background.account;
        if holds {
            tracing::warn!(account, %error, "keys could not be renewed; those at hand still hold");
        } else {
            tracing::warn!(account, %error, "there are no keys");
        }
        self.told = Some((text, Instant::now()));
    }

    /// Whether a file that is of use is not as it was. A chain that keeps to one source has no use for the others' files.
    async fn has_changed(&self, before: &[Stamp]) -> bool {
        self.look_at_files().await.iter().any(|stamp| !before.contains(stamp))
    }

    async fn look_at_files(&self) -> Vec<Stamp> {
        let files = self.source.files();
        if files.is_empty() {
            return Vec::new();
        }
        // A file may lie on a network: not on a thread that serves others.
        tokio::task::spawn_blocking(move || files.into_iter().map(Stamp::of).collect())
            .await
            .unwrap_or_default()
    }
}

/// What tells that a file has changed, without reading it.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    /// Modification and size, as text; `None` where there is no such file.
    seen: Option<String>,
}

impl Stamp {
    fn of(path: PathBuf) -> Self {
        let seen = std::fs::metadata(&path).ok().map(|file| format!("{:?} {}", file.modified(), file.len()));
        Self { path, seen }
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
