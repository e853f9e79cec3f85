//! The older style of signatures, which the official SDK still uses with STS: HMAC-SHA1 over the parameters.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::clock::UnixMillis;
use crate::sim::errors::ApiError;
use crate::sim::signature::{Checker, check_date, encode, mismatch};

/// Judges the parameters of a request; `now` is real time.
pub(super) fn check(
    checker: &Checker,
    method: &str,
    given: &BTreeMap<String, String>,
    now: UnixMillis,
) -> Result<(), ApiError> {
    let need = |name: &str| {
        let missing = || ApiError::new(400, &format!("Missing{name}"), &format!("{name} is mandatory."));
        given.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or_else(missing)
    };
    if (need("SignatureMethod")?, need("SignatureVersion")?) != ("HMAC-SHA1", "1.0") {
        return Err(ApiError::invalid("SignatureMethod", "HMAC-SHA1, version 1.0, is expected"));
    }
    check_date(need("Timestamp")?, now)?;
    let token = given.get("SecurityToken").map(String::as_str).filter(|token| !token.is_empty());
    let key = checker.keys.find(need("AccessKeyId")?, token, now)?;
    if signature(&key.secret, method, given) != need("Signature")? {
        return Err(mismatch("Specified signature is not matched with our calculation."));
    }
    checker.use_nonce(need("SignatureNonce")?)
}

fn signature(secret: &str, method: &str, given: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = given
        .iter()
        .filter(|(name, _)| *name != "Signature")
        .map(|(name, value)| format!("{}={}", encode(name.as_bytes()), encode(value.as_bytes())))
        .collect();
    let to_sign = format!("{method}&{}&{}", encode(b"/"), encode(pairs.join("&").as_bytes()));
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104)")]
    let mut mac = Hmac::<Sha1>::new_from_slice(format!("{secret}&").as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(to_sign.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of the RPC style in the documentation of ECS: DescribeRegions with `testid`, `testsecret`.
    #[test]
    fn the_published_example_comes_out() {
        let given = [
            ("Timestamp", "2016-02-23T12:46:24Z"),
            ("Format", "XML"),
            ("AccessKeyId", "testid"),
            ("Action", "DescribeRegions"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf"),
            ("Version", "2014-05-26"),
            ("SignatureVersion", "1.0"),
            ("Signature", "is left out"),
        ];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(signature("testsecret", "GET", &given), "OLeaidS1JvxuMvnyHOwuJ+uX5qY=");
    }
}
