//! Which form of the metrics page a request gets (RFC 9110, 12.4 and 12.5). Invariant: there is always one; who accepts
//! none of them gets plain text, as every exporter answers.

use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderName};
use http::{HeaderMap, HeaderValue};

use crate::model::Format;

/// A form of the metrics page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) format: Format,
    pub(super) gzip: bool,
    pub(super) content_type: HeaderValue,
}

/// How Prometheus 3 wants names escaped that older ones could not read. All names here are of the old kind, and the same
/// under each of these.
const ESCAPINGS: [&str; 4] = ["allow-utf-8", "underscores", "dots", "values"];

const OPEN_METRICS: &str = "application/openmetrics-text";
const TEXT: &str = "text/plain";

/// A weight, in thousandths.
type Weight = u16;

/// An entry of such a header: a name in lower case, parameters, and a weight.
struct Entry<'a> {
    name: String,
    parameters: Vec<(String, &'a str)>,
    weight: Weight,
}

impl Entry<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// The form that a request prefers.
pub(super) fn form(headers: &HeaderMap) -> Form {
    let (accept, encodings) = (joined(headers, &ACCEPT), joined(headers, &ACCEPT_ENCODING));
    let (format, content_type) = format(&entries(&accept));
    // Made of texts that are written here.
    let content_type = content_type.try_into().unwrap_or(HeaderValue::from_static("text/plain"));
    Form { format, gzip: prefers_gzip(&entries(&encodings)), content_type }
}

fn format(accepted: &[Entry<'_>]) -> (Format, String) {
    let open = ["1.0.0", "0.0.1"].map(|version| Choice::new(accepted, OPEN_METRICS, version));
    let text = Choice::new(accepted, TEXT, "0.0.4");
    // The first one where several are alike.
    let open = open.into_iter().rev().max_by_key(Choice::weight).filter(|open| open.weight() > 0);
    // Who does not name OpenMetrics and takes anything is a person, mostly.
    let is_preferred = |open: &Choice<'_>| {
        open.weight() > text.weight() || open.weight() == text.weight() && open.is_named()
    };
    match open.filter(is_preferred) {
        Some(open) => (Format::OpenMetrics, open.content_type()),
        None => (Format::Text, text.content_type()),
    }
}

/// A format in one of its versions, and the entry that fits it most exactly.
struct Choice<'a> {
    media_type: &'static str,
    version: &'static str,
    entry: Option<&'a Entry<'a>>,
}

impl<'a> Choice<'a> {
    fn new(accepted: &'a [Entry<'a>], media_type: &'static str, version: &'static str) -> Self {
        let group = media_type.split('/').next().unwrap_or_default();
        let entry = best(accepted, |entry| {
            if entry.name == media_type {
                match entry.parameter("version") {
                    Some(asked) if asked == version => Some(3),
                    None => Some(2),
                    Some(_) => None,
                }
            } else if entry.name.strip_suffix("/*") == Some(group) {
                Some(1)
            } else {
                (entry.name == "*/*").then_some(0)
            }
        });
        Self { media_type, version, entry }
    }

    fn weight(&self) -> Weight {
        self.entry.map_or(0, |entry| entry.weight)
    }

    fn is_named(&self) -> bool {
        self.entry.is_some_and(|entry| !entry.name.contains('*'))
    }

    fn content_type(&self) -> String {
        let mut content_type = format!("{}; version={}; charset=utf-8", self.media_type, self.version);
        let escaping = self.entry.and_then(|entry| entry.parameter("escaping"));
        if let Some(escaping) = escaping.filter(|escaping| ESCAPINGS.contains(escaping)) {
            content_type.push_str("; escaping=");
            content_type.push_str(escaping);
        }
        content_type
    }
}

/// Of the entries that fit, the one that fits most exactly; of these the one with the greatest weight.
fn best<'a, 'b>(
    entries: &'a [Entry<'b>],
    exactness: impl Fn(&Entry<'b>) -> Option<u8>,
) -> Option<&'a Entry<'b>> {
    let fitting = entries.iter().filter_map(|entry| Some(((exactness(entry)?, entry.weight), entry)));
    // The first one where several are alike.
    fitting.rev().max_by_key(|(rank, _)| *rank).map(|(_, entry)| entry)
}

fn prefers_gzip(accepted: &[Entry<'_>]) -> bool {
    let of = |names: &[&str]| {
        let named = accepted.iter().filter(|entry| names.contains(&entry.name.as_str()));
        named.map(|entry| entry.weight).max()
    };
    let any = of(&["*"]);
    let gzip = of(&["gzip", "x-gzip"]).or(any).unwrap_or(0);
    // What is not named is accepted too, but less than all that is.
    let identity = of(&["identity"]).or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity
}

/// The values of a header that may come several times, as one. What is no text in it is no name that is known here.
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<_> =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    values.join(",")
}

/// The entries of such a header; one without a sound weight is left out.
fn entries(header: &str) -> Vec<Entry<'_>> {
    split(header, ',').filter_map(entry).collect()
}

/// The parts between the separators that are not within quotes (RFC 9110, 5.6.4).
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |character| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match character {
            '"' if !was_escaped => is_quoted = !is_quoted,
            '\\' if is_quoted && !was_escaped => is_escaped = true,
            _ => {}
        }
        character == separator && !is_quoted
    })
}

fn entry(text: &str) -> Option<Entry<'_>> {
    let mut parts = split(text, ';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
    let mut parameters = Vec::new();
    let mut weight = 1_000;
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
        if name == "q" {
            weight = thousandths(value)?;
        } else {
            parameters.push((name, value));
        }
    }
    Some(Entry { name, parameters, weight })
}

/// `0`, `0.5`, `1.000`: at most three decimals, at most one.
fn thousandths(text: &str) -> Option<Weight> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals: Weight = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(decimals),
        "1" if decimals == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";
    const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    fn content_type(accept: &str) -> String {
        format(&entries(accept)).1
    }

    #[test]
    fn each_prometheus_gets_the_best_that_it_asks_for() {
        // As sent by 2.42, 2.0, 3.0 (without and with protobuf), and by one that wants text alone.
        let cases = [
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OPEN.to_owned(),
            ),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", PLAIN.to_owned()),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                format!("{OPEN}; escaping=allow-utf-8"),
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                 application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                format!("{OPEN}; escaping=underscores"),
            ),
            (
                "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1",
                PLAIN.to_owned(),
            ),
            (
                "application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OPEN.replace("1.0.0", "0.0.1"),
            ),
        ];
        for (accept, expected) in cases {
            assert_eq!(content_type(accept), expected, "{accept}");
        }
    }

    #[test]
    fn others_get_text_unless_they_prefer_openmetrics() {
        let text = [
            "",
            "*/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/*;q=0.1, */*;q=0",
            "application/openmetrics-text;q=0, */*",
            "application/openmetrics-text;version=2.0.0",
            "image/png",
            "application/openmetrics-text;q=0.5, text/plain",
            "application/openmetrics-text;q=1.5",
            "*/*;q=0",
            ";;,=,;q",
            "application/openmetrics-text;q=x, text/plain;q=0.1",
            "text/plain;version=0.0.4;escaping=\"odd\"",
            "application/openmetrics-text;x=\"a,b\";q=0.1, text/plain;q=0.2",
            "application/openmetrics-text;x=\"a\\\",b;\";q=0.1, text/plain;q=0.2",
            "application/openmetrics-text;version=1.0.0;q=0, */*;q=0.1",
        ];
        for accept in text {
            assert_eq!(content_type(accept), PLAIN, "{accept}");
        }
        let open = [
            "application/openmetrics-text",
            "Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=1.000 , text/plain;q=0.999",
            "text/plain;q=0.5, application/openmetrics-text;q=0.5",
            "application/*",
            "application/openmetrics-text;q=0.001",
            "*/*;q=0.9, text/plain;q=0.1",
            "text/plain;version=0.0.4;q=0.1, application/openmetrics-text;version=0.0.1;q=0, */*;q=0.3",
        ];
        for accept in open {
            assert_eq!(content_type(accept), OPEN, "{accept}");
        }
        let older = "application/openmetrics-text;version=1.0.0;q=0, application/openmetrics-text;q=0.5";
        assert_eq!(content_type(older), OPEN.replace("1.0.0", "0.0.1"), "what is refused is not answered");
    }

    #[test]
    fn gzip_is_for_those_who_want_it() {
        let wanted = [
            "gzip",
            "deflate, gzip, br, zstd",
            "*",
            "x-gzip",
            "GZIP;q=0.5",
            "gzip;q=0.2, *;q=0.1",
            "br;q=1.0, gzip;q=0.8, *;q=0.1",
            "gzip, identity",
            "identity;q=0.5, gzip;q=0.5",
            "gzip;q=1.0, identity;q=0",
            "x-gzip;q=0, gzip",
        ];
        for header in wanted {
            assert!(prefers_gzip(&entries(header)), "{header}");
        }
        let unwanted = [
            "",
            "identity",
            "gzip;q=0",
            "gzip;q=0.0, *",
            "*;q=0",
            "br",
            "gzipped",
            "not-gzip",
            "gzip;q=2",
            "identity, gzip;q=0.5",
            "identity;q=0",
            "*, gzip;q=0.000",
        ];
        for header in unwanted {
            assert!(!prefers_gzip(&entries(header)), "{header}");
        }
    }

    #[test]
    fn a_header_may_come_in_parts() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, "text/plain;q=0.5".parse().unwrap());
        headers.append(ACCEPT, "application/openmetrics-text".parse().unwrap());
        headers.append(ACCEPT_ENCODING, "br".parse().unwrap());
        headers.append(ACCEPT_ENCODING, "gzip".parse().unwrap());
        let expected =
            Form { format: Format::OpenMetrics, gzip: true, content_type: HeaderValue::from_static(OPEN) };
        assert_eq!(form(&headers), expected);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_bytes(b"\xe9, gzip").unwrap());
        assert!(form(&headers).gzip, "what is no text spoils nothing else");
        let expected =
            Form { format: Format::Text, gzip: false, content_type: HeaderValue::from_static(PLAIN) };
        assert_eq!(form(&HeaderMap::new()), expected);
    }
}
