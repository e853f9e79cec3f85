//! The session history of a Livy gateway: page by page into the ledger, until a pass has seen all of it.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::Workspace;
use crate::clock::{UnixMillis, millis};
use crate::collect::{HistoryPage, HistoryPass, Notes, Verdict, observe_all};
use crate::config::LivySessions;
use crate::ledger::{Discovered, Pass};
use crate::metrics::SessionsView;
use crate::model::{FailureReason, GatewayId, SessionObservation, Target, TargetKind};
use crate::scheduler::poll::Sweep;
use crate::scheduler::{Context, SweepError};

/// How often a history that moves under the sweep is begun again.
const PASSES_MAX: u32 = 3;

/// The gateway whose history is read.
pub(super) struct Gateway {
    pub(super) workspace: Workspace,
    pub(super) id: GatewayId,
    /// `gmtCreate`
    pub(super) created: Option<UnixMillis>,
}

/// See the module.
pub(super) struct SessionsSweep {
    context: Arc<Context>,
    gateway: Gateway,
    target: Target,
    settings: LivySessions,
}

/// A page that was read and whose sessions are in the ledger.
struct Counted {
    number: u32,
    row_count: usize,
    total_count: Option<u64>,
    sessions: Vec<SessionObservation>,
    fresh: Vec<bool>,
}

impl SessionsSweep {
    pub(super) fn new(
        context: Arc<Context>,
        gateway: Gateway,
        target: Target,
        settings: LivySessions,
    ) -> Self {
        Self { context, gateway, target, settings }
    }

    /// One pass; the inner error is why it must begin again.
    async fn pass(&self) -> Result<Result<(Pass, HistoryPass), String>, SweepError> {
        let Context { ledger, clock, pages_max, .. } = &*self.context;
        let found = Discovered {
            gateway: self.gateway.id.clone(),
            created: self.gateway.created,
            watched_since: self.gateway.workspace.watched_since,
        };
        let pass = ledger.begin_pass(found, clock.now()).await?;
        let LivySessions { collector, series_limit } = self.settings;
        let mut history = HistoryPass::new(collector.page_size, *pages_max, series_limit);
        loop {
            self.read(pass, &mut history).await?;
            let why = match history.verdict() {
                Verdict::Complete => return Ok(Ok((pass, history))),
                Verdict::CompleteIfNoneMissing => match ledger.unseen(pass).await? {
                    0 => return Ok(Ok((pass, history))),
                    gone => format!(
                        "the history moved under the sweep, and {gone} sessions are gone or were missed"
                    ),
                },
                Verdict::Moved(why) => why,
            };
            if !history.catch_up() {
                return Ok(Err(why));
            }
        }
    }

    /// Reads all pages that the pass asks for, several at a time.
    async fn read(&self, pass: Pass, history: &mut HistoryPass) -> Result<(), SweepError> {
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < self.context.max_in_flight {
                let Some(number) = history.next_page() else { break };
                under_way.push(self.page(pass, number));
            }
            let Some(page) = under_way.next().await else { return Ok(()) };
            let page = page?;
            history.take(HistoryPage {
                number: page.number,
                row_count: page.row_count,
                total_count: page.total_count,
                sessions: &page.sessions,
                fresh: &page.fresh,
            })?;
            let progress = history.progress();
            self.context.exposition.update_quietly(|board| {
                board.target(&self.target).progress = Some(progress);
            });
        }
    }

    /// Reads one page and has it counted.
    async fn page(&self, pass: Pass, number: u32) -> Result<Counted, SweepError> {
        let GatewayId { workspace, livy_compute_id } = &self.gateway.id;
        let client = &self.gateway.workspace.scope.client;
        let page_size = self.settings.collector.page_size;
        let page = client
            .list_livy_compute_sessions(&workspace.workspace_id, livy_compute_id, number.into(), page_size)
            .await?;
        self.context.own.page(TargetKind::LivySessions);
        let mut notes = Notes::default();
        let sessions = observe_all(page.rows, &mut notes);
        self.context.note(&notes);
        let applied = self.context.ledger.apply_sessions(pass, sessions).await?;
        let fresh = applied.before.iter().map(|before| before.is_fresh()).collect();
        let (row_count, total_count) = (page.row_count, page.total_count);
        Ok(Counted { number, row_count, total_count, sessions: applied.sessions, fresh })
    }

    /// Shows what a complete pass saw.
    async fn complete(&self, pass: Pass, history: HistoryPass) -> Result<(), SweepError> {
        let Context { ledger, exposition, own, clock, .. } = &*self.context;
        let now = clock.now();
        ledger.complete_pass(pass, None, now).await?;
        let counts = history.counts().clone();
        let (active, active_dropped) = history.into_active();
        own.dropped_series("livy_session_info", active_dropped);
        let view = SessionsView { counts, active };
        exposition.update(|board| board.set_sessions(self.gateway.id.clone(), now, view));
        let pruned = ledger.prune(pass, now.saturating_sub(millis(self.context.retention))).await?;
        own.pruned_sessions(pruned);
        Ok(())
    }
}

impl Sweep for SessionsSweep {
    async fn sweep(&mut self) -> Result<(), SweepError> {
        let mut why = String::new();
        for number in 0..PASSES_MAX {
            if number > 0 {
                self.context.own.restart(TargetKind::LivySessions);
            }
            match self.pass().await? {
                Ok((pass, history)) => return self.complete(pass, history).await,
                Err(moved) => why = moved,
            }
        }
        let message = format!("the history did not hold still in {PASSES_MAX} passes: {why}");
        Err(SweepError::new(FailureReason::Inconsistent, message))
    }
}
