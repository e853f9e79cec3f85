//! Decimal numbers from their digits. Invariant: integers all the way, so that nothing is lost to a float.

/// A number, scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scaled {
    /// The number × 10^decimals, rounded half away from zero.
    pub(super) value: i64,
    /// Whether nothing was rounded off.
    pub(super) exact: bool,
}

/// Significant digits that are kept: all of a 64-bit integer and of any decimals that matter to its rounding.
const DIGITS_MAX: u32 = 36;

/// The number that `text` spells in JSON's manner (`-12`, `3.50`, `1e3`; a leading `+` or zeros too), × 10^`decimals`.
/// `None` where it spells none, or one out of the range of 64 bits.
pub(super) fn scaled(text: &str, decimals: u32) -> Option<Scaled> {
    if let Some(value) = short(text, decimals) {
        return Some(Scaled { value, exact: true });
    }
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (number, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || (fraction.is_empty() && number.len() > whole.len()) {
        return None;
    }

    let (mut mantissa, mut kept, mut dropped, mut exact) = (0_u128, 0, 0_i64, true);
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        if kept < DIGITS_MAX {
            mantissa = mantissa * 10 + u128::from(digit - b'0');
            kept += u32::from(mantissa > 0);
        } else {
            dropped += 1;
            exact &= digit == b'0';
        }
    }
    let places = i64::try_from(fraction.len()).ok()?;
    let power = exponent.saturating_add(dropped).saturating_sub(places).saturating_add(i64::from(decimals));
    let (magnitude, nothing_cut) = shifted(mantissa, power)?;
    let value = i64::try_from(magnitude).ok()?;
    Some(Scaled { value: if negative { -value } else { value }, exact: exact && nothing_cut })
}

/// The quick way for what nearly every number is: few digits, perhaps a point, nothing to round. `None` for the rest.
fn short(text: &str, decimals: u32) -> Option<i64> {
    let (mut mantissa, mut places) = (0_i64, None);
    if text.len() > 18 {
        return None;
    }
    for byte in text.bytes() {
        match (byte, &mut places) {
            (b'0'..=b'9', places) => {
                mantissa = mantissa * 10 + i64::from(byte - b'0');
                *places = places.map(|n| n + 1);
            }
            (b'.', places @ None) => *places = Some(0),
            _ => return None,
        }
    }
    if text.starts_with('.') || matches!(places, Some(0)) || text.is_empty() {
        return None;
    }
    mantissa.checked_mul(10_i64.checked_pow(decimals.checked_sub(places.unwrap_or(0))?)?)
}

/// `mantissa` × 10^`power`, rounded half up, and whether it was exact.
fn shifted(mantissa: u128, power: i64) -> Option<(u128, bool)> {
    if mantissa == 0 {
        return Some((0, true));
    }
    let ten_to = u32::try_from(power.unsigned_abs()).ok().and_then(|p| 10_u128.checked_pow(p));
    if power >= 0 {
        return Some((mantissa.checked_mul(ten_to?)?, true));
    }
    // A divisor beyond 128 bits leaves less than a half of any mantissa of 36 digits.
    let Some(divisor) = ten_to else { return Some((0, false)) };
    let (quotient, rest) = (mantissa / divisor, mantissa % divisor);
    Some((quotient + u128::from(rest >= divisor.div_ceil(2)), rest == 0))
}

/// The digits behind the `e`, capped far beyond what any number in range can bear.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let magnitude = digits.parse().unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exact(text: &str, decimals: u32) -> Option<i64> {
        scaled(text, decimals).map(|s| {
            assert!(s.exact, "{text}");
            s.value
        })
    }

    #[test]
    fn spellings_of_numbers() {
        for (text, value) in [
            ("0", 0),
            ("-0.0", 0),
            ("343", 343),
            ("343.0", 343),
            ("343.000000000000000000000000000000000000000000000", 343),
            ("+0343", 343),
            ("-12", -12),
            ("1e3", 1000),
            ("1.5E+2", 150),
            ("1500e-2", 15),
            ("0e999999999999999999999", 0),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(exact(text, 0), Some(value), "{text}");
        }
        assert_eq!(exact("322.5", 9), Some(322_500_000_000));
        assert_eq!(exact("99999999.999999999", 9), Some(99_999_999_999_999_999));
    }

    #[test]
    fn what_is_no_number_or_out_of_range_is_none() {
        for text in [
            "",
            "-",
            "+",
            ".",
            "1.",
            ".5",
            "1e",
            "e5",
            "1e+",
            "1e5x",
            "--1",
            "1,2",
            "0x10",
            "NaN",
            "inf",
            "1 2",
            "١",
            "1e999",
            "9223372036854775808",
            "1e99999999999999999999",
        ] {
            assert_eq!(scaled(text, 0), None, "{text}");
        }
    }

    #[test]
    fn halves_round_up_and_are_told() {
        let rounded = |text| scaled(text, 9).map(|s| (s.value, s.exact));
        assert_eq!(rounded("0.0000000005"), Some((1, false)));
        assert_eq!(rounded("0.00000000049999999999999999999999999999999999999999999"), Some((0, false)));
        assert_eq!(rounded("0.30000000000000004"), Some((300_000_000, false)));
        assert_eq!(rounded("4.9e-324"), Some((0, false)));
        assert_eq!(rounded("1e-999999999999999999999"), Some((0, false)));
    }

    proptest! {
        #[test]
        fn digits_come_back_exactly(nano in 0_i64..=100_000_000_000_000_000) {
            let text = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
            prop_assert_eq!(exact(&text, 9), Some(nano));
        }

        #[test]
        fn the_quick_way_and_the_long_one_agree(text in "[0-9]{0,12}(\\.[0-9]{0,12})?", decimals in 0_u32..12) {
            // A plus sign sends the same digits the long way.
            prop_assert_eq!(scaled(&text, decimals), scaled(&format!("+{text}"), decimals));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9.eE]{0,60}", decimals in 0_u32..12) {
            let _ = scaled(&text, decimals);
        }
    }
}
