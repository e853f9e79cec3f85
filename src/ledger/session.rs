//! Livy sessions: from what a page shows to what the totals gain. Invariant: a figure of a session counts once, at the
//! highest value ever observed; what was counted is never taken back.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::gateway::Pass;
use super::histogram::Bucket;
use super::store::Store;
use super::{GatewayTotals, LedgerError, SeriesKey, SeriesTotals};
use crate::clock::UnixMillis;
use crate::model::{Baseline, SessionObservation, SessionState, Usage};

/// What became of the sessions of one page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// For each of them in order, whether this pass had not seen it before.
    pub fresh: Vec<bool>,
    /// Sessions that the ledger had never seen before.
    pub new: u64,
    /// Sessions of which a figure came back lower than before.
    pub revised_down: u64,
}

/// What has been counted of a session, as bits.
const COUNTED_CREATED: i64 = 1;
const COUNTED_TERMINATED: i64 = 2;
const COUNTED_ERROR: i64 = 4;
const COUNTED_DURATION: i64 = 8;
/// Not an event that counts, but why its end never will.
const ENDED_BEFORE: i64 = 16;

/// A session as the ledger holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    series: SeriesKey,
    pass: i64,
    state: SessionState,
    created: Option<UnixMillis>,
    ended: Option<UnixMillis>,
    counted: i64,
    highest: Usage,
    base: Usage,
    over: Usage,
}

/// See [`super::Ledger::apply_sessions`].
pub(super) fn apply(
    store: &mut Store,
    pass: Pass,
    sessions: &[SessionObservation],
) -> Result<Applied, LedgerError> {
    let mut applied = Applied::default();
    let changed = store.edit_gateway("counting sessions", pass.is_of(), |connection, gateway| {
        let mut page = Page { connection, gateway, pass, touched: BTreeSet::new(), ended: false };
        for session in sessions {
            if let Err(error) = page.take(session, &mut applied)? {
                return Ok(Err(error));
            }
        }
        page.write_series()?;
        Ok(Ok(page.ended || !page.touched.is_empty()))
    })?;
    store.totals.sessions += applied.new;
    if changed {
        store.mark_changed();
    }
    Ok(applied)
}

/// The work on one page of sessions of a gateway.
struct Page<'a> {
    connection: &'a Connection,
    gateway: &'a mut GatewayTotals,
    pass: Pass,
    /// Queues whose totals changed.
    touched: BTreeSet<String>,
    /// Whether a duration was counted.
    ended: bool,
}

impl Page<'_> {
    /// Counts one session. The inner error is a total out of range.
    fn take(
        &mut self,
        seen: &SessionObservation,
        applied: &mut Applied,
    ) -> rusqlite::Result<Result<(), LedgerError>> {
        let known = find(self.connection, self.pass.gateway_key, &seen.session_id)?;
        let is_new = known.is_none();
        applied.new += u64::from(is_new);
        applied.fresh.push(known.as_ref().is_none_or(|known| known.pass != self.pass.number));
        let queue = match &known {
            Some(known) => self.queue_of(known.series),
            None => Some(seen.queue.clone()),
        };
        let queue = queue.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let series = self.series(&queue)?;
        let excluded = self.is_excluded(seen);
        let before = known.unwrap_or_else(|| Held::new(series.key));
        let mut after = before.clone();
        after.observe(seen, self.pass.number);
        if is_new && excluded {
            after.base = after.highest;
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
            self.ended = true;
            let bucket = self.gateway.durations.observe(duration);
            write_duration(self.connection, self.pass.gateway_key, bucket)?;
        }
        if before != after {
            write(self.connection, self.pass.gateway_key, &seen.session_id, &after)?;
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

    fn queue_of(&self, key: SeriesKey) -> Option<String> {
        self.gateway.series.iter().find(|(_, series)| series.key == key).map(|(queue, _)| queue.clone())
    }

    /// The totals of a queue, which begin where it is new.
    fn series(&mut self, queue: &str) -> rusqlite::Result<SeriesTotals> {
        if let Some(series) = self.gateway.series.get(queue) {
            return Ok(series.clone());
        }
        // A counter that Prometheus has not seen at zero loses its first increment.
        let held = self.gateway.baseline_complete.is_some() || self.gateway.born_watched;
        let key = self
            .connection
            .prepare_cached("INSERT INTO series VALUES (NULL, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)")?
            .insert(params![self.pass.gateway_key, queue, held])?;
        let series = SeriesTotals::new(SeriesKey(key), held);
        self.gateway.series.insert(queue.to_owned(), series.clone());
        self.touched.insert(queue.to_owned());
        Ok(series)
    }

    /// Writes the totals that changed.
    fn write_series(&self) -> rusqlite::Result<()> {
        let mut update = self.connection.prepare_cached(
            "UPDATE series SET nano_cu_hours = ?, vcore_seconds = ?, mb_seconds = ?,
                base_nano_cu_hours = ?, base_vcore_seconds = ?, base_mb_seconds = ?,
                over_nano_cu_hours = ?, over_vcore_seconds = ?, over_mb_seconds = ?,
                created = ?, terminated = ?, error = ? WHERE series_key = ?",
        )?;
        for series in self.touched.iter().filter_map(|queue| self.gateway.series.get(queue)) {
            let SeriesTotals { highest, base, over, .. } = series;
            update.execute(params![
                highest.nano_cu_hours,
                highest.vcore_seconds,
                highest.mb_seconds,
                base.nano_cu_hours,
                base.vcore_seconds,
                base.mb_seconds,
                over.nano_cu_hours,
                over.vcore_seconds,
                over.mb_seconds,
                series.created.cast_signed(),
                series.terminated.cast_signed(),
                series.error.cast_signed(),
                series.key.0
            ])?;
        }
        Ok(())
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

fn find(connection: &Connection, gateway_key: i64, session_id: &str) -> rusqlite::Result<Option<Held>> {
    let mut select = connection.prepare_cached(
        "SELECT series_key, pass, state, created, ended, counted, nano_cu_hours, vcore_seconds, mb_seconds,
                base_nano_cu_hours, base_vcore_seconds, base_mb_seconds,
                over_nano_cu_hours, over_vcore_seconds, over_mb_seconds
         FROM session WHERE gateway_key = ? AND session_id = ?",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Held {
            series: SeriesKey(row.get(0)?),
            pass: row.get(1)?,
            state: SessionState::from_api(row.get_ref(2)?.as_str()?).unwrap_or(SessionState::Unknown),
            created: row.get(3)?,
            ended: row.get(4)?,
            counted: row.get(5)?,
            highest: usage(row, 6)?,
            base: usage(row, 9)?,
            over: usage(row, 12)?,
        })
    };
    select.query_row(params![gateway_key, session_id], read).optional()
}

/// Reads three neighbouring columns.
pub(super) fn usage(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Usage> {
    Ok(Usage {
        nano_cu_hours: row.get(first)?,
        vcore_seconds: row.get(first + 1)?,
        mb_seconds: row.get(first + 2)?,
    })
}

fn write(connection: &Connection, gateway_key: i64, session_id: &str, held: &Held) -> rusqlite::Result<()> {
    let Held { highest, base, over, .. } = held;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            gateway_key,
            session_id,
            held.series.0,
            held.pass,
            held.state.as_str(),
            held.created,
            held.ended,
            held.counted,
            highest.nano_cu_hours,
            highest.vcore_seconds,
            highest.mb_seconds,
            base.nano_cu_hours,
            base.vcore_seconds,
            base.mb_seconds,
            over.nano_cu_hours,
            over.vcore_seconds,
            over.mb_seconds
        ])
        .map(drop)
}

fn write_duration(connection: &Connection, gateway_key: i64, bucket: Bucket) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO session_duration VALUES (?, ?, 1, ?)
             ON CONFLICT DO UPDATE SET count = count + 1, sum = sum + excluded.sum",
        )?
        .execute(params![gateway_key, bucket.bound_ms, bucket.sum_ms])
        .map(drop)
}
