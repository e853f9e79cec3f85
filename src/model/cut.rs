//! What the HTTP server refuses or cuts. Invariant: a closed set, all of which is shown from the start.

use super::label_enum;

label_enum! {
    /// Why a connection or a request came to nothing, or to less than was asked.
    Cut {
        /// `web.max_connections` were open.
        TooManyConnections => "too_many_connections",
        /// The system did not let it be accepted, for want of file descriptors mostly; counted each time that it is tried.
        NotAccepted => "not_accepted",
        /// The TLS handshake failed, or took longer than `web.head_timeout`.
        Handshake => "handshake",
        /// The head of a request took longer than `web.head_timeout`.
        SlowHead => "slow_head",
        /// The head of a request was larger than `web.head_bytes_max`.
        LargeHead => "large_head",
        /// Path and query were longer than `web.uri_bytes_max`.
        LongUri => "long_uri",
        /// What came by HTTP/1 was no request.
        Malformed => "malformed",
        /// The request had a body.
        Body => "body",
        /// Nothing was asked for longer than `web.idle_timeout`.
        Idle => "idle",
        /// The client did not take the answer within `web.write_timeout`.
        SlowReader => "slow_reader",
        /// More than the web configuration's `rate_limit`.
        RateLimit => "rate_limit",
        /// No password, or a wrong one.
        Unauthorized => "unauthorized",
        /// Too many passwords were waiting to be checked.
        PasswordQueue => "password_queue",
        /// It was not over when the program ended.
        Drain => "drain",
    }
}
