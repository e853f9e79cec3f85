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

/// How many bytes of a text are escaped in label values.
pub(super) fn specials(text: &[u8]) -> usize {
    // So few at a time that a byte can count them: many of those are added at once.
    const FEW: usize = 192;
    let count = |few: &[u8]| few.iter().fold(0_u8, |count, byte| count + u8::from(is_special(*byte, true)));
    text.chunks(FEW).map(|few| usize::from(count(few))).sum()
}

fn is_special(byte: u8, quotes: bool) -> bool {
    byte == b'\\' || byte == b'\n' || (byte == b'"' && quotes)
}

/// Writes a text with what the formats escape escaped: quotes in label values, and in OpenMetrics everywhere.
pub(super) fn escape(out: &mut impl Out, text: &str, quotes: bool) {
    let mut rest = text.as_bytes();
    // Hardly any has one. To look at all bytes, whatever the first ones are, is done for many at a time.
    if !rest.iter().fold(false, |found, byte| found | is_special(*byte, quotes)) {
        out.extend_from_slice(rest);
        return;
    }
    while let Some(at) = rest.iter().position(|byte| is_special(*byte, quotes)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_escaped_is_counted() {
        assert_eq!(specials(&[b'"'; 1_000]), 1_000);
        let text = |special: &str| format!("{}{special}{}", "a".repeat(300), "b".repeat(500)).into_bytes();
        assert_eq!(["", "\\", "\n", "\"", "\\\n\""].map(|special| specials(&text(special))), [0, 1, 1, 1, 3]);
    }
}
