//! The board shared between the sweeps that change it and the one renderer. Invariant: a counter that Prometheus may
//! not have seen at zero is shown at zero for the hold, and its release is on disk before its value is shown.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::board::{Board, View};
use super::body::Body;
use super::families;
use super::page::Page;
use crate::clock::{UnixMillis, millis};
use crate::config;
use crate::ledger::SeriesKey;
use crate::model::ScopeId;

/// The board, and what it takes to render it.
#[derive(Debug)]
pub struct Exposition {
    settings: Mutex<Settings>,
    board: Mutex<Board>,
    changed: Notify,
    /// Since when each held series has been shown at zero.
    held_since: Mutex<HashMap<SeriesKey, UnixMillis>>,
    /// How long the next page will be, about.
    size_bytes: AtomicUsize,
}

/// What of the configuration shows on the page.
#[derive(Clone, Debug)]
struct Settings {
    exposition: config::Exposition,
    pricing: Arc<config::Pricing>,
}

/// A rendered page and when it is to be rendered again.
#[derive(Debug)]
pub struct Rendered {
    /// The families of the watched resources.
    pub body: Body,
    /// When the passing of time alone changes the page.
    pub next_change: Option<UnixMillis>,
    /// Series whose hold at zero is over: to be released in the ledger.
    pub released: Vec<SeriesKey>,
}

impl Exposition {
    /// An empty board for these accounts in their regions.
    pub fn new(exposition: config::Exposition, pricing: config::Pricing, scopes: Vec<ScopeId>) -> Self {
        Self {
            settings: Mutex::new(Settings { exposition, pricing: Arc::new(pricing) }),
            board: Mutex::new(Board::new(scopes)),
            changed: Notify::new(),
            held_since: Mutex::default(),
            size_bytes: AtomicUsize::new(0),
        }
    }

    /// Shows these accounts in their regions from now on, under other settings.
    pub fn reconfigure(
        &self,
        exposition: config::Exposition,
        pricing: config::Pricing,
        scopes: Vec<ScopeId>,
    ) {
        let settings = Settings { exposition, pricing: Arc::new(pricing) };
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
        self.update(|board| board.set_scopes(scopes));
    }

    /// Changes the board and has it rendered.
    pub fn update(&self, change: impl FnOnce(&mut Board)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }

    /// Changes the board; the next rendering shows it, whatever that is for.
    pub fn update_quietly(&self, change: impl FnOnce(&mut Board)) {
        change(&mut self.lock());
    }

    /// Reads the board.
    pub fn read<T>(&self, read: impl FnOnce(&Board) -> T) -> T {
        read(&self.lock())
    }

    /// Reads the board as it is at `now`.
    pub fn view<T>(&self, now: UnixMillis, read: impl FnOnce(View<'_>) -> T) -> T {
        let Settings { exposition, pricing } = self.settings();
        // A copy, as for a rendering: sweeps do not wait for whoever reads.
        let board = self.lock().clone();
        read(View { board: &board, pricing: &pricing, now, stale_after: exposition.stale_after })
    }

    /// Waits until the board has changed since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Renders the board as it is at `now`.
    pub fn render(&self, now: UnixMillis) -> Rendered {
        let Settings { exposition, pricing } = self.settings();
        let config::Exposition { zero_hold, stale_after, created_timestamps } = exposition;
        // A copy, whose values are shared: who has something to add does not wait for the rendering.
        let board = self.lock().clone();
        let view = View { board: &board, pricing: &pricing, now, stale_after };
        let capacity = self.size_bytes.load(Ordering::Relaxed);
        let mut page = Page::new(created_timestamps, capacity);
        families::render(view, &mut page);
        let body = page.finish();
        // A little more than now, so that the next page is written without moving what is written already.
        self.size_bytes.store(body.size_bytes() + body.size_bytes() / 32, Ordering::Relaxed);
        let (released, next_release) = self.holds(&board, now, zero_hold);
        let next_change =
            view.next_withdrawal().into_iter().chain(next_release).chain(pricing.next_change(now)).min();
        Rendered { body, next_change, released }
    }

    /// Series whose hold is over at `now`, and when the next one is.
    fn holds(
        &self,
        board: &Board,
        now: UnixMillis,
        zero_hold: Duration,
    ) -> (Vec<SeriesKey>, Option<UnixMillis>) {
        let mut since = self.held_since.lock().unwrap_or_else(PoisonError::into_inner);
        let held: HashSet<SeriesKey> = board
            .shown_gateways()
            .flat_map(|(_, gateway)| gateway.series.values())
            .filter(|series| series.held)
            .map(|series| series.key)
            .collect();
        since.retain(|key, _| held.contains(key));
        let mut released = Vec::new();
        let mut next = None;
        for key in held {
            let until = since.entry(key).or_insert(now).saturating_add(millis(zero_hold));
            if until <= now {
                released.push(key);
            } else {
                next = next.into_iter().chain([until]).min();
            }
        }
        (released, next)
    }

    fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        // A panic while the lock was held leaves whole values behind: each change replaces one of them.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
