//! Small requests for keys, and the keys in their answers. Invariant: a bounded body, overwritten once it is read.

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;

use super::AccessCredentials;
use super::error::Failure;
use super::source::{Expiry, Fetched};
use super::tools::Tools;
use crate::api::answer::Answer;
use crate::api::attempt::lost;
use crate::api::error::{Cause, SetupError};
use crate::api::text::printable;
use crate::api::transport::{Origin, http_client};
use crate::clock::Clock;
use crate::config::{self, Endpoint, Network};

/// Keys take 2 KiB or so.
const BODY_BYTES_MAX: usize = 64 << 10;

/// The client for an endpoint, with the settings' authorities and timeouts, and for https with their proxy: keys in the
/// clear are for nobody on the way.
pub(super) fn client(tools: &Tools, endpoint: &Endpoint) -> Result<(Origin, reqwest::Client), Failure> {
    let built = || -> Result<_, SetupError> {
        let origin = Origin::new("", Network::Public, Some(endpoint))?;
        let limits = tools.limits.load();
        let proxy = limits.proxy.clone().filter(|_| endpoint.https);
        let http = http_client(&origin, &config::Api { proxy, ..config::Api::clone(&limits) })?;
        Ok((origin, http))
    };
    built().map_err(|error| Failure::from(Cause::from(error)))
}

/// Sends a request, and reads its answer whatever the status.
pub(super) async fn exchange(
    http: &reqwest::Client,
    request: reqwest::Request,
    clock: &Clock,
) -> Result<Answer, Failure> {
    let mut response = http.execute(request).await.map_err(|error| lost(error, Cause::Unreachable))?;
    // Of its full size at once: a buffer that grows leaves copies behind.
    let mut body = Vec::with_capacity(BODY_BYTES_MAX);
    while let Some(chunk) = response.chunk().await.map_err(|error| lost(error, Cause::Cut))? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(Failure::malformed("an answer of more than 64 KiB"));
        }
        body.extend_from_slice(&chunk);
    }
    let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
    Ok(Answer { status, headers, body, received: clock.now() })
}

/// Keys as STS, the metadata service and a credentials URI write them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Handed {
    code: Option<String>,
    access_key_id: Option<String>,
    access_key_secret: Option<SecretString>,
    security_token: Option<SecretString>,
    expiration: Option<String>,
}

/// Where in the answer the keys are.
pub(super) trait Holds: for<'de> Deserialize<'de> {
    fn keys(self) -> Option<Handed>;
}

impl Holds for Handed {
    fn keys(self) -> Option<Handed> {
        Some(self)
    }
}

/// The keys in an answer that says success.
pub(super) fn keys_in<T: Holds>(mut answer: Answer) -> Result<Fetched, Failure> {
    let body = Zeroizing::new(std::mem::take(&mut answer.body));
    // The reader's own message may show a value.
    let parsed: T = serde_json::from_slice(&body)
        .map_err(|_| Failure::malformed("an answer that is not the JSON that was expected"))?;
    let handed = parsed.keys().ok_or_else(|| Failure::malformed("an answer without `Credentials`"))?;
    if let Some(code) = handed.code.filter(|code| code != "Success") {
        return Err(Failure::absent(format!("an answer with the code {:?}", printable(&code, 100))));
    }
    let missing = |name: &str| Failure::malformed(format!("an answer without `{name}`"));
    let expiration = handed.expiration.ok_or_else(|| missing("Expiration"))?;
    let at = expiration
        .parse::<jiff::Timestamp>()
        .map_err(|_| Failure::malformed("an answer whose `Expiration` is no time"))?
        .as_millisecond();
    let now = answer.server_date().unwrap_or(answer.received);
    let left = u64::try_from(at - now).ok().filter(|left| *left > 0).ok_or_else(|| {
        Failure::absent(format!("the keys that came have expired at {}", printable(&expiration, 40)))
    })?;
    let text = |value: Option<SecretString>, name: &str| value.ok_or_else(|| missing(name));
    let keys = AccessCredentials {
        id: handed.access_key_id.filter(|id| !id.is_empty()).ok_or_else(|| missing("AccessKeyId"))?,
        secret: text(handed.access_key_secret, "AccessKeySecret")?,
        security_token: Some(text(handed.security_token, "SecurityToken")?),
    };
    let left = std::time::Duration::from_millis(left);
    Ok(Fetched { keys, expiry: Some(Expiry { at, left }) })
}
