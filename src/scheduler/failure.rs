//! Why a sweep failed.

use crate::api::paging::PagingError;
use crate::api::{ApiError, Resume};
use crate::collect::HistoryError;
use crate::ledger::LedgerError;
use crate::model::FailureReason;

/// A failed sweep: a reason of the closed set, and what happened in words that hold no secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SweepError {
    /// For the metrics.
    pub reason: FailureReason,
    /// For people.
    pub message: String,
    /// The service's error code, where it gave one.
    pub code: Option<String>,
    /// What the service calls the request in its own logs.
    pub request_id: Option<String>,
    /// What tells when another sweep may fare better, sooner than the next one is due.
    pub(super) resume: Option<Resume>,
}

impl SweepError {
    /// A failure of this reason.
    pub(super) fn new(reason: FailureReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), code: None, request_id: None, resume: None }
    }
}

impl From<ApiError> for SweepError {
    fn from(error: ApiError) -> Self {
        Self {
            code: error.code().map(str::to_owned),
            request_id: error.request_id().map(str::to_owned),
            resume: error.resume(),
            ..Self::new(error.reason(), error.to_string())
        }
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
