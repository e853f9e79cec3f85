//! When a target is swept. Invariant: settings that say the same leave the time of the next sweep as it is.

use std::time::Duration;

use tokio::time::Instant;

use super::Settings;
use crate::model::{Target, TargetKind};

/// The largest share of an interval by which a sweep comes early or late, so that targets do not keep step.
const JITTER: f64 = 0.05;
/// The longest wait before a target's first sweep: children of one parent spread over it.
const SPREAD_MAX: Duration = Duration::from_millis(500);

/// When the sweeps of a target begin.
#[derive(Debug)]
pub(super) struct Timetable {
    interval: Duration,
    /// Of the scope, see there.
    access: Option<u64>,
    /// When the latest sweep began.
    started: Option<Instant>,
    /// `None` = not as long as the settings are what they are.
    next: Option<Instant>,
}

impl Timetable {
    /// Of a target without a sweep so far.
    pub(super) fn new(target: &Target, settings: &Settings) -> Self {
        let mut timetable = Self { interval: Duration::ZERO, access: None, started: None, next: None };
        timetable.adopt(target, settings);
        timetable
    }

    /// Waits until the next sweep is due.
    pub(super) async fn due(&self) {
        match self.next {
            Some(next) => tokio::time::sleep_until(next).await,
            None => std::future::pending().await,
        }
    }

    /// A sweep begins; the next one is due an interval from now.
    pub(super) fn begin(&mut self) {
        let now = Instant::now();
        self.started = Some(now);
        self.next = Some(now + jittered(self.interval));
    }

    /// Follows other settings.
    pub(super) fn adopt(&mut self, target: &Target, settings: &Settings) {
        let Some((collector, scope)) = settings.of(target) else {
            self.next = None;
            return;
        };
        let is_same = self.interval == collector.interval && self.next.is_some();
        let has_access = self.access == Some(scope.access);
        (self.interval, self.access) = (collector.interval, Some(scope.access));
        match self.started {
            Some(started) if has_access && !is_same => self.next = Some(started + jittered(self.interval)),
            Some(_) if has_access => {}
            None if is_same => {}
            _ => self.soon(target),
        }
    }

    /// Has the next sweep come at once, but not of all targets in the same moment.
    pub(super) fn soon(&mut self, target: &Target) {
        let wait = match target.kind {
            // Nothing is known before it.
            TargetKind::Workspaces if self.started.is_none() => Duration::ZERO,
            _ => SPREAD_MAX.min(self.interval / 10).mul_f64(rand::random::<f64>()),
        };
        self.next = Some(Instant::now() + wait);
    }
}

fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(1.0 + JITTER * (2.0 * rand::random::<f64>() - 1.0))
}
