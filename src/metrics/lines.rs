//! The lines of the text formats, written by hand: the `prometheus` crate costs 200 ms for 100,000 series, and knows one of
//! the two.

use super::family::base_unit;
use super::labels::{escape, write_set};
use super::{Family, Kind};
use crate::mapped::Draft;
use crate::model::Format;

/// What lines are written to.
pub(super) trait Out {
    fn extend_from_slice(&mut self, bytes: &[u8]);

    fn push(&mut self, byte: u8) {
        self.extend_from_slice(&[byte]);
    }
}

impl Out for Vec<u8> {
    fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Out for Draft {
    fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// What OpenMetrics wants behind all else.
pub(super) const END: &[u8] = b"# EOF\n";

/// Writes what comes before the samples of a family.
pub(super) fn head(out: &mut impl Out, family: &Family, format: Format) {
    let is_open = format == Format::OpenMetrics;
    let name = if is_open { family.base_name() } else { family.name };
    let unit = base_unit(name).filter(|_| is_open);
    let texts = [("HELP", Some(family.help)), ("TYPE", Some(family.kind.as_str())), ("UNIT", unit)];
    for (keyword, text) in texts {
        let Some(text) = text else { continue };
        for part in ["# ", keyword, " ", family.prefix, name, " "] {
            out.extend_from_slice(part.as_bytes());
        }
        escape(out, text, is_open);
        out.push(b'\n');
    }
}

/// Writes a sample of a gauge or a counter up to its value; see [`series`] for the labels.
pub(super) fn sample(out: &mut impl Out, family: &Family, common: &[u8], more: &[&str]) {
    debug_assert!(family.kind != Kind::Histogram, "{}", family.name);
    series(out, family, family.name, "", common, more);
}

/// Writes a line up to its value. Of the labels, `common` are already written, `more` are the values of the last ones.
pub(super) fn series(
    out: &mut impl Out,
    family: &Family,
    name: &str,
    suffix: &str,
    common: &[u8],
    more: &[&str],
) {
    for part in [family.prefix, name, suffix] {
        out.extend_from_slice(part.as_bytes());
    }
    labels(out, family, common, more);
}

/// Writes what a line has between its name and its value; see [`series`].
pub(super) fn labels(out: &mut impl Out, family: &Family, common: &[u8], more: &[&str]) {
    if common.is_empty() && more.is_empty() {
        out.push(b' ');
        return;
    }
    out.push(b'{');
    write_set(out, common, family.labels, more);
    out.extend_from_slice(b"} ");
}

/// Writes a bucket's line up to its value.
pub(super) fn bucket(out: &mut impl Out, family: &Family, common: &[u8], bound: f64) {
    // As OpenMetrics wants it, in the text format too: a series is the same one, whichever of the two is scraped.
    let mut text = zmij::Buffer::new();
    let bound = if bound.is_finite() { text.format_finite(bound) } else { "+Inf" };
    for part in [family.prefix, family.name, "_bucket{"] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(common);
    for part in [if common.is_empty() { "le=\"" } else { ",le=\"" }, bound, "\"} "] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// The lines of a histogram behind its buckets.
pub(super) const TOTALS: [&str; 2] = ["_sum", "_count"];

/// Writes a sample's value, as short as it can be.
#[expect(clippy::cast_possible_truncation, reason = "what is cut off is looked for")]
#[expect(clippy::cast_precision_loss, reason = "integers of at most 2^53 are exact")]
pub(super) fn value(out: &mut impl Out, value: f64) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let (mut integer, mut number) = (itoa::Buffer::new(), zmij::Buffer::new());
    // Cut to an integer, which a float that is none, or too large, is not.
    let whole = value as i64;
    let text = if whole as f64 == value && value.abs() <= EXACT {
        integer.format(whole)
    } else if let Some(thousandths) = thousandths(value) {
        let digits = integer.format(thousandths).as_bytes();
        let (whole, fraction) = digits.split_at(digits.len() - 3);
        // Put together here, where that costs less than three copies to there.
        let mut text = [0; 24];
        text[..whole.len()].copy_from_slice(whole);
        text[whole.len()] = b'.';
        text[whole.len() + 1..][..3].copy_from_slice(fraction);
        let zeros = fraction.iter().rev().take_while(|digit| **digit == b'0').count();
        out.extend_from_slice(&text[..=digits.len() - zeros]);
        return;
    } else if value.is_finite() {
        let text = number.format_finite(value);
        text.strip_suffix(".0").unwrap_or(text)
    } else if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    };
    out.extend_from_slice(text.as_bytes());
}

/// A value of at least 1 that has at most three decimals, as times have, and CU-seconds now and then, in thousandths. No other
/// number of as few digits is that float, so that these are its shortest text.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is cut off is looked for")]
#[expect(clippy::cast_precision_loss, reason = "integers of at most 15 digits are exact")]
fn thousandths(value: f64) -> Option<u64> {
    const DIGITS_15: u64 = 1_000_000_000_000_000;
    let nearest = (value * 1_000.0 + 0.5) as u64;
    let is_it = (1_000..DIGITS_15).contains(&nearest) && nearest as f64 / 1_000.0 == value;
    is_it.then_some(nearest)
}

/// A count as a sample's value; exact up to 2⁵³.
#[expect(clippy::cast_precision_loss, reason = "samples are floats; counts stay below 2^53")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

/// Unix milliseconds as the seconds that timestamps are exposed in.
#[expect(clippy::cast_precision_loss, reason = "samples are floats; milliseconds stay below 2^53")]
pub(super) fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GAUGE: Family = Family::gauge("g_seconds", &["name", "more"], "A \\ \"and\"\na line.");

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_are_escaped_as_each_format_wants() {
        let text = written(|out| head(out, &GAUGE, Format::Text));
        let help = "# HELP emr_serverless_spark_g_seconds A \\\\ \"and\"\\na line.\n";
        let kind = "# TYPE emr_serverless_spark_g_seconds gauge\n";
        assert_eq!(text, format!("{help}{kind}"));
        let open = written(|out| head(out, &GAUGE, Format::OpenMetrics));
        let help = "# HELP emr_serverless_spark_g_seconds A \\\\ \\\"and\\\"\\na line.\n";
        let unit = "# UNIT emr_serverless_spark_g_seconds seconds\n";
        assert_eq!(open, format!("{help}{kind}{unit}"));
        let line = written(|out| sample(out, &GAUGE, &[], &["a\"b\\c\nd", ""]));
        assert_eq!(line, "emr_serverless_spark_g_seconds{name=\"a\\\"b\\\\c\\nd\",more=\"\"} ");
    }

    #[test]
    fn labels_written_before_and_labels_of_now_are_one_set() {
        let name = "emr_serverless_spark_g_seconds";
        let line = written(|out| sample(out, &GAUGE, b"name=\"x\"", &["y"]));
        assert_eq!(line, format!("{name}{{name=\"x\",more=\"y\"}} "));
        let line = written(|out| sample(out, &GAUGE, b"name=\"x\",more=\"z\"", &[]));
        assert_eq!(line, format!("{name}{{name=\"x\",more=\"z\"}} "));
        assert_eq!(written(|out| sample(out, &GAUGE, &[], &[])), format!("{name} "));
    }

    #[test]
    fn numbers_are_short_and_never_rust_s_inf() {
        let expected = [
            (0.0, "0"),
            (3.0, "3"),
            (0.1, "0.1"),
            (1e300, "1e+300"),
            (-2.5, "-2.5"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (-7.0, "-7"),
            (1e16, "1e+16"),
            (1e-7, "1e-7"),
        ];
        for (number, text) in expected {
            assert_eq!(written(|out| value(out, number)), text);
        }
    }

    proptest! {
        #[test]
        fn numbers_of_few_decimals_are_as_short_as_all_others(
            number in prop_oneof![
                any::<f64>(),
                (-1_000_000_000_000_000_i64..10_000_000_000_000_000).prop_map(|n| n as f64 / 1_000.0),
                (0_i64..100_000_000).prop_map(|n| n as f64 / 10_000.0),
                // Beside one of few.
                (0_i64..2_000_000_000_000_000).prop_map(|n| (n as f64 / 1_000.0).next_up()),
            ],
        ) {
            prop_assume!(number != 0.0);
            let mut text = zmij::Buffer::new();
            let text = text.format_finite(number);
            prop_assert_eq!(written(|out| value(out, number)), text.strip_suffix(".0").unwrap_or(text));
        }
    }
}
