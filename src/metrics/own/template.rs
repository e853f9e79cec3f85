//! What of a family's text stays the same from scrape to scrape. Invariant: filled in, it is a family as the formats want it.

use std::ops::Range;

use crate::metrics::{Family, lines};
use crate::model::Format;

/// A family's text, in which the values are missing. It lies in one piece: at a scrape, little of it is in the caches.
#[derive(Debug)]
pub(super) struct Template {
    text: Vec<u8>,
    /// Where in it the head for each format is.
    heads: [Range<usize>; Format::ALL.len()],
    /// Where in it a line waits for its value.
    gaps: Vec<usize>,
}

impl Template {
    /// Without any line.
    pub(super) fn new(family: &Family) -> Self {
        let mut text = Vec::new();
        let heads = Format::ALL.map(|format| {
            let start = text.len();
            lines::head(&mut text, family, format);
            start..text.len()
        });
        Self { text, heads, gaps: Vec::new() }
    }

    /// Adds a line, of which all up to its value is written.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.text);
        self.gaps.push(self.text.len());
    }

    /// Writes the head, and returns what writes the lines.
    pub(super) fn begin<'a>(&'a self, format: Format, out: &'a mut Vec<u8>) -> Filling<'a> {
        let place = Format::ALL.iter().position(|known| *known == format).unwrap_or_default();
        out.extend_from_slice(&self.text[self.heads[place].clone()]);
        let written = self.heads.last().map_or(0, |head| head.end);
        Filling { template: self, gaps: self.gaps.iter(), written, out }
    }
}

/// A template whose lines are written, one after the other.
#[derive(Debug)]
pub(super) struct Filling<'a> {
    template: &'a Template,
    gaps: std::slice::Iter<'a, usize>,
    written: usize,
    out: &'a mut Vec<u8>,
}

impl Filling<'_> {
    /// Writes the next line with its value.
    pub(super) fn value(&mut self, value: f64) {
        let Some(gap) = self.gaps.next() else {
            debug_assert!(false, "a value without a line");
            return;
        };
        self.out.extend_from_slice(&self.template.text[self.written..*gap]);
        lines::value(self.out, value);
        self.out.push(b'\n');
        self.written = *gap;
    }

    /// Whether every line has its value.
    pub(super) fn is_whole(&self) -> bool {
        self.gaps.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_gets_its_value_behind_the_head_of_the_format() {
        const FAMILY: Family = Family::counter("c_bytes_total", &["a"], "h");
        let mut template = Template::new(&FAMILY);
        for value in ["x", "y"] {
            template.add(|out| lines::sample(out, &FAMILY, &[], &[value]));
        }
        let [text, open] = Format::ALL.map(|format| {
            let mut out = b"before\n".to_vec();
            let mut filling = template.begin(format, &mut out);
            filling.value(1.0);
            assert!(!filling.is_whole());
            filling.value(2.5);
            assert!(filling.is_whole());
            String::from_utf8(out).unwrap()
        });
        let name = "emr_serverless_spark_c_bytes";
        let samples = format!("{name}_total{{a=\"x\"}} 1\n{name}_total{{a=\"y\"}} 2.5\n");
        let head = format!("before\n# HELP {name}_total h\n# TYPE {name}_total counter\n");
        assert_eq!(text, format!("{head}{samples}"));
        let head = format!("before\n# HELP {name} h\n# TYPE {name} counter\n# UNIT {name} bytes\n");
        assert_eq!(open, format!("{head}{samples}"));
    }
}
