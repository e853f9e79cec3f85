//! The service's side of ACS3-HMAC-SHA256: is this raw request signed by a key that is known?
//! Invariant: shares no code with the client's signer, so that a mistake of one shows in the other.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

use super::errors::ApiError;
use super::keys::{AccessKey, KeyRing};
use crate::clock::UnixMillis;

const ALGORITHM: &str = "ACS3-HMAC-SHA256";
/// A date further away than this is refused.
const SKEW_MAX_MS: i64 = 15 * 60 * 1_000;
/// Nonces remembered; the oldest are forgotten first.
const NONCES_MAX: usize = 1 << 16;

/// What stays as it is in a canonical request (RFC 3986, unreserved).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The keys and the nonces seen.
#[derive(Debug)]
pub(crate) struct Checker {
    pub(crate) keys: KeyRing,
    nonces: Mutex<Nonces>,
}

#[derive(Debug, Default)]
struct Nonces {
    seen: HashSet<String>,
    order: VecDeque<String>,
}

impl Checker {
    pub(crate) fn new(keys: Vec<AccessKey>) -> Self {
        Self { keys: KeyRing::new(keys), nonces: Mutex::default() }
    }

    /// Judges one request to the version `version` of a service; `now` is real time. A nonce counts as used once the rest
    /// is in order.
    pub(crate) fn check(
        &self,
        parts: &Parts,
        body: &[u8],
        version: &str,
        now: UnixMillis,
    ) -> Result<(), ApiError> {
        let claim = Authorization::of(&parts.headers)?;
        let date = require(&parts.headers, "x-acs-date")?;
        check_date(date, now)?;
        let nonce = require(&parts.headers, "x-acs-signature-nonce")?;
        require(&parts.headers, "x-acs-action")?;
        if require(&parts.headers, "x-acs-version")? != version {
            return Err(ApiError::new(400, "InvalidVersion", "Specified x-acs-version is not valid."));
        }
        let token = text(&parts.headers, "x-acs-security-token").filter(|t| !t.is_empty());
        let key = self.keys.find(claim.key_id, token, now)?;
        check_signed_set(&parts.headers, &claim.signed, !body.is_empty())?;
        let payload = hex::encode(Sha256::digest(body));
        if require(&parts.headers, "x-acs-content-sha256")? != payload {
            return Err(mismatch("x-acs-content-sha256 is not the SHA-256 of the body that came."));
        }
        let canonical = canonical_request(parts, &claim.signed, &payload);
        if signature(&key.secret, &canonical) != claim.signature {
            return Err(mismatch("Specified signature is not matched with our calculation."));
        }
        self.use_nonce(nonce)
    }

    pub(crate) fn use_nonce(&self, nonce: &str) -> Result<(), ApiError> {
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        if !nonces.seen.insert(nonce.to_owned()) {
            return Err(ApiError::new(
                400,
                "SignatureNonceUsed",
                "Specified signature nonce was used already.",
            ));
        }
        nonces.order.push_back(nonce.to_owned());
        if nonces.order.len() > NONCES_MAX
            && let Some(oldest) = nonces.order.pop_front()
        {
            nonces.seen.remove(&oldest);
        }
        Ok(())
    }
}

/// The parts of the Authorization header.
struct Authorization<'a> {
    key_id: &'a str,
    signed: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn of(headers: &'a HeaderMap) -> Result<Self, ApiError> {
        let incomplete = || {
            let message = "Authorization is not `ACS3-HMAC-SHA256 Credential=…,SignedHeaders=…,Signature=…`.";
            ApiError::new(400, "IncompleteSignature", message)
        };
        let value = text(headers, "authorization").ok_or_else(incomplete)?;
        let fields =
            value.strip_prefix(ALGORITHM).and_then(|v| v.strip_prefix(' ')).ok_or_else(incomplete)?;
        let fields: BTreeMap<&str, &str> = fields.split(',').filter_map(|f| f.split_once('=')).collect();
        let field = |name| fields.get(name).copied().filter(|v| !v.is_empty()).ok_or_else(incomplete);
        Ok(Self {
            key_id: field("Credential")?,
            signed: field("SignedHeaders")?.split(';').collect(),
            signature: field("Signature")?,
        })
    }
}

pub(crate) fn check_date(date: &str, now: UnixMillis) -> Result<(), ApiError> {
    let error = |code, message| Err(ApiError::new(400, code, message));
    // The service takes this one form only: 2023-10-26T10:22:32Z.
    let parsed = date.parse::<jiff::Timestamp>().ok().filter(|_| date.len() == 20 && date.ends_with('Z'));
    match parsed {
        None => error("InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted."),
        Some(date) if (date.as_millisecond() - now).abs() > SKEW_MAX_MS => {
            error("InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
        }
        Some(_) => Ok(()),
    }
}

/// `host` and every `x-acs-…` must be signed, with a body `content-type` too; what is named must be there.
fn check_signed_set(headers: &HeaderMap, signed: &[&str], has_body: bool) -> Result<(), ApiError> {
    let needed = headers.keys().map(http::HeaderName::as_str).filter(|name| {
        *name == "host" || name.starts_with("x-acs-") || (has_body && *name == "content-type")
    });
    for name in needed.chain(["host", "x-acs-content-sha256"]) {
        if !signed.contains(&name) {
            return Err(mismatch(&format!("The header {name} is not signed.")));
        }
    }
    match signed.iter().find(|name| !headers.contains_key(**name)) {
        Some(name) => Err(mismatch(&format!("The signed header {name} did not come."))),
        None => Ok(()),
    }
}

fn canonical_request(parts: &Parts, signed: &[&str], payload: &str) -> String {
    let mut signed = signed.to_vec();
    signed.sort_unstable();
    let header = |name: &&str| {
        let values: Vec<&str> = parts
            .headers
            .get_all(*name)
            .iter()
            .filter_map(|v| std::str::from_utf8(v.as_bytes()).ok())
            .collect();
        format!("{name}:{}\n", values.join(",").trim())
    };
    [
        parts.method.as_str(),
        &canonical_path(parts.uri.path()),
        &canonical_query(parts.uri.query().unwrap_or_default()),
        &signed.iter().map(header).collect::<String>(),
        &signed.join(";"),
        payload,
    ]
    .join("\n")
}

fn canonical_path(path: &str) -> String {
    let segment = |s: &str| encode(&percent_decode_str(s).collect::<Vec<u8>>());
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn canonical_query(query: &str) -> String {
    let decode = |s: &str| percent_decode_str(&s.replace('+', " ")).collect::<Vec<u8>>();
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect();
    pairs.sort_unstable();
    let pairs = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    percent_encode(bytes, ENCODED).to_string()
}

fn signature(secret: &str, canonical: &str) -> String {
    let hashed = hex::encode(Sha256::digest(canonical.as_bytes()));
    hex::encode(hmac_sha256(secret.as_bytes(), format!("{ALGORITHM}\n{hashed}").as_bytes()))
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    use hmac::{Hmac, KeyInit, Mac};
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104)")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|v| std::str::from_utf8(v.as_bytes()).ok()).map(str::trim)
}

fn require<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, ApiError> {
    let missing = || ApiError::new(400, "MissingHeader", &format!("The header {name} is mandatory."));
    text(headers, name).filter(|v| !v.is_empty()).ok_or_else(missing)
}

pub(crate) fn mismatch(message: &str) -> ApiError {
    ApiError::new(400, "SignatureDoesNotMatch", message)
}

#[cfg(test)]
mod tests;
