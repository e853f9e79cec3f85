//! Client of the EMR Serverless Spark API: signing, keys, limits, retries, answers and their rows.
//! Invariant: a request ends in rows or in an error with a name; no secret leaves this room.
//!
//! In reading order: `client` has the operations, `attempt` sends them, `sign` and `credentials` authorise them,
//! `transport` builds the HTTP client beneath, `answer` and `wire` read what comes back, `error` names what went wrong,
//! `advice` says what to do about a lost connection, `text` makes foreign words fit to print, `paging` guards the lists.

mod advice;
mod answer;
mod attempt;
mod client;
pub mod credentials;
mod error;
pub mod paging;
pub mod sign;
#[cfg(test)]
mod tests;
mod text;
mod transport;
pub mod wire;

pub use answer::Page;
pub use client::{Client, ClientOptions, RequestObserver};
pub use error::ApiError;
pub use text::MESSAGE_CHARS_MAX;
