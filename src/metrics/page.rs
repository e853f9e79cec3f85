//! Prometheus text format 0.0.4, written by hand: the `prometheus` crate costs 200 ms for 100,000 series.

use super::family::PREFIX;
use super::{Family, Kind};
use crate::ledger::Histogram;

/// A page that is being written.
#[derive(Default)]
pub(super) struct Page {
    out: Vec<u8>,
    number: ryu::Buffer,
}

impl Page {
    /// Begins a family: its HELP and TYPE lines.
    pub(super) fn family(&mut self, family: &Family) {
        for (keyword, text) in [("HELP", family.help), ("TYPE", family.kind.as_str())] {
            self.text("# ").text(keyword).text(" ").text(PREFIX).text(family.name).text(" ");
            self.escaped(text, false).text("\n");
        }
    }

    /// One sample; `labels` are the values of the family's labels, in order.
    pub(super) fn sample(&mut self, family: &Family, labels: &[&str], value: f64) {
        debug_assert_eq!(labels.len(), family.labels.len(), "{}", family.name);
        debug_assert!(family.kind != Kind::Histogram, "{}", family.name);
        self.text(PREFIX).text(family.name).labels(family, labels, None).value(value);
    }

    /// The samples of one histogram of durations, in seconds.
    pub(super) fn histogram(&mut self, family: &Family, labels: &[&str], histogram: &Histogram) {
        let bounds = histogram.cumulative().map(|(bound, count)| (bound.to_string(), count));
        for (bound, count) in bounds.chain([("+Inf".to_owned(), histogram.count())]) {
            self.text(PREFIX).text(family.name).text("_bucket");
            self.labels(family, labels, Some(&bound)).value(float(count));
        }
        self.text(PREFIX).text(family.name).text("_sum");
        self.labels(family, labels, None).value(histogram.sum().as_secs_f64());
        self.text(PREFIX).text(family.name).text("_count");
        self.labels(family, labels, None).value(float(histogram.count()));
    }

    /// The whole page.
    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.out.extend_from_slice(text.as_bytes());
        self
    }

    fn labels(&mut self, family: &Family, values: &[&str], bound: Option<&str>) -> &mut Self {
        let pairs = family.labels.iter().copied().zip(values.iter().copied()).chain(bound.map(|b| ("le", b)));
        let mut separator = "{";
        for (name, value) in pairs {
            self.text(separator).text(name).text("=\"").escaped(value, true).text("\"");
            separator = ",";
        }
        if separator == "," {
            self.text("}");
        }
        self
    }

    fn escaped(&mut self, text: &str, quotes: bool) -> &mut Self {
        for byte in text.bytes() {
            match byte {
                b'\\' => self.out.extend_from_slice(b"\\\\"),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'"' if quotes => self.out.extend_from_slice(b"\\\""),
                other => self.out.push(other),
            }
        }
        self
    }

    fn value(&mut self, value: f64) {
        self.out.push(b' ');
        let text = if value.is_finite() {
            let text = self.number.format_finite(value);
            text.strip_suffix(".0").unwrap_or(text)
        } else if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        };
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'\n');
    }
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
    use super::*;

    const GAUGE: Family = Family::gauge("g", &["name"], "A \\ and\na line.");

    fn page(write: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::default();
        write(&mut page);
        String::from_utf8(page.finish()).unwrap()
    }

    #[test]
    fn texts_are_escaped_as_the_format_wants() {
        let text = page(|page| {
            page.family(&GAUGE);
            page.sample(&GAUGE, &["a\"b\\c\nd"], 1.5);
        });
        assert_eq!(
            text,
            "# HELP emr_serverless_spark_g A \\\\ and\\na line.\n# TYPE emr_serverless_spark_g gauge\n\
             emr_serverless_spark_g{name=\"a\\\"b\\\\c\\nd\"} 1.5\n"
        );
    }

    #[test]
    fn numbers_are_short_and_never_rust_s_inf() {
        let numbers =
            [0.0, 3.0, 0.1, 1e300, -2.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 9007199254740991.0];
        let text = page(|page| numbers.iter().for_each(|number| page.value(*number)));
        let written: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(written, ["0", "3", "0.1", "1e300", "-2.5", "+Inf", "-Inf", "NaN", "9007199254740991"]);
    }

    #[test]
    fn a_family_without_labels_has_no_braces() {
        const BARE: Family = Family::counter("c_total", &[], "h");
        assert_eq!(page(|page| page.sample(&BARE, &[], 1.0)), "emr_serverless_spark_c_total 1\n");
    }
}
