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

    /// Writes the head and the lines, filled in with these values in their order.
    pub(super) fn write(&self, format: Format, values: &[f64], out: &mut Vec<u8>) {
        debug_assert_eq!(values.len(), self.gaps.len(), "a value for each line");
        let place = Format::ALL.iter().position(|known| *known == format).unwrap_or_default();
        out.extend_from_slice(&self.text[self.heads[place].clone()]);
        let mut written = self.heads.last().map_or(0, |head| head.end);
        for (gap, value) in self.gaps.iter().zip(values) {
            out.extend_from_slice(&self.text[written..*gap]);
            lines::value(out, *value);
            out.push(b'\n');
            written = *gap;
        }
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
            template.write(format, &[1.0, 2.5], &mut out);
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
