//! Why a sweep failed.

use crate::api::ApiError;
use crate::api::paging::PagingError;
use crate::collect::HistoryError;
use crate::ledger::LedgerError;
use crate::model::FailureReason;

/// A failed sweep: a reason of the closed set, and what happened in words that hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SweepError {
    /// For the metrics.
    pub reason: FailureReason,
    /// For people.
    pub message: String,
}

impl SweepError {
    /// A failure of this reason.
    pub(super) fn new(reason: FailureReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl From<ApiError> for SweepError {
    fn from(error: ApiError) -> Self {
        Self::new(error.reason(), error.to_string())
    }
}

impl From<PagingError> for SweepError {
    fn from(error: PagingError) -> Self {
        Self::new(error.reason(), error.to_string())
    }
}

impl From<HistoryError> for SweepError {
    fn from(error: HistoryError) -> Self {
        Self::new(error.reason(), error.to_string())
    }
}

impl From<LedgerError> for SweepError {
    fn from(error: LedgerError) -> Self {
        Self::new(FailureReason::Ledger, error.to_string())
    }
}
