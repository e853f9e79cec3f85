//! Values as people read them. Invariant: what is not the program's own text gets onto a page by way of [`Escaped`].

use std::fmt::{self, Display, Formatter, Write};

use crate::clock::UnixMillis;

/// What a function writes.
pub(crate) struct Written<F>(F);

/// Displays what `write` writes.
pub(crate) fn written<F: Fn(&mut Formatter<'_>) -> fmt::Result>(write: F) -> Written<F> {
    Written(write)
}

impl<F: Fn(&mut Formatter<'_>) -> fmt::Result> Display for Written<F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

/// Text in HTML, between tags or in a quoted attribute.
pub(crate) struct Escaped<T>(pub(crate) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

/// Escapes what is written through it.
struct Escaping<'a, 'b>(&'a mut Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                // A name that turns the direction of writing would turn what stands beside it.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
                    self.0.write_char('\u{fffd}')?;
                }
                c if c.is_control() && c != '\n' => self.0.write_char('\u{fffd}')?,
                other => self.0.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A name of at most so many characters.
pub(crate) struct Short<'a>(pub(crate) &'a str);

const CHARACTERS_MAX: usize = 64;

impl Display for Short<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(CHARACTERS_MAX) {
            Some((end, _)) => write!(f, "{}…", &self.0[..end]),
            None => f.write_str(self.0),
        }
    }
}

/// A moment in RFC 3339, to the second.
pub(crate) fn rfc3339(at: UnixMillis) -> Option<String> {
    Some(jiff::Timestamp::from_second(at.div_euclid(1_000)).ok()?.to_string())
}

/// A moment as a `time` element that tells how long ago it is, or how long it will be.
pub(crate) struct When {
    pub(crate) at: UnixMillis,
    pub(crate) now: UnixMillis,
}

impl Display for When {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(exact) = rfc3339(self.at) else { return f.write_str("at an unknown time") };
        write!(f, "<time datetime=\"{exact}\" title=\"{exact}\">")?;
        let span = Span(self.now.abs_diff(self.at));
        match self.at.cmp(&self.now) {
            _ if span.0 < 1_000 => f.write_str("now")?,
            std::cmp::Ordering::Greater => write!(f, "in {span}")?,
            _ => write!(f, "{span} ago")?,
        }
        f.write_str("</time>")
    }
}

/// Milliseconds in the unit that suits.
pub(crate) struct Span(pub(super) u64);

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
        // Below two of a unit, the smaller one tells more.
        match UNITS.iter().find(|(size, unit)| self.0 >= size * 2 || *unit == "s" && self.0 >= *size) {
            Some((size, unit)) => write!(f, "{} {unit}", self.0 / size),
            None => write!(f, "{} ms", self.0),
        }
    }
}

/// Bytes in the unit that suits.
pub(crate) struct Bytes(pub(super) u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match UNITS.iter().find(|(size, _)| self.0 >= *size) {
            Some((size, unit)) => write!(f, "{}.{} {unit}", self.0 / size, self.0 % size * 10 / size),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

/// A count with its thousands apart.
pub(crate) struct Count(pub(crate) u64);

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_char(',')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

/// As a count.
pub(crate) fn count(of: usize) -> Count {
    Count(of as u64)
}

/// CU-seconds as CU-hours, with as many digits as tell something.
pub(crate) struct CuHours(pub(crate) f64);

impl Display for CuHours {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "finite and not negative")]
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let hours = self.0 / 3_600.0;
        match hours {
            _ if hours >= 100.0 => Count(hours.round() as u64).fmt(f),
            _ if hours >= 1.0 => write!(f, "{hours:.1}"),
            _ if hours > 0.0 => write!(f, "{hours:.3}"),
            _ => f.write_str("0"),
        }
    }
}

/// `one target`, `2 targets`
pub(crate) struct Of(pub(crate) usize, pub(crate) &'static str);

impl Display for Of {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", count(self.0), self.1, if self.0 == 1 { "" } else { "s" })
    }
}

/// A bar of this part of its width.
pub(crate) fn bar(f: &mut Formatter<'_>, part: f64) -> fmt::Result {
    let width = (part * 100.0).clamp(0.0, 100.0);
    write!(
        f,
        "<svg class=\"bar\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"track\" width=\"100\" height=\"4\"/><rect class=\"fill\" width=\"{width:.1}\" height=\"4\"/></svg>"
    )
}

/// Text in the query of an address.
pub(crate) fn in_query(text: &str) -> impl Display + '_ {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        let hostile = "</td><script>alert('x')</script>\"&\u{202e}\u{0}";
        assert_eq!(
            Escaped(hostile).to_string(),
            "&lt;/td&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\u{fffd}\u{fffd}"
        );
        let long = "é".repeat(65);
        assert_eq!(Short(&long).to_string(), format!("{}…", &long[..128]));
        assert_eq!(Short(&long[..128]).to_string(), long[..128]);
        assert_eq!(in_query("a b&c=\"<é").to_string(), "a%20b%26c%3D%22%3C%C3%A9");
    }

    #[test]
    fn figures_are_in_the_unit_that_suits() {
        let spans = [0, 999, 1_000, 119_999, 120_000, 7_199_999, 7_200_000, 172_800_000];
        let spans = spans.map(|span| Span(span).to_string());
        assert_eq!(spans, ["0 ms", "999 ms", "1 s", "119 s", "2 min", "119 min", "2 h", "2 d"]);
        let sizes = [0, 1_023, 1_536, 3 << 20, (5 << 30) - 1].map(|size| Bytes(size).to_string());
        assert_eq!(sizes, ["0 bytes", "1023 bytes", "1.5 KiB", "3.0 MiB", "4.9 GiB"]);
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(|n| Count(n).to_string()),
            ["0", "999", "1,000", "1,234,567"]
        );
        let hours = [0.0, 1.0, 3_600.0, 360_000.0, 3.6e9].map(|seconds| CuHours(seconds).to_string());
        assert_eq!(hours, ["0", "0.000", "1.0", "100", "1,000,000"]);
        assert_eq!([Of(1, "row"), Of(1_000, "row")].map(|of| of.to_string()), ["1 row", "1,000 rows"]);
    }

    #[test]
    fn a_moment_is_told_from_now() {
        let when = |at| When { at, now: 100_000_000 }.to_string();
        assert_eq!(
            when(99_988_000),
            "<time datetime=\"1970-01-02T03:46:28Z\" title=\"1970-01-02T03:46:28Z\">12 s ago</time>"
        );
        assert!(when(100_000_000).contains(">now<") && when(100_120_000).contains(">in 2 min<"));
        assert_eq!(when(i64::MAX), "at an unknown time");
    }
}
