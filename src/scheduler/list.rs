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

/// Reads a list whole, or says why not; `rows` keeps what was seen either way, by id. Gives how many rows could not be
/// used: with any of these, a resource that `rows` lacks may well be there.
pub(super) async fn read_list<R, F, Fut>(
    context: &Context,
    pages_max: u32,
    kind: TargetKind,
    rows: &mut BTreeMap<String, R::Observation>,
    id: fn(&R::Observation) -> &str,
    fetch: F,
) -> Result<usize, SweepError>
where
    R: Observe,
    F: Fn(Option<String>) -> Fut,
    Fut: Future<Output = Result<Page<R>, ApiError>>,
{
    let mut attempt = 1;
    loop {
        rows.clear();
        match pass(context, pages_max, kind, rows, id, &fetch).await {
            Err(error) if error.reason == FailureReason::Inconsistent && attempt < ATTEMPTS_MAX => {
                attempt += 1;
                context.own.sweeps.restart(kind);
            }
            ended => return ended,
        }
    }
}

async fn pass<R, F, Fut>(
    context: &Context,
    pages_max: u32,
    kind: TargetKind,
    rows: &mut BTreeMap<String, R::Observation>,
    id: fn(&R::Observation) -> &str,
    fetch: &F,
) -> Result<usize, SweepError>
where
    R: Observe,
    F: Fn(Option<String>) -> Fut,
    Fut: Future<Output = Result<Page<R>, ApiError>>,
{
    let mut paging = TokenPaging::new(pages_max);
    let mut token = None;
    let (mut repeated, mut unusable) = (0_usize, 0_usize);
    loop {
        let page = fetch(token).await?;
        context.own.sweeps.page(kind);
        let mut notes = Notes::default();
        let seen = observe_all(page.rows, &mut notes);
        unusable += page.row_count.saturating_sub(seen.len());
        for row in seen {
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
    Ok(unusable)
}

/// Puts back what is known and missing, where a list had rows that could not be used: one of these may be it.
pub(super) fn keep_known<T: Clone>(
    rows: &mut BTreeMap<String, T>,
    known: &BTreeMap<String, T>,
    unusable: usize,
) {
    if unusable > 0 {
        for (id, row) in known {
            rows.entry(id.clone()).or_insert_with(|| row.clone());
        }
    }
}
