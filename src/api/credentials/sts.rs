//! Roles, assumed at STS (version 2015-04-01). Invariant: a request that carries a secret carries it in its body or as a
//! signature, never in its URL.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use reqwest::{Method, Request};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::AccessCredentials;
use super::error::Failure;
use super::exchange::{Handed, Holds, client, exchange, keys_in};
use super::keys::off_thread;
use super::source::Fetched;
use super::tools::{StsPlace, Tools};
use crate::api::answer::Answer;
use crate::api::attempt::header_map;
use crate::api::error::Cause;
use crate::api::sign;
use crate::api::transport::Origin;
use crate::config::{OidcRole, Role, read_secret};

const VERSION: &str = "2015-04-01";
const FORM: &str = "application/x-www-form-urlencoded";

/// The answer of both operations.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Assumed {
    credentials: Option<Handed>,
}

impl Holds for Assumed {
    fn keys(self) -> Option<Handed> {
        self.credentials
    }
}

/// AssumeRole: keys of a role, for whoever these keys belong to.
pub(super) async fn assume_role(
    tools: &Tools,
    place: &StsPlace,
    role: &Role,
    keys: &AccessCredentials,
) -> Result<Fetched, Failure> {
    let (origin, http) = client(tools, &place.endpoint())?;
    let mut ahead = 0;
    loop {
        let date = sign::date(tools.clock.now() + ahead);
        let request = signed(&origin, role, keys, &date)?;
        let answer =
            exchange(&http, request, &tools.clock).await.map_err(|failure| failure.of("AssumeRole"))?;
        if is_success(&answer) {
            return keys_in::<Assumed>(answer).map_err(|failure| failure.of("AssumeRole"));
        }
        let cause = answer.refusal(keys);
        match &cause {
            // Our clock is wrong: once more, by theirs.
            Cause::Refused(refusal) if ahead == 0 && refusal.code.starts_with("InvalidTimeStamp") => {
                match refusal.clock_ahead_millis {
                    Some(theirs) if theirs != 0 => ahead = theirs,
                    _ => return Err(Failure::from(cause).of("AssumeRole")),
                }
            }
            _ => return Err(Failure::from(cause).of("AssumeRole")),
        }
    }
}

/// AssumeRoleWithOIDC: keys of a role, for whoever holds the token. Without a signature.
pub(super) async fn assume_role_with_oidc(
    tools: &Tools,
    place: &StsPlace,
    oidc: &OidcRole,
) -> Result<Fetched, Failure> {
    let path = oidc.token_file.clone();
    let token = off_thread(move || {
        read_secret(&path).map_err(|why| Failure::absent(format!("the token file {}: {why}", path.display())))
    });
    let token: SecretString = token.await?.expose_secret().trim().into();
    let (origin, http) = client(tools, &place.endpoint())?;
    let mut parameters = parameters(&oidc.role);
    parameters.push(("OIDCProviderArn", oidc.provider_arn.clone()));
    let pairs: Vec<(&str, &str)> = parameters
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .chain([("OIDCToken", token.expose_secret())])
        .collect();
    let body = Zeroizing::new(sign::canonical_query(&pairs));
    let date = sign::date(tools.clock.now());
    let query = sign::canonical_query(&[
        ("Action", "AssumeRoleWithOIDC"),
        ("Format", "JSON"),
        ("Timestamp", &date),
        ("Version", VERSION),
    ]);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
    let request = request(&origin, &query, headers, Some(&body))?;
    let result = match exchange(&http, request, &tools.clock).await {
        Ok(answer) if is_success(&answer) => keys_in::<Assumed>(answer),
        // The token is what an answer must not repeat.
        Ok(answer) => Err(answer.refusal(&masked(&token)).into()),
        Err(failure) => Err(failure),
    };
    result.map_err(|failure| failure.of("AssumeRoleWithOIDC"))
}

fn masked(token: &SecretString) -> AccessCredentials {
    AccessCredentials { id: String::new(), secret: token.clone(), security_token: None }
}

fn is_success(answer: &Answer) -> bool {
    (200..=299).contains(&answer.status)
}

fn parameters(role: &Role) -> Vec<(&'static str, String)> {
    let mut parameters = vec![
        ("RoleArn", role.arn.clone()),
        ("RoleSessionName", role.session_name.clone()),
        ("DurationSeconds", role.duration.as_secs().to_string()),
    ];
    parameters.extend(role.policy.clone().map(|policy| ("Policy", policy)));
    parameters.extend(role.external_id.clone().map(|id| ("ExternalId", id)));
    parameters
}

/// AssumeRole, signed like a request to the service itself: STS takes ACS3, too.
fn signed(origin: &Origin, role: &Role, keys: &AccessCredentials, date: &str) -> Result<Request, Failure> {
    let parameters = parameters(role);
    let query: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let nonce = format!("{:032x}", rand::random::<u128>());
    let payload_hash = sign::payload_hash(b"");
    let mut headers = vec![
        ("host", origin.host.as_str()),
        ("x-acs-action", "AssumeRole"),
        ("x-acs-content-sha256", &payload_hash),
        ("x-acs-date", date),
        ("x-acs-signature-nonce", &nonce),
        ("x-acs-version", VERSION),
    ];
    if let Some(token) = &keys.security_token {
        headers.push(("x-acs-accesskey-id", &keys.id));
        headers.push(("x-acs-security-token", token.expose_secret()));
    }
    let to_sign = sign::Request {
        method: "POST",
        path: "/",
        query: &query,
        headers: &headers,
        payload_hash: &payload_hash,
    };
    let signature = sign::sign(&to_sign, &keys.id, keys.secret.expose_secret());
    let headers =
        header_map(&headers, &signature.authorization).map_err(|error| Failure::absent(error.to_string()))?;
    request(origin, &signature.canonical_query, headers, None)
}

fn request(origin: &Origin, query: &str, headers: HeaderMap, body: Option<&str>) -> Result<Request, Failure> {
    let unsendable = || Failure::absent("a role or a policy that no request can carry");
    let mut request = Request::new(Method::POST, origin.url("/", query).ok_or_else(unsendable)?);
    *request.headers_mut() = headers;
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    *request.body_mut() = Some(body.unwrap_or_default().to_owned().into());
    Ok(request)
}
