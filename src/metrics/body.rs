//! A rendered page in both text formats. Invariant: immutable; what the formats have in common is there once.

use std::ops::Range;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::mapped::Mapped;
use crate::model::Format;

/// A part of a page: its bytes, and the format that alone has it.
pub(super) type Piece = (Range<usize>, Option<Format>);

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Body {
    bytes: Bytes,
    pieces: Vec<Piece>,
    memory: Weak<()>,
}

/// Memory that is given back when the last of those who read it is done.
struct Shared {
    bytes: Mapped,
    _held: Arc<()>,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// Bytes to be shared, and what tells whether somebody still holds any of them.
pub(super) fn shared(bytes: Mapped) -> (Bytes, Weak<()>) {
    let held = Arc::new(());
    let memory = Arc::downgrade(&held);
    (Bytes::from_owner(Shared { bytes, _held: held }), memory)
}

impl Body {
    pub(super) fn new(bytes: Mapped, pieces: Vec<Piece>) -> Self {
        let (bytes, memory) = shared(bytes);
        Self { bytes, pieces, memory }
    }

    /// The page in one format, in parts that share the memory of the page; each has the samples of whole families.
    pub fn parts(&self, format: Format) -> Vec<Bytes> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let of_format = |of: &Option<Format>| of.is_none_or(|of| of == format);
        for (range, _) in self.pieces.iter().filter(|(range, of)| !range.is_empty() && of_format(of)) {
            match ranges.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => ranges.push(range.clone()),
            }
        }
        ranges.into_iter().map(|range| self.bytes.slice(range)).collect()
    }

    /// Tells for as long as somebody holds a part of it.
    pub fn memory(&self) -> Weak<()> {
        Weak::clone(&self.memory)
    }

    /// The bytes that both formats take together.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl From<String> for Body {
    /// A page that is the same in both formats.
    fn from(text: String) -> Self {
        let length = text.len();
        Self::new(text.as_bytes().into(), vec![(0..length, None)])
    }
}
