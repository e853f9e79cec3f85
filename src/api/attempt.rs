//! One request, attempt by attempt. Invariant: every attempt passes the limits and is signed anew; dropping the future
//! ends whatever is under way.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use super::answer::Answer;
use super::client::Shared;
use super::credentials::{AccessCredentials, CredentialsError};
use super::error::{ApiError, Cause, Subject};
use super::sign;
use super::wire::{Body, Row};
use crate::model::Outcome;

/// `x-acs-version`
const API_VERSION: &str = "2023-08-08";
/// Before the first retry.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// The longest wait of our own choice. Jitter adds up to as much again as the delay that doubles: that one stops at half.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// The longest wait that the service can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// The longest path and query that is sent: servers refuse longer request lines anyhow.
const TARGET_BYTES_MAX: usize = 8 * 1024;

/// A request before it is signed.
pub(super) struct Call {
    pub(super) subject: Subject,
    /// Before encoding.
    pub(super) path: Vec<String>,
    /// Before encoding.
    pub(super) query: Vec<(&'static str, String)>,
    /// Where the answer holds the rows: the keys that lead to them.
    pub(super) place: &'static [&'static str],
}

/// What becomes of a good body.
pub(super) type Shape<T, R> = fn(&Answer, Body<T>, &'static str, &AccessCredentials) -> Result<R, Cause>;

impl Shared {
    /// Sends a request until it succeeds, fails for good, or the retries are used up.
    pub(super) async fn call<T: Row, R>(&self, call: Call, shape: Shape<T, R>) -> Result<R, ApiError> {
        let attempts = AtomicU32::new(0);
        let backoff = ExponentialBuilder::new()
            .with_min_delay(BACKOFF_MIN)
            .with_max_delay(BACKOFF_MAX / 2)
            .with_max_times(self.retries)
            .with_jitter();
        let attempt = || {
            attempts.fetch_add(1, Ordering::Relaxed);
            self.attempt(&call, shape)
        };
        let result = attempt
            .retry(backoff)
            .sleep(tokio::time::sleep)
            .when(Cause::is_retryable)
            .adjust(|cause, delay| delay.map(|delay| wait(cause, delay)))
            .await;
        result.map_err(|cause| ApiError::new(call.subject, attempts.into_inner(), cause))
    }

    async fn attempt<T: Row, R>(&self, call: &Call, shape: Shape<T, R>) -> Result<R, Cause> {
        // First a place, then a turn: so that the rate counts requests as they start.
        let _place = self.in_flight.acquire().await;
        self.rate.until_ready().await;
        let keys = self.credentials.credentials().await?;
        let request = self.signed(call, &keys)?;

        let started = Instant::now();
        let exchanged = self.exchange(request).await;
        let result = exchanged.and_then(|answer| {
            let body = answer.body(call.place, &keys)?;
            for &field in &body.malformed {
                self.observer.on_malformed(field);
            }
            shape(&answer, body, call.place[call.place.len() - 1], &keys)
        });
        if let Err(Cause::Refused(refusal)) = &result {
            self.credentials.rejected(&keys, &refusal.code);
        }
        let outcome =
            result.as_ref().map_or_else(|cause| Outcome::Failure(cause.reason()), |_| Outcome::Success);
        self.observer.on_attempt(call.subject.action, outcome, started.elapsed());
        result
    }

    /// The request, signed with a fresh nonce at this moment.
    fn signed(&self, call: &Call, keys: &AccessCredentials) -> Result<reqwest::Request, Cause> {
        let segments: Vec<&str> = call.path.iter().map(String::as_str).collect();
        let path = sign::canonical_path(&segments).ok_or(Cause::Unsendable("an id that no path can hold"))?;
        let query: Vec<(&str, &str)> =
            call.query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let date = sign::date(self.clock.now());
        let nonce = format!("{:032x}", rand::random::<u128>());
        let payload_hash = sign::payload_hash(b"");
        let mut headers = vec![
            ("host", self.origin.host.as_str()),
            ("x-acs-action", call.subject.action.as_str()),
            ("x-acs-content-sha256", &payload_hash),
            ("x-acs-date", &date),
            ("x-acs-signature-nonce", &nonce),
            ("x-acs-version", API_VERSION),
        ];
        if let Some(token) = &keys.security_token {
            headers.push(("x-acs-accesskey-id", &keys.id));
            headers.push(("x-acs-security-token", token.expose_secret()));
        }
        let to_sign = sign::Request {
            method: "GET",
            path: &path,
            query: &query,
            headers: &headers,
            payload_hash: &payload_hash,
        };
        let signature = sign::sign(&to_sign, &keys.id, keys.secret.expose_secret());
        if path.len() + signature.canonical_query.len() > TARGET_BYTES_MAX {
            return Err(Cause::Unsendable("an id or a token that is too long to send"));
        }
        let url = self
            .origin
            .url(&path, &signature.canonical_query)
            .ok_or(Cause::Unsendable("a path or query that would not be sent as signed"))?;
        let mut request = reqwest::Request::new(reqwest::Method::GET, url);
        *request.headers_mut() = header_map(&headers, &signature.authorization)?;
        Ok(request)
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Answer, Cause> {
        let mut response =
            self.http.execute(request).await.map_err(|error| lost(error, Cause::Unreachable))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(error, Cause::Cut))? {
            // Counted as it comes out of gzip: a small answer can unfold into any size.
            if body.len() + chunk.len() > self.body_bytes_max {
                return Err(Cause::TooLarge { bytes_max: self.body_bytes_max });
            }
            body.extend_from_slice(&chunk);
        }
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        Ok(Answer { status, headers, body, received: self.clock.now() })
    }
}

/// The wait before a retry: the service's wish, else our own delay.
fn wait(cause: &Cause, delay: Duration) -> Duration {
    match cause.retry_after() {
        Some(asked) if !asked.is_zero() => asked.min(RETRY_AFTER_MAX),
        _ => delay.min(BACKOFF_MAX),
    }
}

/// A transport error, without the URL: it would repeat path and query in every message.
pub(super) fn lost(error: reqwest::Error, otherwise: fn(reqwest::Error) -> Cause) -> Cause {
    let error = error.without_url();
    if error.is_timeout() { Cause::Timeout(error) } else { otherwise(error) }
}

/// The headers on the wire; `Host` is left to the HTTP client, which sends the one that was signed.
pub(super) fn header_map(
    signed: &[(&str, &str)],
    authorization: &str,
) -> Result<HeaderMap, CredentialsError> {
    let mut map = HeaderMap::with_capacity(signed.len() + 4);
    for &(name, value) in signed.iter().filter(|(name, _)| *name != "host") {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| CredentialsError::Unsendable)?;
        map.insert(name, sensitive(value)?);
    }
    map.insert(AUTHORIZATION, sensitive(authorization)?);
    map.insert(ACCEPT, HeaderValue::from_static("application/json"));
    Ok(map)
}

fn sensitive(value: &str) -> Result<HeaderValue, CredentialsError> {
    let mut value = HeaderValue::from_str(value.trim()).map_err(|_| CredentialsError::Unsendable)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::error::Refusal;

    #[test]
    fn the_service_has_a_say_in_the_wait_up_to_a_minute() {
        let asks = |retry_after| {
            Cause::Refused(Refusal {
                status: 429,
                code: String::new(),
                message: String::new(),
                request_id: None,
                asks_to_slow_down: false,
                retry_after,
                clock_ahead_millis: None,
            })
        };
        let own = Duration::from_millis(300);
        assert_eq!(wait(&asks(Some(Duration::from_millis(20))), own), Duration::from_millis(20));
        assert_eq!(wait(&asks(Some(Duration::from_secs(3600))), own), RETRY_AFTER_MAX);
        assert_eq!(wait(&asks(Some(Duration::ZERO)), own), own);
        assert_eq!(wait(&asks(None), Duration::from_secs(11)), BACKOFF_MAX);
    }
}
