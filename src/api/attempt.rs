//! One request, attempt by attempt. Invariant: every attempt passes the limits and is signed anew; dropping the future
//! ends whatever is under way.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::advice::{Obstacle, obstacle};
use super::answer::Answer;
use super::circuit::Barred;
use super::client::{Present, Shared};
use super::credentials::{AccessCredentials, CredentialsError};
use super::error::{ApiError, Cause, Subject};
use super::pace::{PAUSE_MAX, Turn};
use super::sign;
use super::wire::{Body, Row};
use crate::clock::UnixMillis;
use crate::model::{FailureReason, Outcome};

/// `x-acs-version`
const API_VERSION: &str = "2023-08-08";
/// Before the first retry.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// The longest wait of our own choice. Jitter adds up to as much again as the delay that doubles: that one stops at half.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// The largest share by which a wait that the service asks for is made longer, so that those who wait do not come at once.
const RETRY_AFTER_JITTER: f64 = 0.1;
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
    /// Sends a request until it succeeds, fails for good, the retries are used up, or the next one would come too late.
    pub(super) async fn call<T: Row, R>(
        &self,
        call: Call,
        deadline: Option<Instant>,
        shape: Shape<T, R>,
    ) -> Result<R, ApiError> {
        let mut delays = ExponentialBuilder::new()
            .with_min_delay(BACKOFF_MIN)
            .with_max_delay(BACKOFF_MAX / 2)
            .with_max_times(self.present.borrow().retries)
            .with_jitter()
            .build();
        let (mut attempts, mut is_redated) = (0, false);
        let cause = loop {
            let begun = Instant::now();
            attempts += 1;
            let cause = match self.attempt(&call, deadline, shape).await {
                Ok(result) => return Ok(result),
                Err(cause) => cause,
            };
            let delay = if matches!(cause, Cause::Misdated(_)) && !is_redated {
                is_redated = true;
                Some(Duration::ZERO)
            } else if cause.is_retryable() {
                delays.next().map(|delay| wait(&cause, delay))
            } else {
                None
            };
            let Some(delay) = delay else { break cause };
            // One that takes as long as the one before must still end in time.
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now + delay + (now - begun) >= deadline) {
                break cause;
            }
            tokio::time::sleep(delay).await;
        };
        let resume = self.circuits.resume(&call.subject);
        Err(ApiError::new(call.subject, attempts, cause, resume))
    }

    async fn attempt<T: Row, R>(
        &self,
        call: &Call,
        deadline: Option<Instant>,
        shape: Shape<T, R>,
    ) -> Result<R, Cause> {
        // Before the wait, so that what would be held back fails at once.
        let key = self.keys().await?.1.fingerprint();
        let barred = |barred: Box<Barred>| Cause::Barred(barred.at(self.clock.now()));
        self.circuits.check(&call.subject, key).map_err(barred)?;
        // First a place, then a turn: so that the rate counts requests as they start.
        let _place = self.in_flight.place().await;
        let turn = self.pace.turn(deadline).await.map_err(Cause::TooLate)?;
        // Asked for anew: after a long wait they may be others.
        let (present, keys) = self.keys().await?;
        let offset = self.clock_offset.millis();
        let request = self.signed(call, &present, &keys, self.clock.now().saturating_add(offset))?;
        let admitted = self.circuits.admit(&call.subject, keys.fingerprint()).map_err(barred)?;

        let started = Instant::now();
        let exchanged = self.exchange(&present, request).await;
        let took = started.elapsed();
        let answer = match exchanged {
            Ok(answer) => answer,
            Err(cause) => {
                self.observer.on_attempt(call.subject.action, Outcome::Failure(cause.reason()), took);
                return Err(cause);
            }
        };
        let result = self.read(call, shape, &answer, &keys);
        if let Err(Cause::Refused(refusal)) = &result {
            present.credentials.rejected(&keys, &refusal.code);
        }
        let outcome =
            result.as_ref().map_or_else(|cause| Outcome::Failure(cause.reason()), |_| Outcome::Success);
        self.observer.on_attempt(call.subject.action, outcome, took);
        self.learn(&answer, turn, result.as_ref().err());
        let result = result.map_err(|cause| match cause {
            Cause::Refused(refusal) if refusal.is_expired_date() && self.clock_offset.millis() != offset => {
                Cause::Misdated(refusal)
            }
            cause => cause,
        });
        admitted.settle(result.as_ref().map(|_| ()));
        result
    }

    /// The settings of an attempt, with keys: of those that are in force when they come, not of those that were when
    /// the wait for them began.
    async fn keys(&self) -> Result<(Arc<Present>, Arc<AccessCredentials>), CredentialsError> {
        let mut settings = self.present.subscribe();
        loop {
            let present = Arc::clone(&settings.borrow_and_update());
            tokio::select! {
                keys = present.credentials.credentials() => return keys.map(|keys| (Arc::clone(&present), keys)),
                // The sender lives as long as the client.
                _ = settings.changed() => {}
            }
        }
    }

    fn read<T: Row, R>(
        &self,
        call: &Call,
        shape: Shape<T, R>,
        answer: &Answer,
        keys: &AccessCredentials,
    ) -> Result<R, Cause> {
        let body = answer.body(call.place, keys)?;
        for &field in &body.malformed {
            self.observer.on_malformed(field);
        }
        shape(answer, body, call.place[call.place.len() - 1], keys)
    }

    /// Takes from an answer how fast requests may start, and what time the service has.
    fn learn(&self, answer: &Answer, turn: Turn, cause: Option<&Cause>) {
        let is_throttled = cause.is_some_and(|cause| cause.reason() == FailureReason::Throttled);
        if is_throttled || answer.asks_to_slow_down() {
            self.pace.throttled(turn, answer.retry_after().unwrap_or(Duration::ZERO));
        } else if cause.is_none() {
            self.pace.answered(turn);
        }
        self.observer.on_pace(self.pace.rate());

        // What cannot be understood may come from something on the way, with a clock of its own.
        let is_of_the_service = !matches!(cause, Some(Cause::Malformed { .. }))
            && !matches!(cause, Some(Cause::Refused(refusal)) if refusal.code.is_empty());
        if let Some(ahead) = answer.clock_ahead().filter(|_| is_of_the_service) {
            #[expect(clippy::cast_precision_loss, reason = "a difference of milliseconds in this century")]
            self.observer.on_clock_offset(ahead as f64 / 1_000.0);
            if self.clock_offset.measured(ahead) {
                self.observer.on_clock_corrected(self.clock_offset.millis() / 1_000);
            }
        }
    }

    /// The request, signed with a fresh nonce for this moment of the service's clock.
    fn signed(
        &self,
        call: &Call,
        present: &Present,
        keys: &AccessCredentials,
        now: UnixMillis,
    ) -> Result<reqwest::Request, Cause> {
        let segments: Vec<&str> = call.path.iter().map(String::as_str).collect();
        let path = sign::canonical_path(&segments).ok_or(Cause::Unsendable("an id that no path can hold"))?;
        let query: Vec<(&str, &str)> =
            call.query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let date = sign::date(now);
        let nonce = format!("{:032x}", rand::random::<u128>());
        let payload_hash = sign::payload_hash(b"");
        let mut headers = vec![
            ("host", present.transport.origin.host.as_str()),
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
        let url = present
            .transport
            .origin
            .url(&path, &signature.canonical_query)
            .ok_or(Cause::Unsendable("a path or query that would not be sent as signed"))?;
        let mut request = reqwest::Request::new(reqwest::Method::GET, url);
        *request.headers_mut() = header_map(&headers, &signature.authorization)?;
        *request.timeout_mut() = Some(present.timeout);
        Ok(request)
    }

    async fn exchange(&self, present: &Present, request: reqwest::Request) -> Result<Answer, Cause> {
        let Present { transport, body_bytes_max, .. } = present;
        let mut response = transport.http.execute(request).await.map_err(|error| lost(error, unconnected))?;
        let received = self.clock.now();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(error, Cause::Cut))? {
            // Counted as it comes out of gzip: a small answer can unfold into any size.
            if body.len() + chunk.len() > *body_bytes_max {
                return Err(Cause::TooLarge { bytes_max: *body_bytes_max });
            }
            body.extend_from_slice(&chunk);
        }
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        Ok(Answer { status, headers, body, received })
    }
}

/// The wait before a retry: the service's wish, else our own delay.
fn wait(cause: &Cause, delay: Duration) -> Duration {
    match cause.retry_after() {
        Some(asked) if !asked.is_zero() => {
            asked.min(PAUSE_MAX).mul_f64(1.0 + RETRY_AFTER_JITTER * rand::random::<f64>())
        }
        _ => delay.min(BACKOFF_MAX),
    }
}

/// A transport error, without the URL: it would repeat path and query in every message.
pub(super) fn lost(error: reqwest::Error, otherwise: fn(reqwest::Error) -> Cause) -> Cause {
    let error = error.without_url();
    if error.is_timeout() { Cause::Timeout(error) } else { otherwise(error) }
}

fn unconnected(error: reqwest::Error) -> Cause {
    match obstacle(&error) {
        Obstacle::Name => Cause::Unresolved(error),
        Obstacle::Tls => Cause::Tls(error),
        Obstacle::Connection => Cause::Unreachable(error),
    }
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
    use crate::api::refusal::Refusal;
    use crate::api::refusal::tests::refusal;

    #[test]
    fn the_service_has_a_say_in_the_wait_up_to_a_minute() {
        let asks = |retry_after| Cause::Refused(Refusal { retry_after, ..refusal(429, "") });
        let own = Duration::from_millis(300);
        for (asked, least) in [(20, 20), (3_600_000, 60_000)] {
            let waits = wait(&asks(Some(Duration::from_millis(asked))), own).as_millis();
            assert!((least..=least + least / 10).contains(&waits), "{asked}: {waits}");
        }
        assert_eq!(wait(&asks(Some(Duration::ZERO)), own), own);
        assert_eq!(wait(&asks(None), Duration::from_secs(11)), BACKOFF_MAX);
    }
}
