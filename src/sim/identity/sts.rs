//! STS, version 2015-04-01: AssumeRole, signed in either style, and AssumeRoleWithOIDC, unsigned.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderValue;
use serde_json::json;

use super::{Identity, Issuer, Request, rpc};
use crate::sim::answers::bytes;
use crate::sim::errors::ApiError;
use crate::sim::routes::parameters;
use crate::sim::service::Reply;

const VERSION: &str = "2015-04-01";

pub(super) fn answer(identity: &Identity, request: &Request<'_>) -> Reply {
    match assume(identity, request) {
        Ok(body) => Reply::json(200, bytes(&body)),
        Err(error) => Reply::error(error, request.request_id),
    }
}

fn assume(identity: &Identity, request: &Request<'_>) -> Result<serde_json::Value, ApiError> {
    let mut given = parameters(request.parts.uri.query());
    let content_type = request.parts.headers.get("content-type").map(HeaderValue::as_bytes);
    if content_type.is_some_and(|it| it.starts_with(b"application/x-www-form-urlencoded")) {
        given.extend(parameters(std::str::from_utf8(request.body).ok()));
    }
    let header = request.parts.headers.get("x-acs-action").and_then(|value| value.to_str().ok());
    let action = given.get("Action").map(String::as_str).or(header).unwrap_or_default();
    let issuer = match action {
        "AssumeRole" => {
            if request.check_signatures {
                check_signature(request, &given)?;
            }
            Issuer::AssumeRole
        }
        "AssumeRoleWithOIDC" => {
            check_version(&given)?;
            check_token(identity, &given)?;
            Issuer::AssumeRoleWithOidc
        }
        _ => {
            let message = "Specified api is not found, please check your url and method.";
            return Err(ApiError::new(404, "InvalidAction.NotFound", message));
        }
    };
    let role = role(&given)?;
    let external_id = identity.lock().external_id.clone();
    if issuer == Issuer::AssumeRole && external_id.is_some_and(|id| given.get("ExternalId") != Some(&id)) {
        let message = "You are not authorized to do this action. You should be authorized by RAM.";
        return Err(ApiError::new(403, "NoPermission", message));
    }
    let keys = identity.issue(issuer, role.lifetime, request)?;
    Ok(json!({
        "RequestId": request.request_id,
        "AssumedRoleUser": {
            "Arn": format!("{}/{}", role.arn, role.session_name),
            "AssumedRoleId": format!("391578752573972854:{}", role.session_name),
        },
        "Credentials": keys,
    }))
}

fn check_signature(request: &Request<'_>, given: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if request.parts.headers.contains_key("authorization") {
        return request.checker.check(request.parts, request.body, VERSION, request.now);
    }
    check_version(given)?;
    rpc::check(request.checker, request.parts.method.as_str(), given, request.now)
}

fn check_version(given: &BTreeMap<String, String>) -> Result<(), ApiError> {
    match given.get("Version").map(String::as_str) {
        Some(VERSION) => Ok(()),
        _ => Err(ApiError::new(400, "InvalidVersion", "Specified parameter Version is not valid.")),
    }
}

fn check_token(identity: &Identity, given: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let provider = given.get("OIDCProviderArn").map_or("", String::as_str);
    if !(provider.starts_with("acs:ram::") && provider.contains(":oidc-provider/")) {
        return Err(ApiError::invalid("OIDCProviderArn", "the ARN of an identity provider is expected"));
    }
    if given.get("OIDCToken") == Some(&identity.lock().oidc_token) {
        return Ok(());
    }
    // The service repeats what it does not like.
    let token = given.get("OIDCToken").map_or("", String::as_str);
    let message = format!("This JWT has expired and cannot be used: {token}");
    Err(ApiError::new(400, "AuthenticationFail.OIDCToken.Expired", &message))
}

struct Role {
    arn: String,
    session_name: String,
    lifetime: Duration,
}

fn role(given: &BTreeMap<String, String>) -> Result<Role, ApiError> {
    let text = |name: &str| given.get(name).map(String::as_str).unwrap_or_default();
    let (arn, session_name) = (text("RoleArn"), text("RoleSessionName"));
    if !(arn.starts_with("acs:ram::") && arn.contains(":role/")) {
        return Err(ApiError::invalid("RoleArn", "the ARN of a role is expected"));
    }
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b".@-_".contains(&b);
    if !((2..=64).contains(&session_name.len()) && session_name.bytes().all(is_plain)) {
        return Err(ApiError::invalid("RoleSessionName", "2 to 64 letters, digits and .@-_ are expected"));
    }
    let seconds = match text("DurationSeconds") {
        "" => Some(3_600),
        seconds => seconds.parse().ok().filter(|seconds| (900..=43_200).contains(seconds)),
    };
    let expected = || ApiError::invalid("DurationSeconds", "900 to 43200 are expected");
    let policy = text("Policy");
    if !policy.is_empty() && serde_json::from_str::<serde_json::Value>(policy).is_err() {
        return Err(ApiError::new(400, "MalformedPolicyDocument", "The policy is no JSON."));
    }
    let lifetime = Duration::from_secs(seconds.ok_or_else(expected)?);
    Ok(Role { arn: arn.to_owned(), session_name: session_name.to_owned(), lifetime })
}
