//! Why there are no keys. Invariant: no text here holds a secret, and each says which source it is about.

use thiserror::Error;

use crate::api::error::Cause;
use crate::model::FailureReason;

/// Why no keys could be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CredentialsError {
    /// No source has keys; the text names each that was tried, and why it did not serve.
    #[error("no keys: {why}")]
    NoKeys {
        /// Each source and why it did not serve, separated by `; `.
        why: String,
        /// What is at fault.
        reason: FailureReason,
    },
    /// A key or token that no HTTP header can carry.
    #[error("the AccessKey id or the security token holds characters that no HTTP header can carry")]
    Unsendable,
}

impl CredentialsError {
    /// The reason to count: a request without keys fails by what kept the keys away.
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::NoKeys { reason, .. } => *reason,
            Self::Unsendable => FailureReason::NoCredentials,
        }
    }
}

/// Why one source did not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) why: String,
    pub(super) reason: FailureReason,
}

impl Failure {
    /// Of a source that has nothing to offer as it is set up.
    pub(super) fn absent(why: impl Into<String>) -> Self {
        Self { why: why.into(), reason: FailureReason::NoCredentials }
    }

    /// Of an answer that is not what the source promises.
    pub(super) fn malformed(why: impl Into<String>) -> Self {
        Self { why: why.into(), reason: FailureReason::Malformed }
    }

    /// The same, with what it is about in front.
    pub(super) fn of(self, subject: impl AsRef<str>) -> Self {
        Self { why: format!("{}: {}", subject.as_ref(), self.why), ..self }
    }
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self { why: cause.to_string(), reason: cause.reason() }
    }
}

impl From<Failure> for CredentialsError {
    fn from(failure: Failure) -> Self {
        Self::NoKeys { why: failure.why, reason: failure.reason }
    }
}
