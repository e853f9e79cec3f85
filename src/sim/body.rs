//! Answer bodies that can be slow or cut short.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// Time for what was sent before a cut to reach the client.
const CUT_DELAY: Duration = Duration::from_millis(20);
const SLOW_PIECES: usize = 8;

/// A body sent whole, in pieces with pauses, or in part.
#[derive(Debug)]
pub(crate) struct SimBody {
    pieces: VecDeque<Bytes>,
    pause: Duration,
    pausing: Option<Pin<Box<Sleep>>>,
    cut: bool,
}

impl SimBody {
    pub(crate) fn whole(bytes: Vec<u8>) -> Self {
        Self { pieces: VecDeque::from([bytes.into()]), pause: Duration::ZERO, pausing: None, cut: false }
    }

    /// With a pause before each piece but the first.
    pub(crate) fn slow(bytes: Vec<u8>, pause: Duration) -> Self {
        let size = bytes.len().div_ceil(SLOW_PIECES).max(1);
        let bytes = Bytes::from(bytes);
        let pieces = (0..bytes.len()).step_by(size).map(|at| bytes.slice(at..bytes.len().min(at + size)));
        Self { pieces: pieces.collect(), pause, pausing: None, cut: false }
    }

    /// The first half, then the end of the connection.
    pub(crate) fn cut(mut bytes: Vec<u8>) -> Self {
        bytes.truncate(bytes.len() / 2);
        Self { cut: true, pause: CUT_DELAY, ..Self::whole(bytes) }
    }
}

impl Body for SimBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(pausing) = &mut self.pausing {
            ready!(pausing.as_mut().poll(context));
            self.pausing = None;
        }
        match self.pieces.pop_front() {
            Some(piece) => {
                if !self.pause.is_zero() {
                    self.pausing = Some(Box::pin(tokio::time::sleep(self.pause)));
                }
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None if self.cut => Poll::Ready(Some(Err(io::Error::other("cut on purpose")))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && !self.cut
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.pieces.iter().map(|piece| piece.len() as u64).sum();
        let mut hint = SizeHint::new();
        hint.set_lower(left);
        if !self.cut {
            hint.set_upper(left);
        }
        hint
    }
}
