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
    let open = best(accepted, |entry| match entry.name.as_str() {
        "application/openmetrics-text" => {
            matches!(entry.parameter("version"), None | Some("1.0.0" | "0.0.1")).then_some(2)
        }
        "application/*" => Some(1),
        "*/*" => Some(0),
        _ => None,
    });
    let text = best(accepted, |entry| match entry.name.as_str() {
        "text/plain" => matches!(entry.parameter("version"), None | Some("0.0.4")).then_some(2),
        "text/*" => Some(1),
        "*/*" => Some(0),
        _ => None,
    });
    let weight = |found: Option<&Entry<'_>>| found.map_or(0, |entry| entry.weight);
    // Who does not name OpenMetrics and takes anything is a person, mostly.
    let is_open = weight(open) > weight(text)
        || weight(open) == weight(text)
            && weight(open) > 0
            && open.is_some_and(|entry| !entry.name.contains('*'));
    let (format, chosen) = if is_open { (Format::OpenMetrics, open) } else { (Format::Text, text) };
    let mut content_type = match format {
        Format::Text => "text/plain; version=0.0.4; charset=utf-8".to_owned(),
        Format::OpenMetrics => {
            let version = chosen.and_then(|entry| entry.parameter("version")).unwrap_or("1.0.0");
            format!("application/openmetrics-text; version={version}; charset=utf-8")
        }
    };
    let escaping = chosen.and_then(|entry| entry.parameter("escaping"));
    if let Some(escaping) = escaping.filter(|escaping| ESCAPINGS.contains(escaping)) {
        content_type.push_str("; escaping=");
        content_type.push_str(escaping);
    }
    (format, content_type)
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
        accepted.iter().find(|entry| names.contains(&entry.name.as_str())).map(|entry| entry.weight)
    };
    let any = of(&["*"]);
    let gzip = of(&["gzip", "x-gzip"]).or(any).unwrap_or(0);
    // What is not named is accepted too, but less than all that is.
    let identity = of(&["identity"]).or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity
}

/// The values of a header that may come several times, as one.
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

/// The entries of such a header; one without a sound weight is left out.
fn entries(header: &str) -> Vec<Entry<'_>> {
    header.split(',').filter_map(entry).collect()
}

fn entry(text: &str) -> Option<Entry<'_>> {
    let mut parts = text.split(';').map(str::trim);
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

    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
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
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", TEXT.to_owned()),
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
                TEXT.to_owned(),
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
        ];
        for accept in text {
            assert_eq!(content_type(accept), TEXT, "{accept}");
        }
        let open = [
            "application/openmetrics-text",
            "Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=1.000 , text/plain;q=0.999",
            "text/plain;q=0.5, application/openmetrics-text;q=0.5",
            "application/*",
            "application/openmetrics-text;q=0.001",
            "*/*;q=0.9, text/plain;q=0.1",
        ];
        for accept in open {
            assert_eq!(content_type(accept), OPEN, "{accept}");
        }
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
        let expected =
            Form { format: Format::Text, gzip: false, content_type: HeaderValue::from_static(TEXT) };
        assert_eq!(form(&HeaderMap::new()), expected);
    }
}
