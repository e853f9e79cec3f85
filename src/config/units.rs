//! Texts → values with units and ranges. Invariant: an error says what was expected, with an example, and never the text itself.

use std::fmt::Display;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::types::{Endpoint, ListenAddress};

/// A range of durations; both ends belong to it.
pub(super) struct Span {
    pub(super) min: Duration,
    pub(super) max: Duration,
    /// The range in words.
    pub(super) words: &'static str,
}

/// `30s`, `1h 30m`: a number needs a unit.
pub(super) fn duration(text: &str, span: &Span) -> Result<Duration, String> {
    let has_unit = text.bytes().any(|b| b.is_ascii_alphabetic());
    match humantime::parse_duration(text) {
        Ok(duration) if has_unit && (span.min..=span.max).contains(&duration) => Ok(duration),
        _ if !has_unit && text.parse::<u64>().is_ok() => {
            Err(format!("expected a duration with its unit, such as {text}s or {text}m, {}", span.words))
        }
        _ => Err(format!("expected a duration such as 30s, 5m or 1h 30m, {}", span.words)),
    }
}

/// A number without a unit.
pub(super) fn number<T>(text: &str, range: &RangeInclusive<T>, kind: &str) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("expected {kind} from {} to {}", range.start(), range.end()))
}

/// A whole number.
pub(super) fn whole<T>(text: &str, range: &RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    number(text, range, "a whole number")
}

/// `true` or `false`.
pub(super) fn truth(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "expected true or false".to_owned())
}

/// `16MiB`, `512KiB`, `65536` (bytes); 64 KiB to 256 MiB.
pub(super) fn body_bytes(text: &str) -> Result<usize, String> {
    bytes(text, &((64 << 10)..=(256 << 20)), "from 64KiB to 256MiB")
}

/// A size in bytes, with a unit or without; `words` tells the range.
pub(super) fn bytes(text: &str, range: &RangeInclusive<usize>, words: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text[digits.len()..].trim_start() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    digits
        .trim_end()
        .parse::<usize>()
        .ok()
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .filter(|bytes| range.contains(bytes))
        .ok_or_else(|| format!("expected a size such as {}, {words}", examples(*range.end())))
}

/// Sizes within a range that ends there.
fn examples(max: usize) -> &'static str {
    if max >= 16 << 20 { "16MiB, 512KiB or 65536 (bytes)" } else { "32KiB or 32768 (bytes)" }
}

/// One of the words of a closed set.
pub(super) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let (last, others) = words.split_last().map_or(("", words), |((last, _), others)| (last, others));
        let others = others.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        format!("expected {others} or {last}")
    })
}

/// `host:port`, `:port` (all addresses), `[IPv6]:port` or `unix:/path`; port 0 lets the system choose one.
///
/// # Errors
/// What was expected, in words.
pub fn listen_address(text: &str) -> Result<ListenAddress, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        // The system's own limit, with the zero at its end.
        let is_good = path.starts_with('/') && !path.ends_with('/') && path.len() < 108;
        return is_good.then(|| ListenAddress::Unix(path.into())).ok_or_else(|| {
            "expected unix:/path, absolute and at most 107 bytes long, such as unix:/run/exporter.sock"
                .to_owned()
        });
    }
    tcp_address(text).map(ListenAddress::Tcp).map_err(|_| {
        "expected host:port, such as 0.0.0.0:10990, :10990 or [::1]:10990, or unix:/path".to_owned()
    })
}

/// As [`listen_address`], but for Unix sockets.
///
/// # Errors
/// What was expected, in words.
pub fn tcp_address(text: &str) -> Result<String, String> {
    text.rsplit_once(':')
        .filter(|(host, port)| (host.is_empty() || is_host(host)) && is_port(port))
        .map(|_| text.to_owned())
        .ok_or_else(|| "expected host:port, such as 0.0.0.0:10990, :10990 or [::1]:10990".to_owned())
}

/// The path of the metrics page. `/` is the status page's, `/-/…` and `/api/…` hold the daemon's other routes.
pub(super) fn telemetry_path(text: &str) -> Result<String, String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    let is_reserved = |text: &str| {
        ["/-", "/api"].iter().any(|taken| {
            text.strip_prefix(taken).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let is_good =
        text.starts_with('/') && !text.starts_with("//") && text.len() > 1 && text.bytes().all(is_plain);
    if is_good && !is_reserved(text) {
        return Ok(text.to_owned());
    }
    Err("expected a path such as /metrics: letters, digits and -._~ after a /; \
         / itself and what lies below /-/ and /api/ is taken"
        .to_owned())
}

/// `https://host[:port]` or `http://host[:port]`, in lower case, without the scheme's own port.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, String> {
    let lower = text.to_ascii_lowercase();
    let split = |(scheme, rest)| -> Option<Endpoint> {
        let (https, default_port) = match scheme {
            "https" => (true, "443"),
            "http" => (false, "80"),
            _ => return None,
        };
        let (host, port) = split_authority(rest)?;
        let authority = match port {
            Some(port) if port != default_port => format!("{host}:{port}"),
            _ => host.to_owned(),
        };
        Some(Endpoint { https, authority })
    };
    lower
        .split_once("://")
        .and_then(split)
        .ok_or_else(|| "expected https://host or https://host:port, without user, path or query".to_owned())
}

/// Whether the endpoint's host is this machine.
pub(super) fn is_loopback(endpoint: &Endpoint) -> bool {
    let host = split_authority(&endpoint.authority).map_or("", |(host, _)| host);
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    host == "localhost"
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || v6.and_then(|host| host.parse::<Ipv6Addr>().ok()).is_some_and(|ip| ip.is_loopback())
}

/// `https://host[:port]/path?query`; plain http towards this machine, or where `allow_http` says so.
///
/// # Errors
/// What was expected, in words, without the text: it may hold a secret.
pub fn credentials_uri(text: &str, allow_http: bool) -> Result<(), String> {
    let expected = "expected https://host/path, or http:// on this machine, such as http://127.0.0.1:7002/keys; the \
                    value is not shown";
    let (scheme, rest) = text.split_once("://").ok_or(expected)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let endpoint = endpoint(&format!("{scheme}://{}", &rest[..end])).map_err(|_| expected)?;
    if !rest[end..].bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err(expected.to_owned());
    }
    if endpoint.https || allow_http || is_loopback(&endpoint) {
        return Ok(());
    }
    Err("plain http sends keys in the clear; use https, or set allow_http: true for the account".to_owned())
}

/// `http://[user:password@]host:port`
pub(super) fn proxy(text: &str) -> Result<String, String> {
    let authority = text.strip_prefix("http://").map(|rest| rest.rsplit_once('@').unwrap_or(("", rest)));
    authority
        .filter(|(user, _)| user.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@".contains(&b)))
        .and_then(|(_, host)| split_authority(host)?.1)
        .map(|_| text.to_owned())
        .ok_or_else(|| {
            "expected http://host:port or http://user:password@host:port, with %XX for special characters; \
             the value is not shown"
                .to_owned()
        })
}

/// A region id such as `cn-hangzhou`: it becomes part of a host name.
pub(super) fn region(text: &str) -> Result<String, String> {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let is_region = (4..=40).contains(&text.len()) && text.contains('-') && text.split('-').all(is_part);
    if is_region { Ok(text.to_owned()) } else { Err("expected a region id such as cn-hangzhou".to_owned()) }
}

fn split_authority(text: &str) -> Option<(&str, Option<&str>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    (is_host(host) && port.is_none_or(|port| is_port(port) && port != "0")).then_some((host, port))
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    }
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
}
