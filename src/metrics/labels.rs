//! Labels as a page writes them, escaped once for all the samples that carry them.

use super::lines::Out;

/// The labels of many series, one after the other in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct LabelTable {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl LabelTable {
    /// Adds the labels of a series, of which `common` are already written, and `values` are those of the others.
    pub(super) fn push(&mut self, common: &[u8], names: &[&str], values: &[&str]) {
        write_set(&mut self.text, common, names, values);
        self.ends.push(self.text.len());
    }

    /// All of them, in the order in which they were added.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let labels = &self.text[start..*end];
            start = *end;
            labels
        })
    }
}

/// Writes a set of labels, of which `common` are already written, and `more` are the values of the last `names`.
pub(super) fn write_set(out: &mut impl Out, common: &[u8], names: &[&str], more: &[&str]) {
    out.extend_from_slice(common);
    if !common.is_empty() && !more.is_empty() {
        out.push(b',');
    }
    write_pairs(out, &names[names.len() - more.len()..], more);
}

/// Writes `name="value",name="value"`.
pub(super) fn write_pairs(out: &mut impl Out, names: &[&str], values: &[&str]) {
    for (index, (name, value)) in names.iter().zip(values).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        escape(out, value, true);
        out.push(b'"');
    }
}

/// Writes a text with what the formats escape escaped: quotes in label values, and in OpenMetrics everywhere.
pub(super) fn escape(out: &mut impl Out, text: &str, quotes: bool) {
    let is_special = |byte: u8| byte == b'\\' || byte == b'\n' || (byte == b'"' && quotes);
    let mut rest = text.as_bytes();
    // Hardly any has one. To look at all bytes, whatever the first ones are, is done for many at a time.
    if !rest.iter().fold(false, |found, byte| found | is_special(*byte)) {
        out.extend_from_slice(rest);
        return;
    }
    while let Some(at) = rest.iter().position(|byte| is_special(*byte)) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'\n' => b"\\n",
            b'"' => b"\\\"",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}
