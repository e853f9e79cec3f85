//! A page in both text formats at once. Invariant: a sample has the same name, labels and value in both.

use super::body::{Body, Piece};
use super::labels::write_pairs;
use super::lines::{self, float, seconds};
use super::{Family, Kind};
use crate::clock::UnixMillis;
use crate::ledger::{Exemplar, Histogram};
use crate::mapped::Draft;
use crate::model::Format;

/// The most characters that the labels of an exemplar may have, names included (OpenMetrics 1.0.0, "Exemplars").
const EXEMPLAR_CHARACTERS_MAX: usize = 128;

/// A page that is being written.
pub(super) struct Page {
    out: Draft,
    pieces: Vec<Piece>,
    /// The whole name of the family that is being written.
    name: Vec<u8>,
    /// The one that is written at the moment; `None` where both are the same.
    format: Option<Format>,
    created_timestamps: bool,
}

impl Page {
    /// With room for so many bytes.
    pub(super) fn new(created_timestamps: bool, capacity: usize) -> Self {
        Self {
            out: Draft::with_capacity(capacity),
            pieces: Vec::new(),
            name: Vec::new(),
            format: None,
            created_timestamps,
        }
    }

    /// Writes a family: its HELP and TYPE lines, and the samples that `write` writes, once for each format where they
    /// differ.
    pub(super) fn family(&mut self, family: &Family, write: impl Fn(&mut Self)) {
        self.name = family.name().into_bytes();
        let differ = match family.kind {
            Kind::Gauge => false,
            Kind::Counter => self.created_timestamps,
            Kind::Histogram => true,
        };
        if differ {
            for format in Format::ALL {
                self.begin(Some(format));
                lines::head(&mut self.out, family, format);
                write(self);
            }
        } else {
            for format in Format::ALL {
                self.begin(Some(format));
                lines::head(&mut self.out, family, format);
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

    /// One sample; `labels` are the values of the family's labels, in order.
    pub(super) fn sample(&mut self, family: &Family, labels: &[&str], value: f64) {
        self.sample_of(family, &[], labels, value);
    }

    /// One sample of a series whose first labels are already written; `more` are the values of the last ones.
    pub(super) fn sample_of(&mut self, family: &Family, common: &[u8], more: &[&str], value: f64) {
        debug_assert!(
            family.kind != Kind::Histogram && self.name == family.name().as_bytes(),
            "{}",
            family.name
        );
        self.out.extend_from_slice(&self.name);
        lines::labels(&mut self.out, family, common, more);
        self.value(value).text("\n");
    }

    /// One sample of a series whose labels, of which there are some, are all written already. Inlined, as most samples are such.
    #[inline]
    pub(super) fn sample_with(&mut self, labels: &[u8], value: f64) {
        self.out.extend_from_slice(&self.name);
        self.out.extend_from_slice(b"{");
        self.out.extend_from_slice(labels);
        self.out.extend_from_slice(b"} ");
        lines::value(&mut self.out, value);
        self.out.extend_from_slice(b"\n");
    }

    /// When the counters of a series, or its histogram, were at zero: told where that is asked for, and the format can.
    pub(super) fn created(&mut self, family: &Family, labels: &[&str], at: Option<UnixMillis>) {
        if let (Some(at), Some(Format::OpenMetrics), true) = (at, self.format, self.created_timestamps) {
            lines::series(&mut self.out, family, family.base_name(), "_created", &[], labels);
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
            let bound = bound.map_or(f64::INFINITY, |bound| float(bound.unsigned_abs()));
            lines::bucket(&mut self.out, family, &common, bound);
            self.value(float(count));
            if let (Some(exemplar), Some(Format::OpenMetrics)) = (exemplar, self.format) {
                self.exemplar(exemplar_label, exemplar);
            }
            self.text("\n");
        }
        let totals = [histogram.sum().as_secs_f64(), float(histogram.count())];
        for (suffix, value) in lines::TOTALS.into_iter().zip(totals) {
            lines::series(&mut self.out, family, family.name, suffix, &common, &[]);
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

    /// The whole page.
    pub(super) fn finish(mut self) -> Body {
        self.end_piece();
        Body::new(self.out.finish(), self.pieces)
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.out.extend_from_slice(text.as_bytes());
        self
    }

    fn value(&mut self, value: f64) -> &mut Self {
        lines::value(&mut self.out, value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTER: Family = Family::counter("c_cu_seconds_total", &[], "h");

    fn page(format: Format, created: bool, write: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::new(created, 0);
        write(&mut page);
        String::from_utf8(page.finish().parts(format).concat()).unwrap()
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
        assert_eq!(page(Format::OpenMetrics, true, write), format!("{head}{name}_created 1.5\n"));
        assert_eq!(page(Format::OpenMetrics, false, write), head);
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
