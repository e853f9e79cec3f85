//! The text formats, written by hand: the `prometheus` crate costs 200 ms for 100,000 series, and knows one of the two.
//! Invariant: a sample has the same name, labels and value in both.

use super::body::{Body, Piece};
use super::family::base_unit;
use super::labels::{escape, write_pairs};
use super::{Family, Kind};
use crate::clock::UnixMillis;
use crate::ledger::{Exemplar, Histogram};
use crate::model::Format;

/// The most characters that the labels of an exemplar may have, names included (OpenMetrics 1.0.0, "Exemplars").
const EXEMPLAR_CHARACTERS_MAX: usize = 128;

/// A page that is being written.
pub(super) struct Page {
    out: Vec<u8>,
    pieces: Vec<Piece>,
    /// Which formats are wanted.
    formats: &'static [Format],
    /// The one that is written at the moment; `None` where both are the same.
    format: Option<Format>,
    created_timestamps: bool,
    number: ryu::Buffer,
    integer: itoa::Buffer,
}

impl Page {
    /// In this format alone, with room for so many bytes.
    pub(super) fn alone(format: Format, capacity: usize) -> Self {
        Self::new(
            match format {
                Format::Text => &[Format::Text],
                Format::OpenMetrics => &[Format::OpenMetrics],
            },
            false,
            capacity,
        )
    }

    /// In these formats, with room for so many bytes.
    pub(super) fn new(formats: &'static [Format], created_timestamps: bool, capacity: usize) -> Self {
        Self {
            out: Vec::with_capacity(capacity),
            pieces: Vec::new(),
            formats,
            format: None,
            created_timestamps,
            number: ryu::Buffer::new(),
            integer: itoa::Buffer::new(),
        }
    }

    /// Writes a family: its HELP and TYPE lines, and the samples that `write` writes, once for each format where they
    /// differ.
    pub(super) fn family(&mut self, family: &Family, write: impl Fn(&mut Self)) {
        let differ = match family.kind {
            Kind::Gauge => false,
            Kind::Counter => self.created_timestamps,
            Kind::Histogram => true,
        };
        if differ {
            for format in self.formats {
                self.begin(Some(*format));
                self.head(family, *format);
                write(self);
            }
        } else {
            for format in self.formats {
                self.begin(Some(*format));
                self.head(family, *format);
            }
            self.begin(None);
            write(self);
        }
    }

    /// What comes now is of one format alone, or of both.
    fn begin(&mut self, format: Option<Format>) {
        self.end_piece();
        self.format = format;
    }

    fn end_piece(&mut self) {
        let start = self.pieces.last().map_or(0, |(range, _)| range.end);
        self.pieces.push((start..self.out.len(), self.format));
    }

    fn head(&mut self, family: &Family, format: Format) {
        let is_open = format == Format::OpenMetrics;
        let name = if is_open { family.base_name() } else { family.name };
        let unit = base_unit(name).filter(|_| is_open);
        let texts = [("HELP", Some(family.help)), ("TYPE", Some(family.kind.as_str())), ("UNIT", unit)];
        for (keyword, text) in texts {
            let Some(text) = text else { continue };
            self.text("# ").text(keyword).text(" ").text(family.prefix).text(name).text(" ");
            escape(&mut self.out, text, is_open);
            self.out.push(b'\n');
        }
    }

    /// One sample; `labels` are the values of the family's labels, in order.
    pub(super) fn sample(&mut self, family: &Family, labels: &[&str], value: f64) {
        self.sample_of(family, &[], labels, value);
    }

    /// One sample of a series whose first labels are already written; `more` are the values of the last ones.
    pub(super) fn sample_of(&mut self, family: &Family, common: &[u8], more: &[&str], value: f64) {
        debug_assert!(family.kind != Kind::Histogram, "{}", family.name);
        self.series(family, family.name, "", common, more);
        self.out.push(b' ');
        self.value(value).text("\n");
    }

    /// When the counters of a series, or its histogram, were at zero: told where that is asked for, and the format can.
    pub(super) fn created(&mut self, family: &Family, labels: &[&str], at: Option<UnixMillis>) {
        if let (Some(at), Some(Format::OpenMetrics), true) = (at, self.format, self.created_timestamps) {
            self.series(family, family.base_name(), "_created", &[], labels);
            self.out.push(b' ');
            self.value(seconds(at)).text("\n");
        }
    }

    /// The samples of one histogram of durations, in seconds; what an exemplar names is called `exemplar_label`.
    pub(super) fn durations(
        &mut self,
        family: &Family,
        labels: &[&str],
        histogram: &Histogram,
        exemplar_label: &str,
    ) {
        let mut common = Vec::new();
        write_pairs(&mut common, family.labels, labels);
        for (bound, count, exemplar) in histogram.cumulative() {
            self.bucket(
                family,
                &common,
                bound.map_or(f64::INFINITY, |bound| float(bound.unsigned_abs())),
                count,
            );
            if let (Some(exemplar), Some(Format::OpenMetrics)) = (exemplar, self.format) {
                self.exemplar(exemplar_label, exemplar);
            }
            self.text("\n");
        }
        self.totals(family, &common, histogram.sum().as_secs_f64(), histogram.count());
    }

    /// A bucket without the end of its line.
    pub(super) fn bucket(&mut self, family: &Family, common: &[u8], bound: f64, count: u64) -> &mut Self {
        // As OpenMetrics wants it, in the text format too: a series is the same one, whichever of the two is scraped.
        let mut bound_text = ryu::Buffer::new();
        let bound = if bound.is_finite() { bound_text.format_finite(bound) } else { "+Inf" };
        self.text(family.prefix).text(family.name).text("_bucket{");
        self.out.extend_from_slice(common);
        self.text(if common.is_empty() { "le=\"" } else { ",le=\"" }).text(bound).text("\"} ");
        self.value(float(count))
    }

    /// Ends a line.
    pub(super) fn end_line(&mut self) {
        self.out.push(b'\n');
    }

    /// The last samples of a histogram.
    pub(super) fn totals(&mut self, family: &Family, common: &[u8], sum: f64, count: u64) {
        for (suffix, value) in [("_sum", sum), ("_count", float(count))] {
            self.series(family, family.name, suffix, common, &[]);
            self.out.push(b' ');
            self.value(value).text("\n");
        }
    }

    fn exemplar(&mut self, label: &str, exemplar: &Exemplar) {
        if label.chars().count() + exemplar.id.chars().count() > EXEMPLAR_CHARACTERS_MAX {
            return;
        }
        self.text(" # {");
        write_pairs(&mut self.out, &[label], &[&exemplar.id]);
        self.text("} ");
        self.value(exemplar.duration.as_secs_f64()).text(" ").value(seconds(exemplar.at));
    }

    /// Ends what OpenMetrics wants ended.
    pub(super) fn end(&mut self) {
        for format in self.formats.iter().filter(|format| **format == Format::OpenMetrics) {
            self.begin(Some(*format));
            self.text("# EOF\n");
        }
    }

    /// The whole page.
    pub(super) fn finish(mut self) -> Body {
        self.end_piece();
        Body::new(self.out, self.pieces)
    }

    /// The page where one format alone is wanted.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.out.extend_from_slice(text.as_bytes());
        self
    }

    fn series(&mut self, family: &Family, name: &str, suffix: &str, common: &[u8], more: &[&str]) {
        self.text(family.prefix).text(name).text(suffix);
        if common.is_empty() && more.is_empty() {
            return;
        }
        let names = &family.labels[family.labels.len() - more.len()..];
        self.out.push(b'{');
        self.out.extend_from_slice(common);
        if !common.is_empty() && !more.is_empty() {
            self.out.push(b',');
        }
        write_pairs(&mut self.out, names, more);
        self.out.push(b'}');
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "only where the number is an integer of at most 2^53"
    )]
    fn value(&mut self, value: f64) -> &mut Self {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let text = if value.abs() <= EXACT && value.trunc() == value {
            self.integer.format(value as i64)
        } else if value.is_finite() {
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
        self
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

    const GAUGE: Family = Family::gauge("g_seconds", &["name", "more"], "A \\ \"and\"\na line.");
    const COUNTER: Family = Family::counter("c_cu_seconds_total", &[], "h");

    fn page(format: Format, created: bool, write: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::new(&Format::ALL, created, 0);
        write(&mut page);
        page.end();
        String::from_utf8(page.finish().parts(format).concat()).unwrap()
    }

    fn gauge(page: &mut Page) {
        page.family(&GAUGE, |page| page.sample(&GAUGE, &["a\"b\\c\nd", ""], 1.5));
    }

    #[test]
    fn texts_are_escaped_as_each_format_wants() {
        let sample = "emr_serverless_spark_g_seconds{name=\"a\\\"b\\\\c\\nd\",more=\"\"} 1.5\n";
        let head = "# HELP emr_serverless_spark_g_seconds A \\\\ \"and\"\\na line.\n# TYPE emr_serverless_spark_g_seconds gauge\n";
        assert_eq!(page(Format::Text, false, gauge), format!("{head}{sample}"));
        let head = "# HELP emr_serverless_spark_g_seconds A \\\\ \\\"and\\\"\\na line.\n# TYPE emr_serverless_spark_g_seconds gauge\n\
                    # UNIT emr_serverless_spark_g_seconds seconds\n";
        assert_eq!(page(Format::OpenMetrics, false, gauge), format!("{head}{sample}# EOF\n"));
    }

    #[test]
    fn labels_written_before_and_labels_of_now_are_one_set() {
        let text = page(Format::Text, false, |page| {
            page.sample_of(&GAUGE, b"name=\"x\"", &["y"], 2.0);
            page.sample_of(&GAUGE, b"name=\"x\",more=\"z\"", &[], 3.0);
        });
        let name = "emr_serverless_spark_g_seconds";
        assert_eq!(text, format!("{name}{{name=\"x\",more=\"y\"}} 2\n{name}{{name=\"x\",more=\"z\"}} 3\n"));
    }

    #[test]
    fn numbers_are_short_and_never_rust_s_inf() {
        let (large, tiny) = (9_007_199_254_740_991.0, 1e-7);
        let numbers =
            [0.0, 3.0, 0.1, 1e300, -2.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, large, -7.0, 1e16, tiny];
        let text = page(Format::Text, false, |page| {
            numbers.iter().for_each(|number| page.value(*number).end_line());
        });
        let written: Vec<&str> = text.split_whitespace().collect();
        let expected = [
            "0",
            "3",
            "0.1",
            "1e300",
            "-2.5",
            "+Inf",
            "-Inf",
            "NaN",
            "9007199254740991",
            "-7",
            "1e16",
            "1e-7",
        ];
        assert_eq!(written, expected);
    }

    #[test]
    fn a_counter_is_called_and_dated_as_each_format_wants() {
        let write = |page: &mut Page| {
            page.family(&COUNTER, |page| {
                page.sample(&COUNTER, &[], 1.0);
                page.created(&COUNTER, &[], Some(1_500));
            });
        };
        let name = "emr_serverless_spark_c_cu_seconds";
        let text = format!("# HELP {name}_total h\n# TYPE {name}_total counter\n{name}_total 1\n");
        let head =
            format!("# HELP {name} h\n# TYPE {name} counter\n# UNIT {name} cu_seconds\n{name}_total 1\n");
        assert_eq!(page(Format::Text, true, write), text);
        assert_eq!(page(Format::OpenMetrics, true, write), format!("{head}{name}_created 1.5\n# EOF\n"));
        assert_eq!(page(Format::OpenMetrics, false, write), format!("{head}# EOF\n"));
    }

    #[test]
    fn an_exemplar_that_is_too_long_is_left_out() {
        let exemplar = |length: usize| Exemplar {
            id: "é".repeat(length).into(),
            duration: std::time::Duration::from_millis(67_250),
            at: 2_000,
        };
        let text = page(Format::Text, false, |page| page.exemplar("session_id", &exemplar(118)));
        assert_eq!(text, format!(" # {{session_id=\"{}\"}} 67.25 2", "é".repeat(118)));
        assert_eq!(page(Format::Text, false, |page| page.exemplar("session_id", &exemplar(119))), "");
    }
}
