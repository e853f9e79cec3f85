//! Compressed pages: one gzip member (RFC 1952) of deflated segments, the last of which is made for each scrape. Several
//! members would be simpler, but curl reads only the first. Invariant: what did not change since the page before is not
//! compressed again.

use std::io::Write;

use bytes::Bytes;
use crc32fast::Hasher;
use flate2::Compression;
use flate2::write::DeflateEncoder;

/// A segment holds whole parts of a page, at least this many bytes of them: small ones compress badly alone.
const SEGMENT_BYTES_MIN: usize = 64 * 1024;
/// Of zlib-rs, the fastest one.
const LEVEL: Compression = Compression::new(1);
/// Deflate, no name, no time, from whatever system.
const HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// A compressed page that lacks its end.
#[derive(Debug, Default)]
pub struct Gzip {
    segments: Vec<Segment>,
    /// Of all of them, and how many bytes that is.
    checksum: Hasher,
    length: usize,
}

#[derive(Debug)]
struct Segment {
    /// What it holds, in memory that the page has anyway.
    plain: Vec<Bytes>,
    checksum: Hasher,
    /// Blocks that refer to no other segment and end at a whole byte, none of them marked as the last.
    deflated: Bytes,
}

impl Gzip {
    /// Compresses the parts of a page; `before` is the page before, in the same format.
    pub fn new(parts: Vec<Bytes>, before: Option<&Self>) -> Self {
        let mut gzip = Self::default();
        let mut plain = Vec::new();
        let mut parts = parts.into_iter().peekable();
        while let Some(part) = parts.next() {
            plain.push(part);
            if plain.iter().map(Bytes::len).sum::<usize>() >= SEGMENT_BYTES_MIN || parts.peek().is_none() {
                let plain = std::mem::take(&mut plain);
                let known = before.and_then(|gzip| gzip.segments.iter().find(|known| known.plain == plain));
                let (checksum, deflated) = match known {
                    Some(known) => (known.checksum.clone(), known.deflated.clone()),
                    None => segment(&plain),
                };
                gzip.checksum.combine(&checksum);
                gzip.length += plain.iter().map(Bytes::len).sum::<usize>();
                gzip.segments.push(Segment { plain, checksum, deflated });
            }
        }
        gzip
    }

    /// The whole file, in parts: the page, and `end` behind it.
    pub fn with_end(&self, end: &[u8]) -> Vec<Bytes> {
        let mut parts = vec![Bytes::from_static(HEADER)];
        parts.extend(self.segments.iter().map(|segment| segment.deflated.clone()));
        let mut encoder = DeflateEncoder::new(Vec::with_capacity(end.len() / 4 + 64), LEVEL);
        write(&mut encoder, end);
        let mut last = in_memory(encoder.finish());
        let mut checksum = self.checksum.clone();
        let mut of_end = Hasher::new();
        of_end.update(end);
        checksum.combine(&of_end);
        last.extend_from_slice(&checksum.finalize().to_le_bytes());
        // The length is told modulo 2^32.
        let length = ((self.length + end.len()) & 0xffff_ffff).to_le_bytes();
        last.extend_from_slice(&length[..4]);
        parts.push(last.into());
        parts
    }
}

fn segment(plain: &[Bytes]) -> (Hasher, Bytes) {
    let length: usize = plain.iter().map(Bytes::len).sum();
    let mut checksum = Hasher::new();
    // Pages shrink to a fifth of their length and less.
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(length / 5 + 64), LEVEL);
    for part in plain {
        checksum.update(part);
        write(&mut encoder, part);
    }
    in_memory(encoder.flush());
    (checksum, std::mem::take(encoder.get_mut()).into_boxed_slice().into())
}

fn write(encoder: &mut DeflateEncoder<Vec<u8>>, part: &[u8]) {
    in_memory(encoder.write_all(part));
}

#[expect(clippy::expect_used, reason = "the encoder writes into memory")]
fn in_memory<T>(result: std::io::Result<T>) -> T {
    result.expect("memory takes what is written")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    /// As a reader of one member has it, who wants nothing behind that.
    fn unpacked(gzip: &Gzip, end: &[u8]) -> Vec<u8> {
        let file = gzip.with_end(end).concat();
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
            for end in ["", "e 5\n"] {
                let expected = [parts.concat(), end.into()].concat();
                assert_eq!(unpacked(&Gzip::new(parts.clone(), None), end.as_bytes()), expected);
            }
        }
    }

    #[test]
    fn what_did_not_change_keeps_its_segment() {
        let page =
            |middle| vec![part("a 1\n", 20_000), part(middle, 20_000), part("c 3\n", 20_000), part("d\n", 5)];
        let before = Gzip::new(page("b 2\n"), None);
        let after = Gzip::new(page("b 3\n"), Some(&before));
        let pairs = before.segments.iter().zip(&after.segments);
        let same: Vec<bool> = pairs.map(|(a, b)| a.deflated.as_ptr() == b.deflated.as_ptr()).collect();
        assert_eq!(same, [true, false, true, true]);
        assert_eq!(unpacked(&after, b"e"), [page("b 3\n").concat(), b"e".to_vec()].concat());
    }
}
