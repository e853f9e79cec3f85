//! The web configuration file of the exporter-toolkit: read strictly, with everything that it names.
//! Invariant: no message shows a value of the file, nor a key that may be one; what TLS itself makes of keys and certificates is told by the server.

mod section;
mod tls;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use self::section::Section;
pub use self::tls::{ClientAuth, Pem, TlsServer, TlsVersion};
use super::error::{ConfigErrors, Place, Problem};
use super::{files, yaml};

/// Headers that the toolkit lets a file set, each with the only values it may have, if these are few.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// Costs that bcrypt is defined for.
const BCRYPT_COSTS: RangeInclusive<u32> = 4..=31;

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
        let text = files::read_text(path)
            .map_err(|message| failed(vec![Problem::new(Place::Nowhere, "", message)]))?;
        let tree = yaml::parse(&text).map_err(failed)?;
        let mut problems = Vec::new();
        let directory = path.parent().unwrap_or(Path::new(""));
        let mut file = read(Section::root(&tree, &mut problems), directory);
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
    let http2 = section.read_plain("http2", section::truth).unwrap_or(true);
    let Some(mut headers) = section.section("headers") else { return (http2, BTreeMap::new()) };
    headers.only(&HEADERS.map(|(name, _)| name));
    let header = |(name, allowed): &(&'static str, &[&str])| {
        let check = |value: &str| {
            if !allowed.is_empty() && !allowed.contains(&value) {
                return Err(format!("expected {}", allowed.join(" or ")));
            }
            if http::HeaderValue::from_str(value).is_err() {
                return Err("expected text without line breaks and control characters".to_owned());
            }
            Ok(value.to_owned())
        };
        let value = match allowed {
            [] => headers.read_filled(name, check),
            _ => headers.read_or_null(name, name, check),
        };
        Some(((*name).to_owned(), value?))
    };
    (http2, HEADERS.iter().filter_map(header).collect())
}

/// A user who has no hash is refused: left out, it could leave nobody to ask for a password.
fn users(mut section: Section<'_>) -> BTreeMap<String, SecretString> {
    let names = section.names();
    let user = |name: String| {
        let shown = if section.is_empty(&name) { shown_user(&name) } else { HIDDEN_USER };
        let hash = section.read_or_null(&name, shown, bcrypt_hash)?;
        Some((name, hash))
    };
    names.into_iter().filter_map(user).collect()
}

/// Stands for a user in messages: beside something that is no hash, the name may be the password, in the wrong place.
const HIDDEN_USER: &str = "(a user)";

/// What a message may call a user who has nothing: name and password may be one word.
fn shown_user(name: &str) -> &str {
    let is_of_a_name = |b: u8| b.is_ascii_alphanumeric() || b"._@-".contains(&b);
    let is_name = (1..=32).contains(&name.len()) && name.bytes().all(is_of_a_name);
    if is_name { name } else { HIDDEN_USER }
}

fn bcrypt_hash(text: &str) -> Result<SecretString, String> {
    // The toolkit looks at no more than the hash, so that one from a block works there.
    let hash = text.trim_end();
    let is_bcrypt =
        hash.parse::<bcrypt::HashParts>().is_ok_and(|parts| BCRYPT_COSTS.contains(&parts.get_cost()));
    if is_bcrypt {
        return Ok(SecretString::from(hash));
    }
    let found = if hash.is_empty() { "there is none" } else { "the value is not shown" };
    Err(format!(
        "expected a bcrypt hash of a cost from 4 to 31, as `htpasswd -nBC 10 \"\" | tr -d ':\\n'` makes it; {found}"
    ))
}

fn rate_limit(mut section: Section<'_>) -> Option<RateLimit> {
    section.only(&["interval", "burst"]);
    let is_text = section.is_quoted("interval");
    let interval = section.read("interval", |text| match text.parse::<u64>() {
        Ok(1..) if is_text => Err("a number in quotes has no unit; expected one such as 500ms".to_owned()),
        _ => section::go_duration(text),
    });
    let interval = interval.unwrap_or_default();
    let burst = section.read_plain("burst", |text| {
        // To YAML 1.1 a number that begins with 0 is an octal one.
        let is_decimal = text == "0" || !text.starts_with(['0', '+']);
        let number = text.parse::<u32>().ok().filter(|_| is_decimal);
        number.ok_or_else(|| "expected a whole number, such as 10".to_owned())
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
    let mut add = |text: &[u8]| {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    };
    add(text.as_bytes());
    for pem in tls.into_iter().flat_map(|tls| [Some(&tls.cert), Some(&tls.key), tls.client_ca.as_ref()]) {
        add(pem.map_or(&[], |pem| pem.text.expose_secret()));
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
