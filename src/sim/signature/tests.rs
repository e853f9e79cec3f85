//! The checker against vectors computed with the official SDK, and what it refuses.

use serde_json::Value;

use super::*;

const NOW: UnixMillis = 1_768_213_240_000;
const VERSION: &str = "2023-08-08";
const ID: &str = "sim-access-key-id";

struct Vector(Value);

impl Vector {
    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    fn body(&self) -> &[u8] {
        self.text("body").as_bytes()
    }

    /// The request as a client writes it on the wire: the query in any order, spaces as `%20`.
    fn parts(&self) -> Parts {
        let query: Vec<String> = self.0["query"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name.as_bytes()), encode(text_of(value).as_bytes())))
            .rev()
            .collect();
        let mut request = http::Request::builder()
            .method(self.text("method"))
            .uri(format!("{}?{}", self.text("path"), query.join("&")))
            .header("authorization", self.text("authorization"));
        for (name, value) in self.0["headers"].as_object().unwrap() {
            request = request.header(name, http::HeaderValue::from_bytes(text_of(value).as_bytes()).unwrap());
        }
        request.body(()).unwrap().into_parts().0
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn vectors() -> Vec<Vector> {
    let file: Value =
        serde_json::from_str(include_str!("../../../tests/data/signature-vectors.json")).unwrap();
    file["vectors"].as_array().unwrap().iter().cloned().map(Vector).collect()
}

#[test]
fn every_stage_of_every_vector_comes_out() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 30);
    for vector in vectors {
        let (name, parts) = (vector.text("name"), vector.parts());
        let claim = Authorization::of(&parts.headers).unwrap();
        assert_eq!(claim.key_id, vector.text("access_key_id"), "{name}");
        let payload = hex::encode(Sha256::digest(vector.body()));
        let canonical = canonical_request(&parts, &claim.signed, &payload);
        assert_eq!(
            canonical_query(parts.uri.query().unwrap()),
            vector.text("canonical_query_string"),
            "{name}"
        );
        assert_eq!(canonical, vector.text("canonical_request"), "{name}");
        assert_eq!(
            signature(vector.text("access_key_secret"), &canonical),
            vector.text("signature"),
            "{name}"
        );
    }
}

#[test]
fn the_vectors_for_this_service_pass_the_whole_check() {
    let mut passed = 0;
    for vector in vectors().iter().filter(|v| v.0["headers"]["x-acs-version"] == "2023-08-08") {
        let token = vector.0["security_token"].as_str().map(str::to_owned);
        let (id, secret) = (vector.text("access_key_id"), vector.text("access_key_secret"));
        let checker = Checker::new(vec![AccessKey { security_token: token, ..AccessKey::new(id, secret) }]);
        let date: jiff::Timestamp = vector.0["headers"]["x-acs-date"].as_str().unwrap().parse().unwrap();
        let now = date.as_millisecond();
        assert_eq!(
            checker.check(&vector.parts(), vector.body(), VERSION, now),
            Ok(()),
            "{}",
            vector.text("name")
        );
        passed += 1;
    }
    assert!(passed >= 25, "{passed}");
}

/// A POST signed as a client would, with `change` made before signing.
fn signed(change: impl FnOnce(&mut HeaderMap), secret: &str, id: &str, body: &[u8]) -> Parts {
    let request = http::Request::builder().method("POST").uri("/api/v1/workspaces/w%2F1/x?a=1&b=x%20y");
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let payload = hex::encode(Sha256::digest(body));
    for (name, value) in [
        ("host", "127.0.0.1:1"),
        ("content-type", "application/json; charset=utf-8"),
        ("x-acs-action", "StartSessionCluster"),
        ("x-acs-version", "2023-08-08"),
        ("x-acs-date", "2026-01-12T10:20:40Z"),
        ("x-acs-signature-nonce", "n1"),
        ("x-acs-content-sha256", payload.as_str()),
    ] {
        parts.headers.insert(name, value.parse().unwrap());
    }
    change(&mut parts.headers);
    let names: Vec<String> = parts.headers.keys().map(|n| n.as_str().to_owned()).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    let signature = signature(secret, &canonical_request(&parts, &names, &payload));
    let value =
        format!("{ALGORITHM} Credential={id},SignedHeaders={},Signature={signature}", names.join(";"));
    parts.headers.insert("authorization", value.parse().unwrap());
    parts
}

fn good() -> Parts {
    signed(|_| (), "sim-access-key-secret", ID, b"{}")
}

fn code(parts: &Parts, body: &[u8], now: UnixMillis) -> String {
    let checker = Checker::new(AccessKey::defaults());
    checker.check(parts, body, VERSION, now).err().map(|e| e.code).unwrap_or_default()
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    assert_eq!(code(&good(), b"{}", NOW), "");
    let uri = |uri: &str| {
        let mut parts = good();
        parts.uri = uri.parse().unwrap();
        code(&parts, b"{}", NOW)
    };
    assert_eq!(uri("/api/v1/workspaces/w%2F1/x?b=x+y&a=1"), "", "the same query, written otherwise");
    for changed in [
        "/api/v1/workspaces/w%2F2/x?a=1&b=x%20y",
        "/api/v1/workspaces/w/1/x?a=1&b=x%20y",
        "/api/v1/workspaces/w%2F1/x?a=2&b=x%20y",
        "/api/v1/workspaces/w%2F1/x?a=1",
        "/api/v1/workspaces/w%2F1/x?a=1&b=x%20y&c=",
    ] {
        assert_eq!(uri(changed), "SignatureDoesNotMatch", "{changed}");
    }
    assert_eq!(code(&good(), b"{ }", NOW), "SignatureDoesNotMatch");
    for (name, value) in
        [("x-acs-action", "StopSessionCluster"), ("host", "127.0.0.1:2"), ("x-acs-extra", "1")]
    {
        let mut parts = good();
        parts.headers.insert(name, value.parse().unwrap());
        assert_eq!(code(&parts, b"{}", NOW), "SignatureDoesNotMatch", "{name}");
    }
    let wrong = signed(|_| (), "another-secret", ID, b"{}");
    assert_eq!(code(&wrong, b"{}", NOW), "SignatureDoesNotMatch");
}

#[test]
fn the_header_set_is_required() {
    for name in
        ["x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"]
    {
        let parts = signed(|h| drop(h.remove(name)), "sim-access-key-secret", ID, b"{}");
        assert_ne!(code(&parts, b"{}", NOW), "", "{name}");
    }
    let mut unsigned = good();
    unsigned.headers.remove("authorization");
    assert_eq!(code(&unsigned, b"{}", NOW), "IncompleteSignature");
    let no_host = signed(|h| drop(h.remove("host")), "sim-access-key-secret", ID, b"{}");
    assert_eq!(code(&no_host, b"{}", NOW), "SignatureDoesNotMatch");
}

#[test]
fn keys_and_tokens_are_told_apart() {
    let with = |id: &str, secret: &str, token: Option<&str>| {
        let token = token.map(|t| t.parse().unwrap());
        let parts = signed(|h| drop(token.map(|t| h.insert("x-acs-security-token", t))), secret, id, b"{}");
        code(&parts, b"{}", NOW)
    };
    assert_eq!(with("nobody", "x", None), "InvalidAccessKeyId.NotFound");
    assert_eq!(with("sim-inactive-key-id", "sim-inactive-key-secret", None), "InvalidAccessKeyId.Inactive");
    let sts = "STS.sim-access-key-id";
    assert_eq!(with(sts, "sim-sts-secret", Some("sim-security-token")), "");
    assert_eq!(with(sts, "sim-sts-secret", None), "MissingSecurityToken");
    assert_eq!(with(sts, "sim-sts-secret", Some("other")), "InvalidSecurityToken.Malformed");
    let expired = with("STS.sim-expired-id", "sim-expired-secret", Some("sim-expired-token"));
    assert_eq!(expired, "InvalidSecurityToken.Expired");
}

#[test]
fn a_date_further_away_than_fifteen_minutes_is_refused() {
    const QUARTER: i64 = 15 * 60 * 1_000;
    for (now, expected) in [
        (NOW + QUARTER, ""),
        (NOW - QUARTER, ""),
        (NOW + QUARTER + 1, "InvalidTimeStamp.Expired"),
        (NOW - QUARTER - 1, "InvalidTimeStamp.Expired"),
    ] {
        assert_eq!(code(&good(), b"{}", now), expected, "{now}");
    }
    let odd = signed(
        |h| drop(h.insert("x-acs-date", "2026-01-12 10:20:40".parse().unwrap())),
        "sim-access-key-secret",
        ID,
        b"{}",
    );
    assert_eq!(code(&odd, b"{}", NOW), "InvalidTimeStamp.Format");
}

#[test]
fn a_nonce_works_once_and_the_memory_of_it_is_bounded() {
    let checker = Checker::new(AccessKey::defaults());
    assert_eq!(checker.check(&good(), b"{}", VERSION, NOW), Ok(()));
    assert_eq!(checker.check(&good(), b"{}", VERSION, NOW).unwrap_err().code, "SignatureNonceUsed");
    for n in 0..NONCES_MAX {
        checker.use_nonce(&format!("other-{n}")).unwrap();
    }
    let nonces = checker.nonces.lock().unwrap();
    assert_eq!((nonces.order.len(), nonces.seen.len()), (NONCES_MAX, NONCES_MAX));
    assert!(!nonces.seen.contains("n1"));
}
