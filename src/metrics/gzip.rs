//! Compressed pages: gzip members one after the other, as RFC 1952 has it. Invariant: what did not change since the page
//! before is not compressed again.

use std::io::Write;

use bytes::Bytes;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

/// A member holds whole parts of a page, at least this many bytes of them: small ones compress badly alone.
const MEMBER_BYTES_MIN: usize = 64 * 1024;
/// Of zlib-rs. The next one takes half as long again for a tenth less.
const LEVEL: u32 = 1;

/// A compressed page.
#[derive(Debug, Default)]
pub struct Gzip(Vec<Member>);

#[derive(Debug)]
struct Member {
    /// What it holds, in memory that the page has anyway.
    plain: Vec<Bytes>,
    compressed: Bytes,
}

impl Gzip {
    /// Compresses the parts of a page; `before` is the page before, in the same format.
    pub fn new(parts: Vec<Bytes>, before: Option<&Self>) -> Self {
        let mut members = Vec::new();
        let mut plain = Vec::new();
        let mut parts = parts.into_iter().peekable();
        while let Some(part) = parts.next() {
            plain.push(part);
            if plain.iter().map(Bytes::len).sum::<usize>() >= MEMBER_BYTES_MIN || parts.peek().is_none() {
                let plain = std::mem::take(&mut plain);
                let known = before.and_then(|gzip| gzip.0.iter().find(|member| member.plain == plain));
                let compressed = known.map_or_else(|| member(&plain), |member| member.compressed.clone());
                members.push(Member { plain, compressed });
            }
        }
        Self(members)
    }

    /// The members.
    pub fn parts(&self) -> impl Iterator<Item = Bytes> {
        self.0.iter().map(|member| member.compressed.clone())
    }
}

/// One gzip member of these bytes.
pub fn member(plain: &[Bytes]) -> Bytes {
    let length: usize = plain.iter().map(Bytes::len).sum();
    // Pages shrink to a sixth of their length and less.
    let out = Vec::with_capacity(length / 5 + 64);
    let mut encoder: GzEncoder<Vec<u8>> = GzBuilder::new().write(out, Compression::new(LEVEL));
    for part in plain {
        write(&mut encoder, part);
    }
    finish(encoder).into_boxed_slice().into()
}

#[expect(clippy::expect_used, reason = "the encoder writes into memory")]
fn write(encoder: &mut GzEncoder<Vec<u8>>, part: &[u8]) {
    encoder.write_all(part).expect("memory takes what is written");
}

#[expect(clippy::expect_used, reason = "the encoder writes into memory")]
fn finish(encoder: GzEncoder<Vec<u8>>) -> Vec<u8> {
    encoder.finish().expect("memory takes what is written")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;

    use super::*;

    fn unpacked(gzip: &Gzip) -> Vec<u8> {
        let members: Vec<u8> = gzip.parts().flatten().collect();
        let mut plain = Vec::new();
        MultiGzDecoder::new(members.as_slice()).read_to_end(&mut plain).unwrap();
        plain
    }

    fn part(text: &'static str, times: usize) -> Bytes {
        text.repeat(times).into()
    }

    #[test]
    fn a_page_comes_back_whole_whatever_its_parts() {
        for parts in
            [vec![], vec![part("a 1\n", 3)], vec![part("b 2\n", 40_000), part("c\n", 9), part("d\n", 90_000)]]
        {
            assert_eq!(unpacked(&Gzip::new(parts.clone(), None)), parts.concat());
        }
    }

    #[test]
    fn what_did_not_change_keeps_its_member() {
        let page =
            |middle| vec![part("a 1\n", 20_000), part(middle, 20_000), part("c 3\n", 20_000), part("d\n", 5)];
        let before = Gzip::new(page("b 2\n"), None);
        let after = Gzip::new(page("b 3\n"), Some(&before));
        let same: Vec<bool> =
            before.parts().zip(after.parts()).map(|(a, b)| a.as_ptr() == b.as_ptr()).collect();
        assert_eq!(same, [true, false, true, true]);
        assert_eq!(unpacked(&after), page("b 3\n").concat());
    }
}
