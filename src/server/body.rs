//! A body in parts, so that finished bytes are sent without a copy, and by HTTP/1.1 all at once.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};

/// Bytes to be sent one after the other.
#[derive(Debug, Default)]
pub struct Chunks {
    parts: VecDeque<Bytes>,
    length: usize,
}

impl Chunks {
    /// A body of these parts.
    pub fn new(parts: impl IntoIterator<Item = Bytes>) -> Self {
        let parts: VecDeque<Bytes> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Self { length: parts.iter().map(Bytes::len).sum(), parts }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Takes its first bytes: all of them, or as many as its first part has up to this limit.
    pub(super) fn split_to(&mut self, bytes_max: usize) -> Self {
        if self.length <= bytes_max {
            return std::mem::take(self);
        }
        let taken = self.parts.front().map(|first| first.slice(..first.len().min(bytes_max)));
        let taken = Self::new(taken);
        self.advance(taken.length);
        taken
    }
}

impl From<String> for Chunks {
    fn from(text: String) -> Self {
        Self::new([text.into()])
    }
}

impl Buf for Chunks {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map(Bytes::as_ref).unwrap_or_default()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        slices.iter_mut().zip(&self.parts).map(|(slice, part)| *slice = IoSlice::new(part)).count()
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.length, "{count} bytes of {}", self.length);
        self.length -= count;
        let mut left = count;
        while let Some(first) = self.parts.front_mut().filter(|_| left > 0) {
            if first.len() > left {
                first.advance(left);
                return;
            }
            left -= first.len();
            self.parts.pop_front();
        }
    }
}

impl Body for Chunks {
    type Data = Self;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self>, Infallible>>> {
        Poll::Ready((!self.is_empty()).then(|| Ok(Frame::data(self.split_to(usize::MAX)))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_read_as_one_however_it_is_read(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..6),
            steps in prop::collection::vec(1_usize..7, 0..40),
        ) {
            let whole = parts.concat();
            let mut chunks = Chunks::new(parts.into_iter().map(Bytes::from));
            let mut read = Vec::new();
            for step in steps {
                prop_assert_eq!(chunks.len(), whole.len() - read.len());
                prop_assert_eq!(chunks.is_empty(), chunks.chunk().is_empty());
                let mut slices = [IoSlice::new(&[]); 3];
                let count = chunks.chunks_vectored(&mut slices);
                let seen = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect::<Vec<_>>();
                prop_assert!(whole[read.len()..].starts_with(&seen));
                prop_assert!(count == 3 || seen.len() == chunks.len());
                if step % 2 == 0 {
                    read.extend_from_slice(&seen[..step.min(seen.len())]);
                    chunks.advance(step.min(seen.len()));
                } else {
                    let taken = chunks.split_to(step);
                    prop_assert!(taken.len() <= step && taken.is_empty() == (read.len() == whole.len()));
                    taken.parts.iter().for_each(|part| read.extend_from_slice(part));
                }
            }
            prop_assert!(whole.starts_with(&read));
        }
    }
}
