//! A token-paged list, read to its end.

use std::collections::BTreeMap;
use std::future::Future;

use super::{Context, SweepError};
use crate::api::paging::{PagingStep, TokenPaging};
use crate::api::{ApiError, Page};
use crate::collect::{Notes, Observe, observe_all};
use crate::model::{FailureReason, TargetKind};

/// How often a list that moves under the sweep is begun again.
const ATTEMPTS_MAX: u32 = 3;

/// Reads a list whole, or says why not; `rows` keeps what was seen either way, by id.
pub(super) async fn read_list<R, F, Fut>(
    context: &Context,
    kind: TargetKind,
    rows: &mut BTreeMap<String, R::Observation>,
    id: fn(&R::Observation) -> &str,
    fetch: F,
) -> Result<(), SweepError>
where
    R: Observe,
    F: Fn(Option<String>) -> Fut,
    Fut: Future<Output = Result<Page<R>, ApiError>>,
{
    for attempt in 1.. {
        rows.clear();
        let error = match pass(context, kind, rows, id, &fetch).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if error.reason != FailureReason::Inconsistent || attempt == ATTEMPTS_MAX {
            return Err(error);
        }
        context.own.restart(kind);
    }
    Ok(())
}

async fn pass<R, F, Fut>(
    context: &Context,
    kind: TargetKind,
    rows: &mut BTreeMap<String, R::Observation>,
    id: fn(&R::Observation) -> &str,
    fetch: &F,
) -> Result<(), SweepError>
where
    R: Observe,
    F: Fn(Option<String>) -> Fut,
    Fut: Future<Output = Result<Page<R>, ApiError>>,
{
    let mut paging = TokenPaging::new(context.pages_max);
    let mut token = None;
    let mut repeated = 0_usize;
    loop {
        let page = fetch(token).await?;
        context.own.page(kind);
        let mut notes = Notes::default();
        for row in observe_all(page.rows, &mut notes) {
            let before = rows.insert(id(&row).to_owned(), row);
            repeated += usize::from(before.is_some());
        }
        context.note(&notes);
        match paging.page(page.next_token.as_deref(), page.row_count, page.total_count)? {
            PagingStep::Next(next) => token = Some(next),
            PagingStep::Complete => break,
        }
    }
    if repeated > 0 {
        // Where one row came twice, another one may have been pushed off the pages.
        let message = format!("{repeated} rows came on more than one page: the list moved under the sweep");
        return Err(SweepError::new(FailureReason::Inconsistent, message));
    }
    Ok(())
}
