//! An answer in which the service says no, and what that means. Invariant: the texts are safe to print.

use std::fmt;
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::model::FailureReason;

/// An answer in which the service says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) request_id: Option<String>,
    /// As the header `x-acs-retry-after` alone says, whatever status and code.
    pub(super) asks_to_slow_down: bool,
    pub(super) retry_after: Option<Duration>,
    /// How far the service's clock is ahead of ours, where its `Date` tells.
    pub(super) clock_ahead_millis: Option<UnixMillis>,
}

impl Refusal {
    /// Whether the request's date is too far from the service's clock.
    pub(super) fn is_expired_date(&self) -> bool {
        self.code == "InvalidTimeStamp.Expired"
    }

    /// By the code first: the status alone says less, and throttling comes as 400, 429 and 503.
    pub(super) fn reason(&self) -> FailureReason {
        const KEY: &[&str] = &[
            "SignatureDoesNotMatch",
            "SignatureNonceUsed",
            "IncompleteSignature",
            "InvalidAccessKeyId",
            "InvalidSecurityToken",
            "InvalidTimeStamp",
            "MissingSecurityToken",
            "MissingAccessKeyId",
        ];
        const DENIED: &[&str] = &["Forbidden", "NoPermission"];
        const FAILED: &[&str] = &["ServiceUnavailable", "InternalError"];
        // Not the resource is missing, but the operation: it says nothing about the resource.
        const NO_OPERATION: &[&str] = &["InvalidAction", "InvalidApi", "InvalidVersion"];

        let starts = |names: &[&str]| names.iter().any(|name| self.code.starts_with(name));
        let code = self.code.as_str();
        match self.status {
            429 => FailureReason::Throttled,
            503 if self.retry_after.is_some() => FailureReason::Throttled,
            _ if self.asks_to_slow_down || code.starts_with("Throttling") => FailureReason::Throttled,
            _ if self.is_expired_date() => FailureReason::ClockSkew,
            _ if starts(KEY) => FailureReason::Unauthenticated,
            _ if starts(DENIED) => FailureReason::Denied,
            500..=599 => FailureReason::ServerError,
            _ if starts(FAILED) => FailureReason::ServerError,
            _ if starts(NO_OPERATION) => FailureReason::Rejected,
            _ if code.contains("NotFound") || code.contains("NotExist") => FailureReason::NotFound,
            401 => FailureReason::Unauthenticated,
            403 => FailureReason::Denied,
            404 => FailureReason::NotFound,
            _ => FailureReason::Rejected,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        if let Some(ahead) = self.clock_ahead_millis.filter(|_| self.code.starts_with("InvalidTimeStamp")) {
            write!(f, " (the service's clock is {} s ahead of this machine's)", ahead / 1000)?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::api::error::Cause;

    /// A refusal without words.
    pub(in crate::api) fn refusal(status: u16, code: &str) -> Refusal {
        Refusal {
            status,
            code: code.into(),
            message: String::new(),
            request_id: None,
            asks_to_slow_down: false,
            retry_after: None,
            clock_ahead_millis: None,
        }
    }

    #[test]
    fn codes_and_statuses_have_reasons_and_few_are_worth_a_retry() {
        use FailureReason as R;
        for (status, code, reason, retryable) in [
            (400, "Throttling", R::Throttled, true),
            (400, "Throttling.User", R::Throttled, true),
            (503, "Throttling.Api", R::Throttled, true),
            (429, "", R::Throttled, true),
            (400, "SignatureDoesNotMatch", R::Unauthenticated, false),
            (400, "SignatureNonceUsed", R::Unauthenticated, false),
            (404, "InvalidAccessKeyId.NotFound", R::Unauthenticated, false),
            (403, "InvalidAccessKeyId.Inactive", R::Unauthenticated, false),
            (403, "InvalidSecurityToken.Expired", R::Unauthenticated, false),
            (400, "InvalidTimeStamp.Expired", R::ClockSkew, false),
            (400, "InvalidTimeStamp.Format", R::Unauthenticated, false),
            (400, "MissingSecurityToken", R::Unauthenticated, false),
            (401, "", R::Unauthenticated, false),
            (403, "Forbidden.RAM", R::Denied, false),
            (500, "Forbidden.RAM", R::Denied, false),
            (400, "NoPermission", R::Denied, false),
            (403, "", R::Denied, false),
            (404, "", R::NotFound, false),
            (400, "SessionCluster.NotFound", R::NotFound, false),
            (200, "WorkspaceNotExist", R::NotFound, false),
            (404, "InvalidAction.NotFound", R::Rejected, false),
            (400, "InvalidParameter", R::Rejected, false),
            (200, "1010000", R::Rejected, false),
            (500, "SomethingNotFound", R::ServerError, true),
            (503, "ServiceUnavailable", R::ServerError, true),
            (200, "InternalError", R::ServerError, true),
            (502, "", R::ServerError, true),
        ] {
            let cause = Cause::Refused(refusal(status, code));
            assert_eq!((cause.reason(), cause.is_retryable()), (reason, retryable), "{status} {code}");
        }
        let waits = Refusal { retry_after: Some(Duration::ZERO), ..refusal(503, "ServiceUnavailable") };
        assert_eq!(waits.reason(), R::Throttled);
        let slow = Cause::Refused(Refusal { asks_to_slow_down: true, ..refusal(403, "Forbidden") });
        assert_eq!(slow.reason(), R::Throttled);
    }
}
