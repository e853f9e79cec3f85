//! Closed label sets of the exporter's own metrics.

use super::label_enum;

label_enum! {
    /// An operation of the EMR Serverless Spark API (version 2023-08-08) that the exporter calls.
    Action {
        /// `GET /api/v1/workspaces`
        ListWorkspaces => "ListWorkspaces",
        /// `GET /api/v1/workspaces/{workspaceId}/sessionClusters`
        ListSessionClusters => "ListSessionClusters",
        /// `GET /api/v1/workspaces/{workspaceId}/sessionClusters/{sessionClusterId}`
        GetSessionCluster => "GetSessionCluster",
        /// `GET /api/interactive/v1/workspace/{workspaceId}/livycompute`
        ListLivyCompute => "ListLivyCompute",
        /// `GET /api/v1/workspaces/{workspaceId}/livycompute/{livyComputeId}/session`
        ListLivyComputeSessions => "ListLivyComputeSessions",
    }
}

label_enum! {
    /// Why a request or a sweep failed.
    FailureReason {
        /// The service asked to slow down (429, a `Throttling…` code, or `x-acs-retry-after`).
        Throttled => "throttled",
        /// The key is valid but the RAM policy forbids the operation.
        Denied => "denied",
        /// The key, the token or the signature was not accepted.
        Unauthenticated => "unauthenticated",
        /// No key could be had from the account's `credentials`: nothing was sent.
        NoCredentials => "no_credentials",
        /// The request's date was refused, although it was set by the service's own clock.
        ClockSkew => "clock_skew",
        /// The resource does not exist (any more).
        NotFound => "not_found",
        /// The service refused the request for another reason (4xx).
        Rejected => "rejected",
        /// The name of the endpoint, or of the proxy, has no address (DNS).
        Unresolved => "unresolved",
        /// No connection, or one that was cut before an answer.
        Unreachable => "unreachable",
        /// A connection without trust: the certificate or the TLS handshake was refused.
        Tls => "tls",
        /// The connection or the answer took longer than the configured timeout.
        Timeout => "timeout",
        /// The service failed (5xx).
        ServerError => "server_error",
        /// The answer could not be understood: HTML, a cut body, bad JSON, a missing list, a body over the limit.
        Malformed => "malformed",
        /// The sweep passed its deadline or the cap on pages.
        Overrun => "overrun",
        /// The pages contradict each other: a repeated token, an empty page with a token, a total that does not add up.
        Inconsistent => "inconsistent",
        /// The same workspace is reached through two accounts or regions.
        Conflict => "conflict",
        /// The ledger could not take the observations.
        Ledger => "ledger",
        /// A defect of the exporter: the sweep's task panicked.
        Internal => "internal",
    }
}

impl FailureReason {
    /// For which the service is not asked on, but probed.
    pub const THAT_OPEN_CIRCUITS: [Self; 3] = [Self::Unauthenticated, Self::ClockSkew, Self::Denied];
}

label_enum! {
    /// What the exporter polls.
    TargetKind {
        /// The workspaces of an account in a region.
        Workspaces => "workspaces",
        /// The session clusters of a workspace.
        SessionClusters => "session_clusters",
        /// The Livy gateways of a workspace.
        LivyGateways => "livy_gateways",
        /// The session history of a Livy gateway.
        LivySessions => "livy_sessions",
    }
}

/// How one request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// A well-formed answer.
    Success,
    /// A failure and its reason.
    Failure(FailureReason),
}

impl Outcome {
    /// The outcomes that one request can have, so that each can be exposed from the start.
    pub fn all() -> impl Iterator<Item = Self> {
        use FailureReason as R;
        const FAILURES: [FailureReason; 12] = [
            R::Throttled,
            R::Denied,
            R::Unauthenticated,
            R::ClockSkew,
            R::NotFound,
            R::Rejected,
            R::Unresolved,
            R::Unreachable,
            R::Tls,
            R::Timeout,
            R::ServerError,
            R::Malformed,
        ];
        std::iter::once(Self::Success).chain(FAILURES.map(Self::Failure))
    }

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure(reason) => reason.as_str(),
        }
    }
}
