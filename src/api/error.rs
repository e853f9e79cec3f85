//! The one error of this room. Invariant: no text of it holds a key or a token, a control character, or more of the
//! service's words than [`MESSAGE_CHARS_MAX`](super::MESSAGE_CHARS_MAX).

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::advice::advice;
use super::circuit::{Barred, Resume};
use super::credentials::CredentialsError;
use super::pace::TooLate;
use super::refusal::Refusal;
use super::text::{chain, printable};
use crate::model::{Action, FailureReason};

/// A client that could not be built, or a request that failed for good.
#[derive(Debug)]
pub struct ApiError {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    request: Option<Subject>,
    attempts: u32,
    cause: Cause,
    resume: Option<Resume>,
}

/// What a request was about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    pub(super) action: Action,
    /// Ids from the path, in its order: the workspace, then the resource within it.
    pub(super) ids: Vec<String>,
}

/// Why it failed.
#[derive(Debug, Error)]
pub(super) enum Cause {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("{0}")]
    Unsendable(&'static str),
    #[error("no answer in time: {}", chain(.0))]
    Timeout(#[source] reqwest::Error),
    #[error("no connection: {}{}", chain(.0), advice(.0))]
    Unresolved(#[source] reqwest::Error),
    #[error("no connection that can be trusted: {}{}", chain(.0), advice(.0))]
    Tls(#[source] reqwest::Error),
    #[error("no connection: {}{}", chain(.0), advice(.0))]
    Unreachable(#[source] reqwest::Error),
    #[error("the connection was cut within the answer: {}", chain(.0))]
    Cut(#[source] reqwest::Error),
    #[error("the answer is larger than {bytes_max} bytes (`api.body_bytes_max`)")]
    TooLarge { bytes_max: usize },
    #[error("{0}")]
    Refused(Refusal),
    /// Refused for a date by an offset to the service's clock that has been corrected since.
    #[error("{0}")]
    Misdated(Refusal),
    #[error("{0}")]
    Barred(Box<Barred>),
    #[error(
        "not sent: the next request may start in {wait:.1?}, after the deadline of the sweep ({why})",
        wait = .0.wait,
        why = if .0.is_throttled { "the service has asked to slow down" } else { "`api.requests_per_second`" }
    )]
    TooLate(TooLate),
    #[error("HTTP {status}: {problem}")]
    Malformed {
        status: u16,
        request_id: Option<String>,
        #[source]
        problem: Problem,
    },
}

/// Why no client could be built.
#[derive(Debug, Error)]
pub(super) enum SetupError {
    #[error("api.ca_file: cannot read {}: {source}", path.display())]
    CaUnreadable { path: PathBuf, source: std::io::Error },
    #[error("api.ca_file: {} is not a PEM file of certificates: {}", path.display(), chain(source))]
    CaInvalid { path: PathBuf, source: reqwest::Error },
    #[error("api.ca_file: {} holds no certificate", path.display())]
    CaEmpty { path: PathBuf },
    #[error("api.ca_file: certificate {number} in {} cannot be read: {why}", path.display())]
    CaBroken { path: PathBuf, number: usize, why: rustls::Error },
    /// Without the source: it may repeat the proxy's password.
    #[error("api.proxy: not a proxy URL such as http://[user:password@]host:port")]
    Proxy,
    #[error("{0} is not the address of an HTTP service")]
    Endpoint(String),
    #[error("no TLS client: {} (is a CA bundle such as Debian's `ca-certificates` installed?)", chain(.0))]
    Tls(#[source] reqwest::Error),
}

/// An answer that cannot be understood.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum Problem {
    #[error("a redirect, which is not followed")]
    Redirect,
    #[error("an empty body")]
    Empty,
    #[error("an HTML page instead of JSON")]
    Html,
    #[error("content type {0} instead of JSON")]
    ContentType(String),
    #[error("a JSON body that ends early, at line {line}, column {column}")]
    Cut { line: usize, column: usize },
    #[error("a body that is not a JSON object, at line {line}, column {column}")]
    NotJson { line: usize, column: usize },
    #[error("the envelope has no `code`")]
    NoCode,
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}` is of another type")]
    WrongType(&'static str),
}

impl ApiError {
    /// `resume` is what tells when the same request may be worth another try.
    pub(super) fn new(request: Subject, attempts: u32, cause: Cause, resume: Option<Resume>) -> Self {
        Self { inner: Box::new(Inner { request: Some(request), attempts, cause, resume }) }
    }

    /// The operation; `None` where the client itself could not be built.
    pub fn action(&self) -> Option<Action> {
        self.inner.request.as_ref().map(|request| request.action)
    }

    /// Whether it is the settings that no client can be built from, not the machine.
    pub fn is_setting(&self) -> bool {
        matches!(&self.inner.cause, Cause::Setup(error) if !matches!(error, SetupError::Tls(_)))
    }

    /// The workspace, for an operation within one.
    pub fn workspace_id(&self) -> Option<&str> {
        self.inner.request.as_ref()?.ids.first().map(String::as_str)
    }

    /// The HTTP status, where there was an answer that has been read. Of a request that was held back: that of the answer
    /// which is the reason; code, message and request id likewise.
    pub fn status(&self) -> Option<u16> {
        match &self.inner.cause {
            Cause::Malformed { status, .. } => Some(*status),
            _ => self.refusal().map(|refusal| refusal.status),
        }
    }

    /// The service's error code, such as `Throttling.User`.
    pub fn code(&self) -> Option<&str> {
        self.refusal().map(|refusal| refusal.code.as_str()).filter(|code| !code.is_empty())
    }

    /// The service's message, made safe to print.
    pub fn message(&self) -> Option<&str> {
        self.refusal().map(|refusal| refusal.message.as_str()).filter(|message| !message.is_empty())
    }

    /// What the service calls the request in its own logs.
    pub fn request_id(&self) -> Option<&str> {
        match &self.inner.cause {
            Cause::Malformed { request_id, .. } => request_id.as_deref(),
            _ => self.refusal().and_then(|refusal| refusal.request_id.as_deref()),
        }
    }

    /// How many attempts were made.
    pub fn attempts(&self) -> u32 {
        self.inner.attempts
    }

    /// The reason to count.
    pub fn reason(&self) -> FailureReason {
        self.inner.cause.reason()
    }

    /// Whether the same request can succeed a moment later: connect and read errors, timeouts, 5xx, throttling.
    pub fn is_retryable(&self) -> bool {
        self.inner.cause.is_retryable()
    }

    /// How long the service asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal().and_then(|refusal| refusal.retry_after)
    }

    /// Where the service keeps refusing such requests: what tells when one more is worth a try.
    pub fn resume(&self) -> Option<Resume> {
        self.inner.resume.clone()
    }

    fn refusal(&self) -> Option<&Refusal> {
        match &self.inner.cause {
            Cause::Refused(refusal) | Cause::Misdated(refusal) => Some(refusal),
            Cause::Barred(barred) => Some(&barred.refusal),
            _ => None,
        }
    }
}

impl From<SetupError> for ApiError {
    fn from(error: SetupError) -> Self {
        Self { inner: Box::new(Inner { request: None, attempts: 0, cause: error.into(), resume: None }) }
    }
}

/// The whole story in one line, its causes too: `ListSessionClusters w-1: HTTP 403 NoPermission: …, request id …`.
impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(request) = &self.inner.request {
            write!(f, "{}", request.action)?;
            for id in &request.ids {
                write!(f, " {}", printable(id, 100))?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}", self.inner.cause)?;
        if let Some(request_id) = self.request_id() {
            write!(f, ", request id {request_id}")?;
        }
        if self.inner.attempts > 1 {
            write!(f, ", after {} attempts", self.inner.attempts)?;
        }
        Ok(())
    }
}

impl Error for ApiError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner.cause.source()
    }
}

impl Cause {
    pub(super) fn reason(&self) -> FailureReason {
        match self {
            // No request can be sent, as over a network that is not there.
            Self::Setup(_) | Self::Unreachable(_) => FailureReason::Unreachable,
            Self::Credentials(error) => error.reason(),
            Self::Unsendable(_) => FailureReason::Rejected,
            Self::Timeout(_) => FailureReason::Timeout,
            Self::Unresolved(_) => FailureReason::Unresolved,
            Self::Tls(_) => FailureReason::Tls,
            Self::Cut(_) | Self::TooLarge { .. } | Self::Malformed { .. } => FailureReason::Malformed,
            Self::Refused(refusal) | Self::Misdated(refusal) => refusal.reason(),
            Self::Barred(barred) => barred.refusal.reason(),
            Self::TooLate(TooLate { is_throttled: true, .. }) => FailureReason::Throttled,
            Self::TooLate(_) => FailureReason::Overrun,
        }
    }

    pub(super) fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout(_) | Self::Unresolved(_) | Self::Unreachable(_) | Self::Cut(_) => true,
            Self::Refused(refusal) => {
                matches!(refusal.reason(), FailureReason::Throttled | FailureReason::ServerError)
            }
            _ => false,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::refusal::tests::refusal;

    #[test]
    fn an_error_tells_its_story_in_one_line() {
        let subject = Subject { action: Action::GetSessionCluster, ids: vec!["w-1".into(), "sc\n1".into()] };
        let refusal = Refusal {
            message: "Timestamp is expired.".into(),
            request_id: Some("DD6B".into()),
            clock_ahead_millis: Some(-901_500),
            ..refusal(400, "InvalidTimeStamp.Expired")
        };
        let error = ApiError::new(subject, 2, Cause::Refused(refusal), None);
        assert_eq!(
            error.to_string(),
            "GetSessionCluster w-1 sc 1: HTTP 400 InvalidTimeStamp.Expired: Timestamp is expired. (the service's \
             clock is -901 s ahead of this machine's), request id DD6B, after 2 attempts"
        );
        assert_eq!((error.workspace_id(), error.status()), (Some("w-1"), Some(400)));
    }
}
