//! The simulated rate limit: a token bucket in real time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::errors::ApiError;

/// The form in which a throttled answer comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThrottleForm {
    /// 429, 400 or 503.
    pub status: u16,
    /// `Throttling`, `Throttling.User`, `Throttling.Api` or, with 503, `ServiceUnavailable`.
    pub code: String,
    /// Sent as `x-acs-retry-after`, in milliseconds.
    pub acs_retry_after: Option<Duration>,
    /// Sent as `Retry-After`, in whole seconds, rounded up.
    pub retry_after: Option<Duration>,
}

impl ThrottleForm {
    /// 429 `Throttling.User` with `x-acs-retry-after`.
    pub fn too_many_requests(retry_after: Duration) -> Self {
        Self {
            status: 429,
            code: "Throttling.User".into(),
            acs_retry_after: Some(retry_after),
            retry_after: None,
        }
    }

    /// 400 `Throttling.Api` with no header: told by its code alone.
    pub fn bad_request() -> Self {
        Self { status: 400, code: "Throttling.Api".into(), acs_retry_after: None, retry_after: None }
    }

    /// 503 `Throttling` with the standard `Retry-After`.
    pub fn unavailable(retry_after: Duration) -> Self {
        Self { status: 503, code: "Throttling".into(), acs_retry_after: None, retry_after: Some(retry_after) }
    }

    pub(crate) fn error(&self) -> ApiError {
        let mut error =
            ApiError::new(self.status, &self.code, "Request was denied due to user flow control.");
        if let Some(wait) = self.acs_retry_after {
            error.headers.push(("x-acs-retry-after", wait.as_millis().to_string()));
        }
        if let Some(wait) = self.retry_after {
            error.headers.push(("retry-after", wait.as_millis().div_ceil(1_000).to_string()));
        }
        error
    }
}

impl Default for ThrottleForm {
    fn default() -> Self {
        Self::too_many_requests(Duration::from_millis(500))
    }
}

/// Lets through a number of requests a second, with a burst of one second's worth and at least one.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    level: Mutex<(f64, Instant)>,
}

impl Bucket {
    pub(crate) fn new(per_second: f64) -> Self {
        Self { per_second, level: Mutex::new((per_second.max(1.0), Instant::now())) }
    }

    /// Takes one request out of the bucket, or says that it is empty.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(level.1).as_secs_f64();
        let filled = (level.0 + passed * self.per_second).min(self.per_second.max(1.0));
        let taken = filled >= 1.0;
        *level = (if taken { filled - 1.0 } else { filled }, now.max(level.1));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_lets_through_its_rate() {
        let bucket = Bucket::new(10.0);
        let start = Instant::now();
        let passed = |from: u64, count: u64| {
            (0..count).filter(|n| bucket.take(start + Duration::from_millis(from + n * 10))).count()
        };
        assert!((29..=31).contains(&passed(0, 200)), "a burst of 10 and 10 a second for two seconds");
        assert_eq!(passed(10_000, 1), 1);
    }

    #[test]
    fn each_form_says_it_in_its_own_way() {
        let form = ThrottleForm::too_many_requests(Duration::from_millis(1_500)).error();
        assert_eq!((form.status, form.code.as_str()), (429, "Throttling.User"));
        assert_eq!(form.headers, [("x-acs-retry-after", "1500".to_owned())]);
        let form = ThrottleForm::bad_request().error();
        assert_eq!((form.status, form.headers.len()), (400, 0));
        let form = ThrottleForm::unavailable(Duration::from_millis(1_500)).error();
        assert_eq!((form.status, form.headers), (503, vec![("retry-after", "2".to_owned())]));
    }
}
