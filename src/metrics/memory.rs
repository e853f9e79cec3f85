//! Memory that scrapes use one after the other: what each writes, and what compresses that, need not be found and cleared anew.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::{Compress, Compression, Status};

/// Of each kind, so much is kept while nobody uses it: for about the scrapes that are written at the same moment, of which
/// each takes two texts.
const IDLE_MAX: usize = 4;
/// Of zlib-rs, the fastest one.
pub(super) const LEVEL: Compression = Compression::new(1);

/// What it takes to write the end of a page; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Idle>);

#[derive(Debug, Default)]
struct Idle {
    texts: Mutex<Vec<Vec<u8>>>,
    compressors: Mutex<Vec<Compress>>,
}

impl Memory {
    /// An empty text.
    pub(super) fn text(&self) -> Text {
        Text { bytes: pop(&self.0.texts).unwrap_or_default(), memory: self.clone() }
    }

    /// Compresses something, from a new beginning; `work` tells how far it came.
    pub(super) fn compress(&self, work: impl FnOnce(&mut Compress) -> Status) {
        let mut compress = pop(&self.0.compressors).unwrap_or_else(|| Compress::new(LEVEL, false));
        // zlib-rs does not forget a block that is left in the middle, whatever is reset.
        if work(&mut compress) == Status::StreamEnd {
            compress.reset();
            keep(&self.0.compressors, compress);
        }
    }
}

fn pop<T>(idle: &Mutex<Vec<T>>) -> Option<T> {
    // A panic while the lock was held leaves a whole list behind.
    idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn keep<T>(idle: &Mutex<Vec<T>>, thing: T) {
    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
    if idle.len() < IDLE_MAX {
        idle.push(thing);
    }
}

/// A text, whose memory is used again when it is dropped.
#[derive(Debug)]
pub struct Text {
    bytes: Vec<u8>,
    memory: Memory,
}

impl Drop for Text {
    fn drop(&mut self) {
        self.bytes.clear();
        keep(&self.memory.0.texts, std::mem::take(&mut self.bytes));
    }
}

impl Deref for Text {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Text {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use flate2::FlushCompress;

    use super::*;

    #[test]
    fn a_text_is_empty_and_has_the_memory_of_one_that_nobody_reads_any_more() {
        let memory = Memory::default();
        let mut first = memory.text();
        first.extend_from_slice(&[7; 5_000]);
        let place = first.as_ptr();
        let read = Bytes::from_owner(first);
        assert_ne!(memory.text().as_ptr(), place);
        let part = read.slice(10..20);
        drop(read);
        assert_eq!((&part[..], memory.text().capacity()), (&[7; 10][..], 0), "it is still read");
        drop(part);
        let again = memory.text();
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
    }

    #[test]
    fn little_is_kept() {
        let memory = Memory::default();
        let texts: Vec<Text> = (0..3 * IDLE_MAX).map(|_| memory.text()).collect();
        drop(texts);
        assert_eq!(memory.0.texts.lock().unwrap().len(), IDLE_MAX);
    }

    #[test]
    fn what_is_compressed_does_not_depend_on_what_was_before() {
        let memory = Memory::default();
        let compressed = |text: &[u8], flush| {
            let mut out = Vec::with_capacity(2_000);
            memory.compress(|compress| compress.compress_vec(text, &mut out, flush).unwrap());
            out
        };
        let idle = || memory.0.compressors.lock().unwrap().len();
        let first = compressed(b"abcabcabc", FlushCompress::Finish);
        assert_eq!(idle(), 1);
        assert_eq!(compressed(b"abcabcabc", FlushCompress::Finish), first);
        let noise: Vec<u8> = (0..1_000_u32).map(|n| (n * n % 251).to_le_bytes()[0]).collect();
        compressed(&noise, FlushCompress::None);
        assert_eq!(idle(), 0, "it was left in the middle of a block");
        assert_eq!(compressed(b"abcabcabc", FlushCompress::Finish), first);
    }
}
