//! Livy sessions: from what a page shows to what the totals gain. Invariant: a figure of a session counts once, at the
//! highest value ever observed; what was counted is never taken back.

use rusqlite::Connection;

use super::gateway::Pass;
use super::places::{Places, id_hash};
use super::row::{Statements, put_series};
use super::store::Store;
use super::unwritten::Changes;
use super::{GatewayTotals, LedgerError, SeriesKey, SeriesTotals};
use crate::clock::UnixMillis;
use crate::model::{Baseline, Before, SessionObservation, SessionState, Usage};

/// What became of the sessions of one page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The sessions, each with the queue that it counts for: the one that it was first seen in.
    pub sessions: Vec<SessionObservation>,
    /// For each of them in order, what was known of it.
    pub before: Vec<Before>,
    /// Sessions of which a figure came back lower than before.
    pub revised_down: u64,
}

/// What has been counted of a session, as bits.
pub(super) const COUNTED_CREATED: i64 = 1;
pub(super) const COUNTED_TERMINATED: i64 = 2;
pub(super) const COUNTED_ERROR: i64 = 4;
const COUNTED_DURATION: i64 = 8;
/// Not an event that counts, but why its end never will.
const ENDED_BEFORE: i64 = 16;

/// A session as the ledger holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) series: SeriesKey,
    pub(super) pass: i64,
    pub(super) state: SessionState,
    pub(super) created: Option<UnixMillis>,
    pub(super) ended: Option<UnixMillis>,
    pub(super) counted: i64,
    pub(super) highest: Usage,
    pub(super) base: Usage,
    pub(super) over: Usage,
}

/// See [`super::Ledger::apply_sessions`].
pub(super) fn apply(
    store: &mut Store,
    pass: Pass,
    sessions: Vec<SessionObservation>,
) -> Result<Applied, LedgerError> {
    let before = Vec::with_capacity(sessions.len());
    let mut applied = Applied { sessions, before, revised_down: 0 };
    let mut places = store.take_places()?;
    let changes = store.edit_gateway("counting sessions", pass.is_of(), |connection, _, gateway| {
        let mut page = Page {
            connection,
            statements: Statements::new(connection)?,
            places: &mut places,
            gateway,
            pass,
            changes: Changes::default(),
        };
        let hashes: Vec<i64> = applied.sessions.iter().map(|seen| id_hash(&seen.session_id)).collect();
        let may_be_known = page.places.may_be_known(&hashes);
        for (index, id_hash) in hashes.into_iter().enumerate() {
            let known =
                may_be_known[index].then(|| page.find(&applied.sessions[index], id_hash)).transpose()?;
            if let Err(error) = page.take(&mut applied, index, id_hash, known.flatten())? {
                return Ok(Err(error));
            }
        }
        Ok(Ok(page.changes))
    })?;
    store.put_places(places);
    store.totals.sessions += applied.before.iter().filter(|before| **before == Before::New).count() as u64;
    if !changes.is_empty() {
        store.note_changes(pass.gateway_key, changes);
        store.mark_changed();
    }
    Ok(applied)
}

/// The work on one page of sessions of a gateway.
struct Page<'a> {
    connection: &'a Connection,
    statements: Statements<'a>,
    places: &'a mut Places,
    gateway: &'a mut GatewayTotals,
    pass: Pass,
    changes: Changes,
}

impl Page<'_> {
    /// What is known of a session, with its key.
    fn find(&mut self, seen: &SessionObservation, id_hash: i64) -> rusqlite::Result<Option<(i64, Held)>> {
        self.statements.find(self.places, self.pass.gateway_key, &seen.session_id, id_hash)
    }

    /// Counts one session. The inner error is a total out of range.
    fn take(
        &mut self,
        applied: &mut Applied,
        index: usize,
        id_hash: i64,
        known: Option<(i64, Held)>,
    ) -> rusqlite::Result<Result<(), LedgerError>> {
        let seen = &mut applied.sessions[index];
        let is_new = known.is_none();
        applied.before.push(match &known {
            None => Before::New,
            Some((_, known)) if known.pass == self.pass.number => Before::Seen(known.state),
            Some((_, known)) => Before::Known(known.state),
        });
        let (key, before) = match known {
            Some((key, before)) => {
                self.put_queue(before.series, seen)?;
                (key, before)
            }
            None => (self.places.next_key(self.pass.gateway_key), Held::new(self.series(&seen.queue)?)),
        };
        let returned = is_new && self.may_have_been_pruned(seen);
        let excluded = returned || self.is_excluded(seen);
        let mut after = before;
        after.observe(seen, self.pass.number);
        if is_new && excluded {
            after.base = after.highest;
        }
        if returned {
            after.counted |= ENDED_BEFORE;
        }
        applied.revised_down += u64::from(after.over.exceeds(before.over));
        let duration = after.count_events(is_new, excluded);

        let series = self.gateway.series.get_mut(&seen.queue).ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        match gained(series, &before, &after) {
            Some(gained) if gained != *series => {
                *series = gained;
                self.changes.series.insert(gained.key);
            }
            Some(_) => {}
            None => return Ok(Err(LedgerError::Overflow { subject: format!("queue {:?}", seen.queue) })),
        }
        if let Some(duration) = duration {
            self.gateway.durations.observe(duration, &seen.session_id, after.ended.unwrap_or(0));
            self.changes.durations = true;
        }
        if before != after {
            self.statements.write(is_new, key, &seen.session_id, &after)?;
        }
        if is_new {
            self.places.insert(id_hash, key);
        }
        Ok(Ok(()))
    }

    /// Whether what a session shows when it is first seen is from before the baseline and left out.
    fn is_excluded(&self, seen: &SessionObservation) -> bool {
        let from_before = match seen.created {
            Some(created) => created < self.gateway.baseline_cut,
            None => self.gateway.baseline_complete.is_none(),
        };
        self.gateway.baseline == Baseline::Exclude && !self.gateway.born_watched && from_before
    }

    /// Whether a session that the ledger does not hold may be one that it no longer keeps: counted, and ended, before.
    fn may_have_been_pruned(&self, seen: &SessionObservation) -> bool {
        self.gateway
            .pruned_through
            .is_some_and(|through| seen.created.is_none_or(|created| created <= through))
    }

    /// Gives a session the queue that it counts for: nearly always the one that it shows.
    fn put_queue(&self, key: SeriesKey, seen: &mut SessionObservation) -> rusqlite::Result<()> {
        if self.gateway.series.get(&seen.queue).is_none_or(|series| series.key != key) {
            let queue = self.gateway.series.iter().find(|(_, series)| series.key == key);
            seen.queue.clone_from(queue.ok_or(rusqlite::Error::QueryReturnedNoRows)?.0);
        }
        Ok(())
    }

    /// The totals of a queue, which begin where it is new.
    fn series(&mut self, queue: &str) -> rusqlite::Result<SeriesKey> {
        if let Some(series) = self.gateway.series.get(queue) {
            return Ok(series.key);
        }
        // A counter that Prometheus has not seen at zero loses its first increment.
        // After a restore it has seen the series: the whole gateway comes back at its values.
        let held =
            !self.gateway.resweep && (self.gateway.baseline_complete.is_some() || self.gateway.born_watched);
        let key = "SELECT coalesce(max(series_key), 0) + 1 FROM series";
        let key = SeriesKey(self.connection.prepare_cached(key)?.query_row([], |row| row.get(0))?);
        let series = SeriesTotals::new(key, held);
        put_series(self.connection, self.pass.gateway_key, queue, &series)?;
        self.gateway.series.insert(queue.to_owned(), series);
        self.changes.series.insert(key);
        Ok(key)
    }
}

impl Held {
    /// A session of which nothing is known yet.
    fn new(series: SeriesKey) -> Self {
        Self {
            series,
            pass: 0,
            state: SessionState::Unknown,
            created: None,
            ended: None,
            counted: 0,
            highest: Usage::ZERO,
            base: Usage::ZERO,
            over: Usage::ZERO,
        }
    }

    /// Takes over what a page shows.
    fn observe(&mut self, seen: &SessionObservation, pass: i64) {
        let latest = seen.usage.or(self.highest.minus(self.over));
        self.highest = self.highest.highest(latest);
        self.over = self.highest.minus(latest);
        self.pass = pass;
        self.state = seen.state;
        self.created = seen.created.or(self.created);
        self.ended = seen.ended.or(self.ended);
    }

    /// Marks the events of the session's life that are to be counted now; returns its duration in ms if that is one.
    /// Of an excluded session, what had happened before it was first seen never counts.
    fn count_events(&mut self, is_new: bool, excluded: bool) -> Option<i64> {
        if is_new && !excluded {
            self.counted |= COUNTED_CREATED;
        }
        if self.state.is_ended() && self.counted & (COUNTED_TERMINATED | COUNTED_ERROR | ENDED_BEFORE) == 0 {
            self.counted |= match self.state {
                _ if is_new && excluded => ENDED_BEFORE,
                SessionState::Error => COUNTED_ERROR,
                _ => COUNTED_TERMINATED,
            };
        }
        if self.counted & (COUNTED_TERMINATED | COUNTED_ERROR) == 0 || self.counted & COUNTED_DURATION != 0 {
            return None;
        }
        let duration = self.ended?.saturating_sub(self.created?);
        (duration >= 0).then(|| {
            self.counted |= COUNTED_DURATION;
            duration
        })
    }

    fn has_counted(&self, bit: i64) -> u64 {
        u64::from(self.counted & bit != 0)
    }
}

/// A series after one of its sessions went from `before` to `after`; `None` where a total leaves 64 bits.
fn gained(series: &SeriesTotals, before: &Held, after: &Held) -> Option<SeriesTotals> {
    let moved = |total: Usage, from: Usage, to: Usage| total.minus(from).checked_add(to);
    let events = |total: u64, bit: i64| total.checked_add(after.has_counted(bit) - before.has_counted(bit));
    Some(SeriesTotals {
        highest: moved(series.highest, before.highest, after.highest)?,
        base: moved(series.base, before.base, after.base)?,
        over: moved(series.over, before.over, after.over)?,
        created: events(series.created, COUNTED_CREATED)?,
        terminated: events(series.terminated, COUNTED_TERMINATED)?,
        error: events(series.error, COUNTED_ERROR)?,
        ..*series
    })
}
