//! Opaque paging tokens: base64 that now and then holds `+` and `/` and always ends in `=`, as an opaque text may.
//! Invariant: a token is a function of its list and its offset, and belongs to that list alone.

use super::world::draw;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The token of a list (`key`) at an offset.
pub(crate) fn encode(key: u64, offset: u32) -> String {
    let check = draw(key, 0x61, u64::from(offset)).to_be_bytes();
    let masked = (offset ^ mask(key)).to_be_bytes();
    let mut bytes = [0; 10];
    bytes[..4].copy_from_slice(&masked);
    bytes[4..].copy_from_slice(&check[..6]);
    base64(&bytes)
}

/// The offset that a token stands for, where it is one of this list.
pub(crate) fn decode(key: u64, token: &str) -> Option<u32> {
    let mut bits: u64 = 0;
    for symbol in token.bytes().take(6) {
        let value = ALPHABET.iter().position(|a| *a == symbol)?;
        bits = bits << 6 | u64::try_from(value).ok()?;
    }
    // Six symbols are 36 bits; the offset is the first 32 of them. The rest is compared.
    let offset = u32::try_from(bits >> 4).ok()? ^ mask(key);
    (encode(key, offset) == token).then_some(offset)
}

const fn mask(key: u64) -> u32 {
    (draw(key, 0x62, 0) >> 32) as u32
}

fn base64(bytes: &[u8]) -> String {
    let symbol = |bits: u32, shift: u32| char::from(ALPHABET[(bits >> shift & 63) as usize]);
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        text.extend([symbol(bits, 18), symbol(bits, 12)]);
        text.push(if chunk.len() > 1 { symbol(bits, 6) } else { '=' });
        text.push(if chunk.len() > 2 { symbol(bits, 0) } else { '=' });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_and_belong_to_one_list() {
        let mut plus_or_slash = 0;
        for offset in (0..10_000).chain([u32::MAX]) {
            let token = encode(7, offset);
            assert_eq!(decode(7, &token), Some(offset));
            assert_eq!(decode(8, &token), None);
            assert!(token.ends_with("=="));
            plus_or_slash += u32::from(token.contains(['+', '/']));
        }
        assert!((1_000..6_000).contains(&plus_or_slash), "{plus_or_slash}");
        for token in ["", "20", "AAAAAAAAAAAAAA==", "é"] {
            assert_eq!(decode(7, token), None, "{token}");
        }
        assert_eq!(base64(b"sim-ok+"), "c2ltLW9rKw==");
        assert_eq!(base64(b"sim-ok+1"), "c2ltLW9rKzE=");
    }
}
