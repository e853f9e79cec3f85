//! The request signature ACS3-HMAC-SHA256, and the one spelling of paths and queries that it signs.
//! Invariant: pure functions; time, nonce and keys are arguments, and nothing here can be printed.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::clock::UnixMillis;

/// The name of the algorithm, as it stands in the string to sign and in `Authorization`.
pub const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// What is percent-encoded: all but RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A request as the signature sees it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// In upper case.
    pub method: &'a str,
    /// The percent-encoded path, from [`canonical_path`].
    pub path: &'a str,
    /// Names and values before encoding, in any order.
    pub query: &'a [(&'a str, &'a str)],
    /// Every header that is signed: names in lower case, in any order.
    pub headers: &'a [(&'a str, &'a str)],
    /// From [`payload_hash`].
    pub payload_hash: &'a str,
}

/// The signature and every stage on the way to it, so that a difference can be told by its stage.
/// Without `Debug`: the canonical request of a temporary key holds its security token.
pub struct Signature {
    /// The encoded and sorted query: also what goes on the wire.
    pub canonical_query: String,
    /// The names of the signed headers, sorted, joined by `;`.
    pub signed_headers: String,
    /// Method, path, query, headers, header names and payload hash, one under the other.
    pub canonical_request: String,
    /// Lower-case hex SHA-256 of the canonical request.
    pub hashed_canonical_request: String,
    /// The algorithm and the hash.
    pub string_to_sign: String,
    /// Lower-case hex HMAC-SHA256.
    pub signature: String,
    /// The value of the header `Authorization`.
    pub authorization: String,
}

/// Signs a request with an AccessKey pair.
pub fn sign(request: &Request<'_>, key_id: &str, key_secret: &str) -> Signature {
    let canonical_query = canonical_query(request.query);
    let mut headers: Vec<(&str, &str)> = request.headers.iter().map(|&(n, v)| (n, v.trim())).collect();
    headers.sort_unstable();
    let signed_headers = headers.iter().map(|&(name, _)| name).collect::<Vec<_>>().join(";");

    let mut canonical_request = [request.method, request.path, &canonical_query, ""].join("\n");
    for (name, value) in &headers {
        canonical_request.extend([name, ":", value, "\n"]);
    }
    canonical_request.extend(["\n", &signed_headers, "\n", request.payload_hash]);

    let hashed_canonical_request = payload_hash(canonical_request.as_bytes());
    let string_to_sign = format!("{ALGORITHM}\n{hashed_canonical_request}");
    let signature = hmac_sha256_hex(key_secret, &string_to_sign);
    let authorization =
        format!("{ALGORITHM} Credential={key_id},SignedHeaders={signed_headers},Signature={signature}");
    Signature {
        canonical_query,
        signed_headers,
        canonical_request,
        hashed_canonical_request,
        string_to_sign,
        signature,
        authorization,
    }
}

/// A path of these segments, each percent-encoded, or `None` where a segment cannot stand in a path: an empty one,
/// and `.` and `..`, which every URL parser resolves, however they are encoded.
pub fn canonical_path(segments: &[&str]) -> Option<String> {
    let mut path = String::new();
    for segment in segments {
        if matches!(*segment, "" | "." | "..") {
            return None;
        }
        path.push('/');
        path.extend(utf8_percent_encode(segment, ENCODED));
    }
    Some(path)
}

/// The query: names and values percent-encoded, sorted by byte value, joined by `&`; an empty value keeps its `=`.
pub fn canonical_query(pairs: &[(&str, &str)]) -> String {
    let mut encoded: Vec<(String, String)> = pairs.iter().map(|(k, v)| (encode(k), encode(v))).collect();
    encoded.sort_unstable();
    encoded.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Lower-case hex SHA-256: the value of `x-acs-content-sha256`, for an empty body too.
pub fn payload_hash(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

/// The value of `x-acs-date`: UTC, whole seconds. A time that the calendar cannot hold becomes the epoch.
pub fn date(now: UnixMillis) -> String {
    Timestamp::from_millisecond(now).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn hmac_sha256_hex(key: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use percent_encoding::percent_decode_str;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vectors {
        vectors: Vec<Vector>,
    }

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        access_key_id: String,
        access_key_secret: String,
        method: String,
        path: String,
        query: BTreeMap<String, String>,
        body: String,
        headers: BTreeMap<String, String>,
        canonical_query_string: String,
        signed_headers: String,
        canonical_request: String,
        hashed_canonical_request: String,
        string_to_sign: String,
        signature: String,
        authorization: String,
    }

    fn vectors() -> Vec<Vector> {
        let text = include_str!("../../tests/data/signature-vectors.json");
        serde_json::from_str::<Vectors>(text).unwrap().vectors
    }

    /// In an order that is not the sorted one.
    fn pairs(map: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
        map.iter().rev().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn every_vector_is_reproduced_stage_by_stage() {
        let vectors = vectors();
        assert_eq!(vectors.len(), 30);
        for v in &vectors {
            let check =
                |stage: &str, ours: &str, theirs: &str| assert_eq!(ours, theirs, "{}: {stage}", v.name);
            let hash = payload_hash(v.body.as_bytes());
            check("payload hash", &hash, &v.headers["x-acs-content-sha256"]);
            let request = Request {
                method: &v.method,
                path: &v.path,
                query: &pairs(&v.query),
                headers: &pairs(&v.headers),
                payload_hash: &hash,
            };
            let signed = sign(&request, &v.access_key_id, &v.access_key_secret);
            check("canonical query", &signed.canonical_query, &v.canonical_query_string);
            check("signed headers", &signed.signed_headers, &v.signed_headers);
            check("canonical request", &signed.canonical_request, &v.canonical_request);
            check("hashed canonical request", &signed.hashed_canonical_request, &v.hashed_canonical_request);
            check("string to sign", &signed.string_to_sign, &v.string_to_sign);
            check("signature", &signed.signature, &v.signature);
            check("authorization", &signed.authorization, &v.authorization);
        }
    }

    #[test]
    fn every_path_of_the_vectors_is_rebuilt_from_its_segments() {
        for v in vectors().iter().filter(|v| v.path != "/") {
            let decoded: Vec<String> = v.path[1..]
                .split('/')
                .map(|segment| percent_decode_str(segment).decode_utf8().unwrap().into_owned())
                .collect();
            let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
            assert_eq!(canonical_path(&segments).as_deref(), Some(v.path.as_str()), "{}: path", v.name);
        }
    }

    #[test]
    fn a_segment_that_a_url_parser_would_resolve_is_refused() {
        assert_eq!(canonical_path(&["a", "..", "b"]), None);
        assert_eq!(canonical_path(&["."]), None);
        assert_eq!(canonical_path(&["a", ""]), None);
        assert_eq!(canonical_path(&["..a", "%2e%2e", "a/b"]).as_deref(), Some("/..a/%252e%252e/a%2Fb"));
    }

    #[test]
    fn the_date_is_in_utc_and_whole_seconds() {
        assert_eq!(date(1_698_315_752_999), "2023-10-26T10:22:32Z");
        assert_eq!(date(i64::MAX), "1970-01-01T00:00:00Z");
    }
}
