//! The session history of a Livy gateway: swept whole until its order is proven, then polled by the pages that can have
//! changed, and swept whole again from time to time and after every surprise.

use std::time::Duration;

use crate::clock::{UnixMillis, millis};
use crate::collect::{Advance, HistoryPass, Listing, Settling, Surprise, Tracker, Unsettled, Verdict};
use crate::config::LivySessions;
use crate::ledger::{Pass, Remembered};
use crate::metrics::SessionsView;
use crate::model::{FailureReason, TargetKind};
use crate::scheduler::SweepError;
use crate::scheduler::poll::{Round, Sweep};

use super::history::History;

/// How often a history that moves under the sweep is begun again.
const PASSES_MAX: u32 = 3;

/// See the module.
pub(super) struct SessionsSweep {
    history: History,
    /// What is known of the history between two polls.
    tracker: Option<Tracker>,
    /// Of the pages that the tracker reckons with.
    page_size: u32,
    /// How long it follows an ended session.
    settle: Duration,
    /// When the whole was last swept.
    full_pass_at: Option<UnixMillis>,
    /// Whether the ledger was asked what it remembers.
    remembered: bool,
}

impl SessionsSweep {
    pub(super) fn new(history: History) -> Self {
        Self {
            history,
            tracker: None,
            page_size: 0,
            settle: Duration::ZERO,
            full_pass_at: None,
            remembered: false,
        }
    }

    /// Takes up what the ledger remembers from before the start of the process.
    async fn remember(&mut self, settling: Settling) -> Result<(), SweepError> {
        let ledger = &self.history.context.ledger;
        let settled_before = settling.now.saturating_sub(millis(settling.settle));
        if let Some(memory) = ledger.remember(self.history.gateway.clone(), settled_before).await? {
            let Remembered { order, full_pass_at, counts, unsettled } = memory;
            let unsettled = unsettled.into_iter().map(|(seen, index)| {
                let settles = settling.of(seen.state, seen.ended, settling.now);
                Unsettled { seen, index, settles }
            });
            let listing = Listing::remembered(counts, unsettled.collect());
            self.tracker = Some(Tracker::new(Some(order), self.page_size.into(), listing));
            self.full_pass_at = Some(full_pass_at);
        }
        self.remembered = true;
        Ok(())
    }

    /// Whether the whole history is to be swept now.
    fn is_due(&self, now: UnixMillis, full_sweep_interval: Duration) -> bool {
        let snapshot = self.history.context.ledger.snapshot();
        // Counters that are not shown yet wait for nothing else.
        let is_shown = snapshot.gateways.get(&self.history.gateway).is_some_and(|gateway| gateway.is_shown());
        let interval = millis(full_sweep_interval);
        !is_shown || self.full_pass_at.is_none_or(|at| now.saturating_sub(at) >= interval)
    }

    /// Polls by the pages that can have changed; the inner error is why that does not do.
    async fn poll(&mut self, round: &Round, settling: Settling) -> Result<Result<(), Surprise>, SweepError> {
        // A poll that ends before its end leaves pages in the ledger that the tracker was not told of: it is put back
        // only when it knows all of them, else the ledger is asked anew.
        let mut tracker = self.tracker.take();
        self.remembered = false;
        let Some(mut poll) = tracker.as_mut().and_then(|tracker| tracker.poll(settling)) else {
            return Ok(Err(Surprise::untracked()));
        };
        let pass = self.history.begin().await?;
        loop {
            if let Err(surprise) = self.history.read(round, self.page_size, pass, &mut poll).await? {
                return Ok(Err(surprise));
            }
            match poll.advance() {
                Ok(Advance::Read) => {}
                Ok(Advance::Done) => break,
                Ok(Advance::Recount(oldest)) => {
                    let counts = self.history.context.ledger.count_listed(pass, oldest).await?;
                    match poll.recounted(counts) {
                        Ok(()) => break,
                        Err(surprise) => return Ok(Err(surprise)),
                    }
                }
                Err(surprise) => return Ok(Err(surprise)),
            }
        }
        self.tracker = tracker;
        self.remembered = true;
        Ok(Ok(()))
    }

    /// Sweeps the whole history, again if it moved meanwhile.
    async fn sweep_whole(&mut self, round: &Round, settling: Settling) -> Result<(), SweepError> {
        let own = &self.history.context.own.sweeps;
        own.full_sweep();
        let (mut first, mut why) = (None, String::new());
        for number in 0..PASSES_MAX {
            if number > 0 {
                own.restart(TargetKind::LivySessions);
            }
            let pass = self.history.begin().await?;
            match self.pass(round, pass, first, settling).await? {
                Ok(history) => return self.complete(round, pass, history).await,
                Err(moved) => why = moved,
            }
            first.get_or_insert(pass);
        }
        let message = format!("the history did not hold still in {PASSES_MAX} passes: {why}");
        Err(SweepError::new(FailureReason::Inconsistent, message))
    }

    /// One pass; the inner error is why it must begin again. What the passes of this sweep, from `first` on, have all
    /// missed is gone.
    async fn pass(
        &self,
        round: &Round,
        pass: Pass,
        first: Option<Pass>,
        settling: Settling,
    ) -> Result<Result<HistoryPass, String>, SweepError> {
        let context = &self.history.context;
        let mut whole = HistoryPass::new(self.page_size, round.settings.pages_max, settling);
        loop {
            self.history.read(round, self.page_size, pass, &mut whole).await??;
            let why = match whole.verdict() {
                Verdict::Accounted => match context.ledger.unseen(pass, first, whole.oldest()).await? {
                    0 => return Ok(Ok(whole)),
                    missing => format!("{missing} sessions that were there are missing in the middle of it"),
                },
                Verdict::Moved(why) => why,
            };
            if !whole.catch_up() {
                return Ok(Err(why));
            }
        }
    }

    async fn complete(&mut self, round: &Round, pass: Pass, whole: HistoryPass) -> Result<(), SweepError> {
        let context = &self.history.context;
        let now = context.clock.now();
        context.ledger.complete_pass(pass, whole.order(), now).await?;
        self.tracker = Some(whole.finish());
        self.remembered = true;
        self.full_pass_at = Some(now);
        // What this pass has not seen is no longer listed; when it is old enough, it need not be kept.
        let before = now.saturating_sub(millis(round.settings.retention));
        let pruned = context.ledger.prune(pass, before).await?;
        context.own.ledger.pruned_sessions(pruned);
        Ok(())
    }

    /// Shows what is listed now.
    fn show(&self, series_limit: usize) {
        let Some(tracker) = &self.tracker else { return };
        let context = &self.history.context;
        let (active, dropped) = tracker.listing().active(series_limit);
        context.own.sweeps.dropped_series("livy_session_info", dropped);
        let (gateway, now) = (self.history.gateway.clone(), context.clock.now());
        let view = SessionsView::new(&gateway, tracker.listing().counts().clone(), &active);
        context.exposition.update(|board| board.set_sessions(gateway, now, view));
    }
}

impl Sweep for SessionsSweep {
    async fn sweep(&mut self, round: Round) -> Result<(), SweepError> {
        // Where histories are not polled, no round begins.
        let Some(settings) = round.settings.collectors.livy_sessions else { return Ok(()) };
        let LivySessions { collector, full_sweep_interval, settle, series_limit } = settings;
        let settling = Settling { now: self.history.context.clock.now(), settle };
        if (self.page_size, self.settle) != (collector.page_size, settle) {
            // The ledger knows sessions that the tracker does not follow, and their places whatever the pages.
            (self.page_size, self.settle) = (collector.page_size, settle);
            (self.tracker, self.remembered) = (None, false);
        }
        if !self.remembered {
            self.remember(settling).await?;
        }
        let can_follow = self.tracker.as_ref().is_some_and(Tracker::can_follow);
        if can_follow && !self.is_due(settling.now, full_sweep_interval) {
            match self.poll(&round, settling).await? {
                Ok(()) => {
                    self.show(series_limit);
                    return Ok(());
                }
                Err(surprise) => {
                    let gateway = &self.history.gateway.livy_compute_id;
                    tracing::info!(livy_compute_id = gateway, "sweeps the whole history, because {surprise}");
                    self.history.context.own.sweeps.surprise();
                }
            }
        }
        self.sweep_whole(&round, settling).await?;
        self.show(series_limit);
        Ok(())
    }
}
