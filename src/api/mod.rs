//! Client of the EMR Serverless Spark API: signing, keys, limits, retries, answers and their rows.
//! Invariant: a request ends in rows or in an error with a name; no secret leaves this room.
//!
//! In reading order: `client` has the operations, `attempt` sends them, as `in_flight`, `pace` and `circuit` let it, `sign` and
//! `credentials` authorise them, `clock_offset` dates them, `transport` and `resolve` build the HTTP client beneath, `answer`
//! and `wire` read what comes back, `error` and `refusal` name what went wrong, `advice` says what to do about a lost
//! connection, `text` makes foreign words fit to print, `paging` guards the lists.

mod advice;
mod answer;
mod attempt;
mod circuit;
mod client;
mod clock_offset;
pub mod credentials;
mod error;
mod in_flight;
mod pace;
pub mod paging;
mod refusal;
mod resolve;
pub mod sign;
#[cfg(test)]
mod tests;
mod text;
mod transport;
pub mod wire;

pub use answer::Page;
pub use circuit::Resume;
pub use client::{Client, ClientOptions, RequestObserver};
pub use error::ApiError;
pub use text::MESSAGE_CHARS_MAX;
pub use transport::Transport;
