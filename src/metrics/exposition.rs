//! The board shared between the sweeps that change it and the one renderer. Invariant: a counter that Prometheus may
//! not have seen at zero is shown at zero for the hold, and its release is on disk before its value is shown.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::board::{Board, View};
use super::families;
use super::page::Page;
use crate::clock::{UnixMillis, millis};
use crate::config;
use crate::ledger::SeriesKey;
use crate::model::ScopeId;

/// The board, and what it takes to render it.
#[derive(Debug)]
pub struct Exposition {
    settings: config::Exposition,
    pricing: config::Pricing,
    board: Mutex<Board>,
    changed: Notify,
    /// Since when each held series has been shown at zero.
    held_since: Mutex<HashMap<SeriesKey, UnixMillis>>,
}

/// A rendered page and when it is to be rendered again.
#[derive(Debug)]
pub struct Rendered {
    /// Prometheus text format 0.0.4.
    pub page: Vec<u8>,
    /// When the passing of time alone changes the page.
    pub next_change: Option<UnixMillis>,
    /// Series whose hold at zero is over: to be released in the ledger.
    pub released: Vec<SeriesKey>,
}

impl Exposition {
    /// An empty board for these accounts in their regions.
    pub fn new(settings: config::Exposition, scopes: Vec<ScopeId>) -> Self {
        Self {
            settings,
            pricing: config::Pricing::default(),
            board: Mutex::new(Board::new(scopes)),
            changed: Notify::new(),
            held_since: Mutex::default(),
        }
    }

    /// With prices, to be shown beside the usage.
    #[must_use]
    pub fn with_pricing(self, pricing: config::Pricing) -> Self {
        Self { pricing, ..self }
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

    /// Waits until the board has changed since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Renders the board as it is at `now`.
    pub fn render(&self, now: UnixMillis) -> Rendered {
        let board = self.lock();
        let view =
            View { board: &board, pricing: &self.pricing, now, stale_after: self.settings.stale_after };
        let mut page = Page::default();
        families::render(view, &mut page);
        let (released, next_release) = self.holds(&board, now);
        let next_change = view.next_withdrawal().into_iter().chain(next_release);
        let next_change = next_change.chain(self.pricing.next_change(now)).min();
        Rendered { page: page.finish(), next_change, released }
    }

    /// Series whose hold is over at `now`, and when the next one is.
    fn holds(&self, board: &Board, now: UnixMillis) -> (Vec<SeriesKey>, Option<UnixMillis>) {
        let mut since = self.held_since.lock().unwrap_or_else(PoisonError::into_inner);
        let shown =
            board.ledger.gateways.iter().filter(|(id, gateway)| gateway.is_shown() && board.shows(id));
        let held: Vec<SeriesKey> = shown
            .flat_map(|(_, gateway)| gateway.series.values())
            .filter(|series| series.held)
            .map(|series| series.key)
            .collect();
        since.retain(|key, _| held.contains(key));
        let mut released = Vec::new();
        let mut next = None;
        for key in held {
            let until = since.entry(key).or_insert(now).saturating_add(millis(self.settings.zero_hold));
            if until <= now {
                released.push(key);
            } else {
                next = next.into_iter().chain([until]).min();
            }
        }
        (released, next)
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        // A panic while the lock was held leaves whole values behind: each change replaces one of them.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
