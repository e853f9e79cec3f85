//! Compressed pages: one gzip member (RFC 1952) of deflated segments, the last of which is made for each scrape. Several
//! members would be simpler, but curl reads only the first. Invariant: what did not change since the page before is not
//! compressed again.

use std::ops::Range;
use std::sync::Weak;

use bytes::Bytes;
use crc32fast::Hasher;
use flate2::{Compress, FlushCompress, Status};

use super::body::shared;
use super::memory::{LEVEL, Memory};

/// A segment holds whole parts of a page, at least this many bytes of them: small ones compress badly alone.
const SEGMENT_BYTES_MIN: usize = 64 * 1024;
/// The end is not compressed where that saves less than this part of the file: there, time is worth more than length.
const SAVING_MIN: usize = 16;
/// What a block without compression can hold.
const STORED_BYTES_MAX: usize = 0xffff;
/// Deflate, no name, no time, from whatever system.
const HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// A compressed page that lacks its end.
#[derive(Debug)]
pub struct Gzip {
    /// The header and all segments, one behind the other, so that they are sent at once.
    file: Bytes,
    segments: Vec<Segment>,
    /// Of what the segments hold, and how many bytes that is.
    checksum: Hasher,
    length: usize,
    memory: Weak<()>,
}

#[derive(Debug)]
struct Segment {
    /// What it holds, in memory that the page has anyway.
    plain: Vec<Bytes>,
    checksum: Hasher,
    /// Where in the file its blocks are, which refer to no other segment and end at a whole byte, none of them marked as the last.
    place: Range<usize>,
}

impl Gzip {
    /// Compresses the parts of a page; `before` is the page before, in the same format.
    pub fn new(parts: Vec<Bytes>, before: Option<&Self>) -> Self {
        let mut file =
            Vec::with_capacity(before.map_or(0, |before| before.file.len() + before.file.len() / 32));
        file.extend_from_slice(HEADER);
        let (mut segments, mut all, mut length) = (Vec::new(), Hasher::new(), 0);
        let mut compress = Compress::new(LEVEL, false);
        let mut plain = Vec::new();
        let mut parts = parts.into_iter().peekable();
        while let Some(part) = parts.next() {
            plain.push(part);
            let bytes: usize = plain.iter().map(Bytes::len).sum();
            if bytes < SEGMENT_BYTES_MIN && parts.peek().is_some() {
                continue;
            }
            let plain = std::mem::take(&mut plain);
            let start = file.len();
            let known = before.and_then(|before| {
                Some((before, before.segments.iter().find(|known| known.plain == plain)?))
            });
            let checksum = match known {
                Some((before, known)) => {
                    file.extend_from_slice(&before.file[known.place.clone()]);
                    known.checksum.clone()
                }
                None => segment(&mut compress, &plain, &mut file),
            };
            all.combine(&checksum);
            length += bytes;
            segments.push(Segment { plain, checksum, place: start..file.len() });
        }
        let (file, memory) = shared(file.as_slice().into());
        Self { file, segments, checksum: all, length, memory }
    }

    /// Tells for as long as somebody holds a part of it.
    pub fn memory(&self) -> Weak<()> {
        Weak::clone(&self.memory)
    }

    /// The whole file, in parts: the page, and `end` behind it.
    pub fn with_end(&self, end: &Bytes, memory: &Memory) -> Vec<Bytes> {
        let mut checksum = self.checksum.clone();
        checksum.update(end);
        // The length is told modulo 2^32.
        let length = ((self.length + end.len()) & 0xffff_ffff).to_le_bytes();
        let mut trailer = checksum.finalize().to_le_bytes().to_vec();
        trailer.extend_from_slice(&length[..4]);
        let mut parts = vec![self.file.clone()];
        if end.len() < self.file.len() / SAVING_MIN {
            store(end, &mut parts);
        } else {
            let mut last = memory.text();
            memory.compress(|compress| deflate(compress, end, FlushCompress::Finish, &mut last));
            parts.push(Bytes::from_owner(last));
        }
        parts.push(trailer.into());
        parts
    }
}

/// Appends a segment to the file.
fn segment(compress: &mut Compress, plain: &[Bytes], file: &mut Vec<u8>) -> Hasher {
    let mut checksum = Hasher::new();
    compress.reset();
    for (index, part) in plain.iter().enumerate() {
        let is_last = index + 1 == plain.len();
        checksum.update(part);
        deflate(compress, part, if is_last { FlushCompress::Sync } else { FlushCompress::None }, file);
    }
    checksum
}

/// Appends what comes of this input, and tells how far that came.
#[expect(
    clippy::expect_used,
    reason = "deflating fails only for a dictionary that is missing, and there is none"
)]
fn deflate(compress: &mut Compress, mut input: &[u8], flush: FlushCompress, out: &mut Vec<u8>) -> Status {
    loop {
        // Pages shrink to a fifth of their length and less.
        out.reserve(input.len() / 5 + 64);
        let before = compress.total_in();
        let status = compress.compress_vec(input, out, flush).expect("there is no dictionary");
        let taken = usize::try_from(compress.total_in() - before).unwrap_or(input.len());
        input = input.get(taken..).unwrap_or_default();
        // Room that is left over tells that nothing is left to be written.
        if status == Status::StreamEnd || input.is_empty() && out.len() < out.capacity() {
            return status;
        }
    }
}

/// Adds the last blocks of a file, as they are: what they hold is not copied.
fn store(end: &Bytes, parts: &mut Vec<Bytes>) {
    // One at least, if only to say that it is the last.
    for start in (0..end.len().max(1)).step_by(STORED_BYTES_MAX) {
        let block = end.slice(start..end.len().min(start + STORED_BYTES_MAX));
        // RFC 1951, 3.2.4: whether it is the last one, its length, and the complement of that.
        let is_last = u8::from(start + block.len() == end.len());
        let [low, high] = u16::try_from(block.len()).unwrap_or(u16::MAX).to_le_bytes();
        parts.push(Bytes::copy_from_slice(&[is_last, low, high, !low, !high]));
        parts.push(block);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    /// As a reader of one member has it, who wants nothing behind that.
    fn unpacked(gzip: &Gzip, end: &[u8]) -> Vec<u8> {
        let file = gzip.with_end(&Bytes::copy_from_slice(end), &Memory::default()).concat();
        let mut decoder = GzDecoder::new(file.as_slice());
        let mut plain = Vec::new();
        decoder.read_to_end(&mut plain).unwrap();
        assert!(decoder.into_inner().is_empty());
        plain
    }

    fn part(text: &'static str, times: usize) -> Bytes {
        text.repeat(times).into()
    }

    #[test]
    fn a_page_comes_back_whole_whatever_its_parts() {
        let large = vec![part("b 2\n", 40_000), part("c\n", 9), part("d\n", 90_000)];
        for parts in [vec![], vec![part("a 1\n", 3)], large] {
            for end in ["", "e 5\n", &"e 5\n".repeat(100_000)] {
                let expected = [parts.concat(), end.into()].concat();
                assert_eq!(unpacked(&Gzip::new(parts.clone(), None), end.as_bytes()), expected);
            }
        }
    }

    #[test]
    fn an_end_is_compressed_where_that_tells() {
        let noise: String =
            (0..400_000_u64).map(|n| format!("{}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        let page = Gzip::new(vec![noise.clone().into()], None);
        let length = |end: &str| {
            let parts = page.with_end(&Bytes::copy_from_slice(end.as_bytes()), &Memory::default());
            parts[1..].iter().map(Bytes::len).sum::<usize>()
        };
        for end in [String::new(), "e 5\n".into(), "e 5\n".repeat(30_000)] {
            assert_eq!(unpacked(&page, end.as_bytes()), [noise.as_bytes(), end.as_bytes()].concat());
            assert!(length(&end) > end.len(), "as it is");
        }
        let end = "e 5\n".repeat(300_000);
        assert_eq!(unpacked(&page, end.as_bytes()), [noise.as_bytes(), end.as_bytes()].concat());
        assert!(length(&end) < end.len() / 10);
    }

    #[test]
    fn what_did_not_change_keeps_its_segment() {
        let page =
            |middle| vec![part("a 1\n", 20_000), part(middle, 20_000), part("c 3\n", 20_000), part("d\n", 5)];
        let mut before = Gzip::new(page("b 2\n"), None);
        let file = before.file.clone();
        // Such as no compression would make.
        before.file = vec![7; file.len()].into();
        let after = Gzip::new(page("b 3\n"), Some(&before));
        let same = |segment: &Segment| after.file[segment.place.clone()].iter().all(|byte| *byte == 7);
        assert_eq!(after.segments.iter().map(same).collect::<Vec<bool>>(), [true, false, true, true]);
        before.file = file;
        let after = Gzip::new(page("b 3\n"), Some(&before));
        assert_eq!(unpacked(&after, b"e"), [page("b 3\n").concat(), b"e".to_vec()].concat());
    }
}
