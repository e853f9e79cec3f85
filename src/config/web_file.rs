//! The web configuration file of the exporter-toolkit: read strictly, with everything that it names.
//! Invariant: no message shows a value of the file; what TLS itself makes of keys and certificates is told by the server.

mod section;
mod tls;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use self::section::Section;
pub use self::tls::{ClientAuth, Pem, TlsServer, TlsVersion};
use super::error::{ConfigErrors, Place, Problem};
use super::{sources, yaml};

/// Headers that the toolkit lets a file set, each with the only values it may have, if these are few.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// A web configuration file, with the content of the files that it names.
#[derive(Clone, Debug)]
pub struct WebFile {
    /// `tls_server_config`; absent: plain HTTP.
    pub tls: Option<TlsServer>,
    /// Whether HTTP/2 is offered over TLS.
    pub http2: bool,
    /// Headers of every answer, by name.
    pub headers: BTreeMap<String, String>,
    /// bcrypt hashes by user; none: everybody may ask.
    pub users: BTreeMap<String, SecretString>,
    /// How many requests are answered, of all clients together.
    pub rate_limit: Option<RateLimit>,
    /// Changes with any byte of the file and of those that it names.
    pub digest: [u8; 32],
}

/// One request each `interval`, and up to `burst` at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// More than zero.
    pub interval: Duration,
    /// At least 1.
    pub burst: u32,
}

impl WebFile {
    /// Reads and validates a file; paths in it are relative to its directory.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let failed = |problems| ConfigErrors::new(Some(path), problems);
        let text = sources::read_text(path)
            .map_err(|message| failed(vec![Problem::new(Place::Nowhere, "", message)]))?;
        let root = yaml::parse(&text).map_err(failed)?;
        let mut problems = Vec::new();
        let directory = path.parent().unwrap_or(Path::new(""));
        let mut file = read(Section::root(&root, &mut problems), directory);
        if !problems.is_empty() {
            return Err(failed(problems));
        }
        file.digest = digest(&text, file.tls.as_ref());
        Ok(file)
    }
}

/// What is wrong becomes a problem, and is as if it were not there.
fn read(mut root: Section<'_>, directory: &Path) -> WebFile {
    root.only(&["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"]);
    let tls = root.section("tls_server_config").and_then(|section| tls::read(section, directory));
    let (http2, headers) = root.section("http_server_config").map_or((true, BTreeMap::new()), http);
    let users = root.section("basic_auth_users").map(users).unwrap_or_default();
    let rate_limit = root.section("rate_limit").and_then(rate_limit);
    WebFile { tls, http2, headers, users, rate_limit, digest: [0; 32] }
}

fn http(mut section: Section<'_>) -> (bool, BTreeMap<String, String>) {
    section.only(&["http2", "headers"]);
    let http2 = section.read("http2", section::truth).unwrap_or(true);
    let Some(mut headers) = section.section("headers") else { return (http2, BTreeMap::new()) };
    headers.only(&HEADERS.map(|(name, _)| name));
    let header = |(name, allowed): &(&'static str, &[&str])| {
        let value = headers.read(name, |value| {
            if !allowed.is_empty() && !allowed.contains(&value) {
                return Err(format!("expected {}", allowed.join(" or ")));
            }
            if http::HeaderValue::from_str(value).is_err() {
                return Err("expected text without line breaks and control characters".to_owned());
            }
            Ok(value.to_owned())
        })?;
        Some(((*name).to_owned(), value))
    };
    (http2, HEADERS.iter().filter_map(header).collect())
}

fn users(mut section: Section<'_>) -> BTreeMap<String, SecretString> {
    let names = section.names();
    let user = |name: String| {
        let hash = section.read_hidden(&name, |hash| {
            let is_bcrypt = hash.parse::<bcrypt::HashParts>().is_ok_and(|parts| parts.get_cost() <= 31);
            if is_bcrypt {
                return Ok(SecretString::from(hash));
            }
            Err("expected a bcrypt hash, as `htpasswd -nBC 10 \"\" | tr -d ':\\n'` makes it; the value is not shown"
                .to_owned())
        })?;
        Some((name, hash))
    };
    names.into_iter().filter_map(user).collect()
}

fn rate_limit(mut section: Section<'_>) -> Option<RateLimit> {
    section.only(&["interval", "burst"]);
    let interval = section.read("interval", section::go_duration).unwrap_or_default();
    let burst = section.read("burst", |text| {
        text.parse::<u32>().map_err(|_| "expected a whole number, such as 10".to_owned())
    });
    if interval.is_zero() {
        return None;
    }
    if burst.unwrap_or(0) == 0 && !section.has_failed("burst") {
        section.fail("burst", "expected at least 1: with 0, every request is refused");
    }
    Some(RateLimit { interval, burst: burst? })
}

fn digest(text: &str, tls: Option<&TlsServer>) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    };
    add(text);
    for pem in tls.into_iter().flat_map(|tls| [Some(&tls.cert), Some(&tls.key), tls.client_ca.as_ref()]) {
        add(pem.map_or("", |pem| pem.text.expose_secret()));
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
