//! From status, headers and body to rows or a cause of failure. Invariant: pure; what the service says is made safe to
//! print before it leaves this file.

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use jiff::fmt::rfc2822;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::credentials::AccessCredentials;
use super::error::{Cause, Problem};
use super::refusal::Refusal;
use super::text::{MESSAGE_CHARS_MAX, printable};
use super::wire::{Body, Found, Row, Workspace, parse};
use crate::clock::UnixMillis;

/// The longest code, request id or content type that is kept, in characters.
const NAME_CHARS_MAX: usize = 100;
/// The `code` of an envelope that says success, as text or as number.
const ENVELOPE_SUCCESS: &str = "1000000";

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows that could be read; each has its id.
    pub rows: Vec<T>,
    /// What leads to the next page; `None` where it is absent, null or empty.
    pub next_token: Option<String>,
    /// How many rows the list has over all pages, where the answer says so.
    pub total_count: Option<u64>,
    /// Rows in the answer, with the malformed ones.
    pub row_count: usize,
    /// Rows that are no objects or have no id.
    pub malformed_rows: usize,
    /// What the service calls the request in its own logs.
    pub request_id: Option<String>,
    /// The service's clock, where its `Date` header tells.
    pub server_date: Option<UnixMillis>,
}

/// An answer as it came.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Our clock when its head came.
    pub(super) received: UnixMillis,
}

impl Answer {
    /// The body of an answer that says success, its rows at `place`.
    pub(super) fn body<T: Row>(
        &self,
        place: &'static [&'static str],
        keys: &AccessCredentials,
    ) -> Result<Body<T>, Cause> {
        let parsed = self.parse::<T>(place);
        match self.status {
            200..=299 => {}
            300..=399 => return Err(self.malformed(None, keys, Problem::Redirect)),
            _ => return Err(self.refused(parsed, keys)),
        }
        let body = match parsed {
            Ok(body) => body,
            Err(problem) => return Err(self.malformed(None, keys, problem)),
        };
        // An envelope answers HTTP 200 whatever happened; elsewhere a code instead of the rows is an error, too.
        let is_envelope = place.len() > 1;
        let nothing = matches!(body.found, Found::Nothing);
        match body.head.code.as_deref() {
            Some(ENVELOPE_SUCCESS) => Ok(body),
            None if is_envelope => {
                Err(self.malformed(body.head.request_id.as_deref(), keys, Problem::NoCode))
            }
            Some(code) if is_envelope || (nothing && code != "200") => Err(self.refused(Ok(body), keys)),
            _ => Ok(body),
        }
    }

    /// The page that a body is.
    ///
    /// A list may be null or left out where there is nothing to list: that is an empty page, if the answer carries a
    /// request id, as all of the service's do, and no total that says otherwise.
    pub(super) fn page<T: Row>(
        &self,
        body: Body<T>,
        name: &'static str,
        keys: &AccessCredentials,
    ) -> Result<Page<T>, Cause> {
        let head = body.head;
        let (rows, row_count) = match body.found {
            Found::List { rows, row_count } => (rows, row_count),
            Found::Nothing if head.request_id.is_some() && head.total_count.unwrap_or(0) == 0 => {
                (Vec::new(), 0)
            }
            Found::Nothing => {
                return Err(self.malformed(head.request_id.as_deref(), keys, Problem::Missing(name)));
            }
            Found::Object(_) | Found::Other => {
                return Err(self.malformed(head.request_id.as_deref(), keys, Problem::WrongType(name)));
            }
        };
        Ok(Page {
            malformed_rows: row_count - rows.len(),
            row_count,
            rows,
            next_token: head.next_token,
            total_count: head.total_count,
            request_id: self.request_id(head.request_id.as_deref(), keys),
            server_date: self.server_date(),
        })
    }

    /// The one object that a body holds.
    pub(super) fn one<T: Row>(
        &self,
        body: Body<T>,
        name: &'static str,
        keys: &AccessCredentials,
    ) -> Result<T, Cause> {
        let problem = match body.found {
            Found::Object(Some(row)) => return Ok(row),
            Found::Nothing => Problem::Missing(name),
            Found::Object(None) | Found::List { .. } | Found::Other => Problem::WrongType(name),
        };
        Err(self.malformed(body.head.request_id.as_deref(), keys, problem))
    }

    /// What an answer that says no says, whatever was asked.
    pub(super) fn refusal(&self, keys: &AccessCredentials) -> Cause {
        self.refused(self.parse::<Workspace>(&["workspaces"]), keys)
    }

    fn parse<T: Row>(&self, place: &'static [&'static str]) -> Result<Body<T>, Problem> {
        // Bytes that are no UTF-8 become replacement characters: they spoil a name, not the page.
        let text =
            str::from_utf8(&self.body).map_or_else(|_| String::from_utf8_lossy(&self.body), Cow::Borrowed);
        let start = text.trim_start();
        if start.is_empty() {
            return Err(Problem::Empty);
        }
        parse(&text, place).map_err(|error| {
            let content_type = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
            let (line, column) = (error.line(), error.column());
            if start.starts_with('<') {
                Problem::Html
            } else if !(content_type.is_empty() || content_type.to_ascii_lowercase().contains("json")) {
                Problem::ContentType(printable(content_type, NAME_CHARS_MAX))
            } else if error.is_eof() {
                Problem::Cut { line, column }
            } else {
                Problem::NotJson { line, column }
            }
        })
    }

    fn refused<T>(&self, parsed: Result<Body<T>, Problem>, keys: &AccessCredentials) -> Cause {
        let (code, message, request_id) = match parsed {
            Ok(body) => (body.head.code, body.head.message, body.head.request_id),
            Err(problem) => (None, Some(problem.to_string()), None),
        };
        Cause::Refused(Refusal {
            status: self.status,
            code: safe(&code.unwrap_or_default(), NAME_CHARS_MAX, keys),
            message: safe(&message.unwrap_or_default(), MESSAGE_CHARS_MAX, keys),
            request_id: self.request_id(request_id.as_deref(), keys),
            asks_to_slow_down: self.asks_to_slow_down(),
            retry_after: self.retry_after(),
            clock_ahead_millis: self.server_date().map(|theirs| theirs - self.received),
        })
    }

    fn malformed(&self, request_id: Option<&str>, keys: &AccessCredentials, problem: Problem) -> Cause {
        Cause::Malformed { status: self.status, request_id: self.request_id(request_id, keys), problem }
    }

    fn request_id(&self, from_body: Option<&str>, keys: &AccessCredentials) -> Option<String> {
        from_body.or_else(|| self.header("x-acs-request-id")).map(|id| safe(id, NAME_CHARS_MAX, keys))
    }

    /// What `x-acs-retry-after` says by its presence alone.
    pub(super) fn asks_to_slow_down(&self) -> bool {
        self.headers.contains_key("x-acs-retry-after")
    }

    /// How far the service's clock is ahead of ours, in milliseconds; `Date` has whole seconds, of which half has passed.
    pub(super) fn clock_ahead(&self) -> Option<i64> {
        Some(self.server_date()?.saturating_add(500).saturating_sub(self.received))
    }

    /// `x-acs-retry-after` in milliseconds, else `Retry-After` in seconds or as a date, which is by the service's clock.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        if let Some(millis) = self.header("x-acs-retry-after").and_then(|text| text.trim().parse().ok()) {
            return Some(Duration::from_millis(millis));
        }
        let text = self.header(RETRY_AFTER.as_str())?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let now = self.server_date().unwrap_or(self.received);
        u64::try_from(http_date(text)? - now).ok().map(Duration::from_millis)
    }

    pub(super) fn server_date(&self) -> Option<UnixMillis> {
        http_date(self.header(DATE.as_str())?)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn http_date(text: &str) -> Option<UnixMillis> {
    static PARSER: rfc2822::DateTimeParser = rfc2822::DateTimeParser::new();
    PARSER.parse_timestamp(text.trim()).ok().map(|timestamp| timestamp.as_millisecond())
}

/// A text of the service without keys and tokens, in one line. The service repeats what it was sent where a signature
/// does not match, the security token with it.
fn safe(text: &str, chars_max: usize, keys: &AccessCredentials) -> String {
    let mut text = text.to_owned();
    for secret in keys.confidential().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
        let encoded = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
        text = text.replace(&encoded, "***");
    }
    printable(&text, chars_max)
}
