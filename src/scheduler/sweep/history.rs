//! Reads pages of a session history, several at a time, and has each counted as it comes.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;

use crate::clock::UnixMillis;
use crate::collect::{HistoryPage, Notes, ReadPages, observe_all};
use crate::ledger::{Applied, Discovered, Pass};
use crate::model::{GatewayId, SessionObservation, Target, TargetKind};
use crate::scheduler::poll::Round;
use crate::scheduler::{Context, SweepError};

/// The session history of a Livy gateway.
pub(super) struct History {
    pub(super) context: Arc<Context>,
    /// Since when its account and region are watched.
    pub(super) watched_since: UnixMillis,
    pub(super) target: Target,
    pub(super) gateway: GatewayId,
    /// `gmtCreate`
    pub(super) created: Option<UnixMillis>,
}

/// Pages that are read or wait for the ledger at a time: enough to share a commit, few enough to hold in memory.
const UNDER_WAY_MAX: usize = 32;

/// A page that was read.
struct Fetched {
    number: u32,
    row_count: usize,
    total_count: Option<u64>,
    sessions: Vec<SessionObservation>,
}

/// What has become of a page.
enum Step {
    /// It was read.
    Fetched(Fetched),
    /// Its sessions are in the ledger.
    Counted { number: u32, row_count: usize, total_count: Option<u64>, applied: Applied },
}

impl History {
    /// Begins a pass in the ledger.
    pub(super) async fn begin(&self) -> Result<Pass, SweepError> {
        let Context { ledger, clock, .. } = &*self.context;
        let found = Discovered {
            gateway: self.gateway.clone(),
            created: self.created,
            watched_since: self.watched_since,
        };
        Ok(ledger.begin_pass(found, clock.now()).await?)
    }

    /// Reads all pages that `reader` asks for, of `page_size` rows; the inner error is its own.
    pub(super) async fn read<R: ReadPages>(
        &self,
        round: &Round,
        page_size: u32,
        pass: Pass,
        reader: &mut R,
    ) -> Result<Result<(), R::Error>, SweepError> {
        // Pages that wait for the disk keep none from being asked for.
        let (mut under_way, mut asked_for) = (FuturesUnordered::new(), 0);
        loop {
            while asked_for < round.scope.max_in_flight && under_way.len() < UNDER_WAY_MAX {
                let Some(number) = reader.next_page() else { break };
                under_way.push(Either::Left(self.fetch(round, page_size, number)));
                asked_for += 1;
            }
            let Some(step) = under_way.next().await else { return Ok(Ok(())) };
            let (number, row_count, total_count, applied) = match step? {
                Step::Fetched(page) => {
                    asked_for -= 1;
                    under_way.push(Either::Right(self.count(pass, page)));
                    continue;
                }
                Step::Counted { number, row_count, total_count, applied } => {
                    (number, row_count, total_count, applied)
                }
            };
            let (sessions, before) = (&applied.sessions, &applied.before);
            if let Err(error) = reader.take(HistoryPage { number, row_count, total_count, sessions, before })
            {
                return Ok(Err(error));
            }
            let progress = reader.progress();
            self.context.exposition.update_quietly(|board| {
                board.target(&self.target).progress = Some(progress);
            });
        }
    }

    /// Reads one page.
    async fn fetch(&self, round: &Round, page_size: u32, number: u32) -> Result<Step, SweepError> {
        let GatewayId { workspace, livy_compute_id } = &self.gateway;
        let page = round
            .client
            .list_livy_compute_sessions(&workspace.workspace_id, livy_compute_id, number.into(), page_size)
            .await?;
        self.context.own.sweeps.page(TargetKind::LivySessions);
        let mut notes = Notes::default();
        let sessions = observe_all(page.rows, &mut notes);
        self.context.note(&notes);
        let (row_count, total_count) = (page.row_count, page.total_count);
        Ok(Step::Fetched(Fetched { number, row_count, total_count, sessions }))
    }

    /// Has the sessions of a page counted.
    async fn count(&self, pass: Pass, page: Fetched) -> Result<Step, SweepError> {
        let Fetched { number, row_count, total_count, sessions } = page;
        let applied = self.context.ledger.apply_sessions(pass, sessions).await?;
        Ok(Step::Counted { number, row_count, total_count, applied })
    }
}
