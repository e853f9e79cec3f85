//! Reads pages of a session history, several at a time, and has each counted as it comes.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::Workspace;
use crate::clock::UnixMillis;
use crate::collect::{HistoryPage, Notes, ReadPages, observe_all};
use crate::ledger::{Applied, Discovered, Pass};
use crate::model::{GatewayId, Target, TargetKind};
use crate::scheduler::{Context, SweepError};

/// The session history of a Livy gateway.
pub(super) struct History {
    pub(super) context: Arc<Context>,
    pub(super) workspace: Workspace,
    pub(super) target: Target,
    pub(super) gateway: GatewayId,
    /// `gmtCreate`
    pub(super) created: Option<UnixMillis>,
    pub(super) page_size: u32,
}

/// A page that was read and whose sessions are in the ledger.
struct Counted {
    number: u32,
    row_count: usize,
    total_count: Option<u64>,
    applied: Applied,
}

impl History {
    /// Begins a pass in the ledger.
    pub(super) async fn begin(&self) -> Result<Pass, SweepError> {
        let Context { ledger, clock, .. } = &*self.context;
        let found = Discovered {
            gateway: self.gateway.clone(),
            created: self.created,
            watched_since: self.workspace.watched_since,
        };
        Ok(ledger.begin_pass(found, clock.now()).await?)
    }

    /// Reads all pages that `reader` asks for; the inner error is its own.
    pub(super) async fn read<R: ReadPages>(
        &self,
        pass: Pass,
        reader: &mut R,
    ) -> Result<Result<(), R::Error>, SweepError> {
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < self.context.max_in_flight {
                let Some(number) = reader.next_page() else { break };
                under_way.push(self.page(pass, number));
            }
            let Some(page) = under_way.next().await else { return Ok(Ok(())) };
            let Counted { number, row_count, total_count, applied } = page?;
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

    /// Reads one page and has it counted.
    async fn page(&self, pass: Pass, number: u32) -> Result<Counted, SweepError> {
        let GatewayId { workspace, livy_compute_id } = &self.gateway;
        let client = &self.workspace.scope.client;
        let page = client
            .list_livy_compute_sessions(
                &workspace.workspace_id,
                livy_compute_id,
                number.into(),
                self.page_size,
            )
            .await?;
        self.context.own.page(TargetKind::LivySessions);
        let mut notes = Notes::default();
        let sessions = observe_all(page.rows, &mut notes);
        self.context.note(&notes);
        let applied = self.context.ledger.apply_sessions(pass, sessions).await?;
        Ok(Counted { number, row_count: page.row_count, total_count: page.total_count, applied })
    }
}
