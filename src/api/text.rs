//! Foreign text made fit for one line of a log. Invariant: no control characters, a bounded length.

use std::error::Error;

/// The longest message of the service that an error repeats, in characters.
pub const MESSAGE_CHARS_MAX: usize = 300;

/// An error and what caused it, without repetitions, made safe to print.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        source = error.source();
    }
    printable(&text, MESSAGE_CHARS_MAX)
}

/// A foreign text in one line: control characters become blanks, runs of blanks one, the rest is cut off.
pub(super) fn printable(text: &str, chars_max: usize) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let room = chars_max.saturating_sub(line.chars().count());
        if room < 2 && !line.is_empty() {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().take(chars_max.saturating_sub(line.chars().count())));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_tamed() {
        assert_eq!(printable("a\r\n\tb\u{1b}[31m  c\0", 300), "a b [31m c");
        assert_eq!(printable(&"数".repeat(1000), 300).chars().count(), 300);
        assert_eq!(printable("ab cd ef", 5), "ab cd");
        assert_eq!(printable("ab cd", 3), "ab");
        assert_eq!(printable(&"x ".repeat(1000), 300).chars().count(), 299);
    }
}
