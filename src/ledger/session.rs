//! Livy sessions: from what a page shows to what the totals gain. Invariant: a figure of a session counts once, at the
//! highest value ever observed; what was counted is never taken back.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use super::gateway::Pass;
use super::histogram::Bucket;
use super::places::Places;
use super::row::{Statements, put_series};
use super::store::Store;
use super::{GatewayTotals, LedgerError, SeriesKey, SeriesTotals, seal};
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    let mut applied = Applied { sessions, ..Applied::default() };
    let mut places = store.take_places()?;
    let changed = store.edit_gateway("counting sessions", pass.is_of(), |connection, _, gateway| {
        let mut page = Page {
            connection,
            statements: Statements::new(connection)?,
            places: &mut places,
            gateway,
            pass,
            touched: BTreeSet::new(),
            durations: BTreeMap::new(),
        };
        for index in 0..applied.sessions.len() {
            if let Err(error) = page.take(index, &mut applied)? {
                return Ok(Err(error));
            }
        }
        page.write_totals()?;
        Ok(Ok(!page.durations.is_empty() || !page.touched.is_empty()))
    })?;
    store.put_places(places);
    store.totals.sessions += applied.before.iter().filter(|before| **before == Before::New).count() as u64;
    if changed {
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
    /// Queues whose totals changed.
    touched: BTreeSet<String>,
    /// Buckets of durations that changed, by their bound.
    durations: BTreeMap<i64, Bucket>,
}

impl Page<'_> {
    /// Counts one session. The inner error is a total out of range.
    fn take(&mut self, index: usize, applied: &mut Applied) -> rusqlite::Result<Result<(), LedgerError>> {
        let seen = &mut applied.sessions[index];
        let known = self.statements.find(self.places, self.pass.gateway_key, &seen.session_id)?;
        let is_new = known.is_none();
        applied.before.push(match &known {
            None => Before::New,
            Some((_, known)) if known.pass == self.pass.number => Before::Seen(known.state),
            Some((_, known)) => Before::Known(known.state),
        });
        if let Some((_, known)) = &known {
            seen.queue = self.queue_of(known.series).ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        }
        let queue = seen.queue.clone();
        let series = self.series(&queue)?;
        let returned = is_new && self.may_have_been_pruned(seen);
        let excluded = returned || self.is_excluded(seen);
        let (key, before) = match known {
            Some((key, before)) => (Some(key), before),
            None => (None, Held::new(series.key)),
        };
        let mut after = before.clone();
        after.observe(seen, self.pass.number);
        if is_new && excluded {
            after.base = after.highest;
        }
        if returned {
            after.counted |= ENDED_BEFORE;
        }
        applied.revised_down += u64::from(after.over.exceeds(before.over));
        let duration = after.count_events(is_new, excluded);

        match gained(&series, &before, &after) {
            Some(gained) if gained != series => {
                self.gateway.series.insert(queue.clone(), gained);
                self.touched.insert(queue);
            }
            Some(_) => {}
            None => return Ok(Err(LedgerError::Overflow { subject: format!("queue {queue:?}") })),
        }
        if let Some(duration) = duration {
            let bucket = self.gateway.durations.observe(duration, &seen.session_id, after.ended.unwrap_or(0));
            self.durations.insert(bucket.bound_ms, bucket);
        }
        if before != after {
            self.statements.write(key, self.pass.gateway_key, &seen.session_id, &after)?;
        }
        if is_new {
            let new = self.connection.last_insert_rowid();
            self.places.insert(self.pass.gateway_key, seal::id_hash(&seen.session_id), new);
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

    fn queue_of(&self, key: SeriesKey) -> Option<String> {
        self.gateway.series.iter().find(|(_, series)| series.key == key).map(|(queue, _)| queue.clone())
    }

    /// The totals of a queue, which begin where it is new.
    fn series(&mut self, queue: &str) -> rusqlite::Result<SeriesTotals> {
        if let Some(series) = self.gateway.series.get(queue) {
            return Ok(series.clone());
        }
        // A counter that Prometheus has not seen at zero loses its first increment.
        // After a restore it has seen the series: the whole gateway comes back at its values.
        let held =
            !self.gateway.resweep && (self.gateway.baseline_complete.is_some() || self.gateway.born_watched);
        let key = "SELECT coalesce(max(series_key), 0) + 1 FROM series";
        let key = self.connection.prepare_cached(key)?.query_row([], |row| row.get(0))?;
        let series = SeriesTotals::new(SeriesKey(key), held);
        put_series(self.connection, self.pass.gateway_key, queue, &series)?;
        self.gateway.series.insert(queue.to_owned(), series.clone());
        self.touched.insert(queue.to_owned());
        Ok(series)
    }

    /// Writes the totals that changed, once a page.
    fn write_totals(&self) -> rusqlite::Result<()> {
        let gateway_key = self.pass.gateway_key;
        for Bucket { bound_ms, count, sum_ms } in self.durations.values() {
            let row = params![gateway_key, bound_ms, count.cast_signed(), sum_ms];
            seal::SESSION_DURATION.put(self.connection, row)?;
        }
        let touched = self.touched.iter().filter_map(|queue| self.gateway.series.get_key_value(queue));
        touched
            .into_iter()
            .try_for_each(|(queue, series)| put_series(self.connection, gateway_key, queue, series))
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
        ..series.clone()
    })
}
