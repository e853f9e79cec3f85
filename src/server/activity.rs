//! What a connection is doing, and since when. Invariant: at every moment one limit of time applies, whatever the protocol:
//! to a head that has begun, to an answer that is not taken yet, or to silence.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::{Chunks, Cut};
use crate::config::WebLimits;

/// See the module. Clones share what they know.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Since when a head is being received, but for one that began while an answer was under way.
    head: Option<Instant>,
    /// What came is not yet, or not only, whole heads.
    is_within_head: bool,
    /// When the requests came whose answers are still being made or handed to the connection.
    answers: Vec<Instant>,
    /// Since when bytes wait for the client.
    unsent: Option<Instant>,
    /// The end of the latest of these.
    quiet: Instant,
    /// Whether there was a request: who connects has something to ask.
    has_asked: bool,
    /// Whether an answer has ended since then whose last bytes may still wait.
    has_answered: bool,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            head: None,
            is_within_head: false,
            answers: Vec::new(),
            unsent: None,
            quiet: Instant::now(),
            has_asked: false,
            has_answered: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole after each assignment: a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come; its answer is under way until the guard is dropped.
    pub(super) fn request(&self) -> Answering {
        let now = Instant::now();
        let mut state = self.state();
        state.head = None;
        state.has_asked = true;
        state.answers.push(now);
        drop(state);
        Answering { activity: self.clone(), since: now }
    }

    /// Whether an answer is under way.
    pub(super) fn is_answering(&self) -> bool {
        let state = self.state();
        !state.answers.is_empty() || state.unsent.is_some()
    }

    /// Which limit is exceeded, as soon as one is.
    pub(super) async fn overdue(&self, limits: &WebLimits) -> Cut {
        // A limit that begins to apply while this sleeps is at least this long.
        let shortest = limits.head_timeout.min(limits.idle_timeout).min(limits.write_timeout);
        loop {
            let (deadline, cut) = self.state().deadline(limits);
            let now = Instant::now();
            if deadline <= now {
                return cut;
            }
            sleep_until(deadline.min(now + shortest)).await;
        }
    }
}

impl State {
    fn deadline(&self, limits: &WebLimits) -> (Instant, Cut) {
        let oldest = self.answers.iter().chain(&self.unsent).min();
        match oldest {
            Some(since) => (*since + limits.write_timeout, Cut::SlowReader),
            None if self.is_within_head => {
                (self.head.unwrap_or(self.quiet) + limits.head_timeout, Cut::SlowHead)
            }
            None if !self.has_asked => (self.quiet + limits.head_timeout.min(limits.idle_timeout), Cut::Idle),
            None => (self.quiet + limits.idle_timeout, Cut::Idle),
        }
    }
}

/// An answer that is under way.
#[derive(Debug)]
pub(super) struct Answering {
    activity: Activity,
    since: Instant,
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        if let Some(at) = state.answers.iter().position(|since| *since == self.since) {
            state.answers.swap_remove(at);
        }
        state.quiet = Instant::now();
        state.has_answered = true;
    }
}

/// A body, whose answer is under way until it is dropped.
pub(super) struct Watched {
    body: Chunks,
    part_bytes_max: Option<usize>,
    _answering: Answering,
}

impl Watched {
    /// At once, or in parts of at most so many bytes: HTTP/2 asks for a part only when the client has taken those before it,
    /// and is done with the body once it has the last. That is a byte, so that hardly anything is left to be taken then.
    pub(super) fn new(body: Chunks, part_bytes_max: Option<usize>, answering: Answering) -> Self {
        Self { body, part_bytes_max, _answering: answering }
    }
}

impl Body for Watched {
    type Data = Chunks;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunks>, Infallible>>> {
        let but_last = self.body.len().saturating_sub(1).max(1);
        let bytes_max = self.part_bytes_max.map_or(usize::MAX, |bytes_max| bytes_max.min(but_last));
        Poll::Ready((!self.body.is_empty()).then(|| Ok(Frame::data(self.body.split_to(bytes_max)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream whose reads and writes are noted.
pub(super) struct Noted<S> {
    stream: S,
    activity: Activity,
    /// Whether what comes between two answers is the head of a request: not so in HTTP/2.
    has_heads: bool,
    /// Where in a head the bytes end that have come.
    place: Place,
}

/// A place in a row of heads without bodies, which is all that HTTP/1 sends here: whoever sends a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between two heads, where empty lines mean nothing (RFC 9112, 2.2).
    Between,
    LineStart,
    Line,
}

impl Place {
    fn after(self, bytes: &[u8]) -> Self {
        bytes.iter().fold(self, |place, byte| match (place, byte) {
            (place, b'\r') => place,
            (Self::Line, b'\n') => Self::LineStart,
            (_, b'\n') => Self::Between,
            _ => Self::Line,
        })
    }
}

impl<S> Noted<S> {
    pub(super) fn new(stream: S, activity: Activity, has_heads: bool) -> Self {
        Self { stream, activity, has_heads, place: Place::Between }
    }

    fn sending(&self) {
        self.activity.state().unsent.get_or_insert_with(Instant::now);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if self.has_heads && buffer.filled().len() > before {
            self.place = self.place.after(&buffer.filled()[before..]);
            let mut state = self.activity.state();
            state.is_within_head = self.place != Place::Between;
            if state.is_within_head && state.answers.is_empty() && state.unsent.is_none() {
                state.head.get_or_insert_with(Instant::now);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.sending();
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.sending();
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when it has handed over all that it had.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        let mut state = self.activity.state();
        // By HTTP/2, what is written may be the answer to a ping, which is no request.
        if state.unsent.take().is_some() && (self.has_heads || std::mem::take(&mut state.has_answered)) {
            state.quiet = Instant::now();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
