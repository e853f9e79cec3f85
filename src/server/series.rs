//! What a counter is made of, at `/api/v1/series`. Invariant: what is wrong with a question is told with what is
//! accepted, and the ledger is asked for what is right alone.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use hyper::header::{HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::status::{API_VERSION, moment, optional_moment};
use super::{Chunks, document};
use crate::clock::UnixMillis;

/// Sessions that are listed where the question does not say.
const LIMIT: usize = 20;
/// The most sessions that may be asked for.
pub const LIMIT_MAX: usize = 1_000;
const JSON: &str = "application/json";

/// A question for what a counter is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesQuery {
    /// Name of the counter.
    pub metric: String,
    /// All other parameters: its labels.
    pub labels: BTreeMap<String, String>,
    /// Sessions to list, 1 to [`LIMIT_MAX`].
    pub limit: usize,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeriesError {
    /// The question is not one; in words, with what is accepted.
    Wrong(String),
    /// There is no such series; in words.
    Unknown(String),
    /// As many questions as may be are being answered.
    Busy,
    /// The ledger could not be read; in words.
    Failed(String),
}

/// An answer that takes its time.
pub type SeriesAnswer = Pin<Box<dyn Future<Output = Result<SeriesReport, SeriesError>> + Send>>;

/// What a counter is made of. Exact figures are integers of up to 64 bits, in `unit`; `value` is what a scrape shows.
#[derive(Clone, Debug, Serialize)]
pub struct SeriesReport {
    /// Name of the counter.
    pub metric: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whose it is.
    pub account: String,
    /// What a scrape shows; none while the gateway's counters are not shown.
    pub value: Option<f64>,
    /// Why a scrape shows that: `counted`, `held_at_zero` or `withheld`.
    pub shown: &'static str,
    /// What the exact figures count.
    pub unit: &'static str,
    /// By what the exact figures are multiplied for `value`.
    pub factor: f64,
    /// The counter, exactly.
    pub total: Figures,
    /// Whether the sessions and the remainder add up to it: always, in a sound ledger.
    pub adds_up: bool,
    /// The sessions that are kept.
    pub sessions: SessionsPart,
    /// What sessions have left that are no longer kept one by one.
    pub pruned: PrunedPart,
    /// What became of usage from before the first sweep.
    pub baseline: BaselinePart,
    /// The sessions that are more than nothing in it, the largest first.
    pub largest: Vec<SessionPart>,
}

/// Exact figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// In the counter.
    pub counted: i64,
    /// Observed, but not in the counter.
    pub excluded: i64,
    /// In the counter, though a downward revision took it back.
    pub overcounted: i64,
}

/// The sessions that are kept.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SessionsPart {
    /// How many.
    pub kept: u64,
    /// How many of them are more than nothing in the counter.
    pub contributing: u64,
    /// How many are listed.
    pub listed: usize,
    /// Their sum.
    #[serde(flatten)]
    pub figures: Figures,
    /// What of `counted` is of sessions that are not listed.
    pub left_out: i64,
}

/// What sessions have left that are no longer kept one by one.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PrunedPart {
    /// How many.
    pub sessions: u64,
    /// Their sum.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What became of usage from before the first sweep.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BaselinePart {
    /// `include` or `exclude`
    pub mode: &'static str,
    /// When the first sweep was complete.
    #[serde(serialize_with = "optional_moment")]
    pub complete: Option<UnixMillis>,
    /// Sessions created before this are from before.
    #[serde(serialize_with = "moment")]
    pub cut: UnixMillis,
    /// The gateway came into being under watch: nothing of it is from before.
    pub born_watched: bool,
}

/// One session.
#[derive(Clone, Debug, Serialize)]
pub struct SessionPart {
    /// `sessionId`
    pub session_id: String,
    /// `state`
    pub state: &'static str,
    /// `createTime`
    #[serde(serialize_with = "optional_moment")]
    pub created: Option<UnixMillis>,
    /// `endTime`
    #[serde(serialize_with = "optional_moment")]
    pub ended: Option<UnixMillis>,
    /// What `counted` is in the unit of the metric.
    pub value: f64,
    /// What it is in the counter.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Reads the part of an address behind its question mark.
pub(super) fn parse(query: &str) -> Result<SeriesQuery, SeriesError> {
    const ACCEPTED: &str =
        "give metric, the metric's labels, and limit if the 20 largest sessions are not enough";
    let mut parameters = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if parameters.insert(name.to_string(), value.into_owned()).is_some() {
            return Err(SeriesError::Wrong(format!("the parameter {name:?} is given twice; {ACCEPTED}")));
        }
    }
    let missing = || SeriesError::Wrong(format!("the parameter metric is missing; {ACCEPTED}"));
    let metric = parameters.remove("metric").ok_or_else(missing)?;
    let limit = match parameters.remove("limit") {
        None => LIMIT,
        Some(text) => {
            let wrong = || SeriesError::Wrong(format!("limit: expected a number from 1 to {LIMIT_MAX}"));
            text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(wrong)?
        }
    };
    Ok(SeriesQuery { metric, labels: parameters, limit })
}

/// What is told of it.
pub(super) fn respond(result: &Result<SeriesReport, SeriesError>) -> Response<Chunks> {
    #[derive(Serialize)]
    struct Told<'a> {
        api_version: u32,
        #[serde(flatten)]
        report: Option<&'a SeriesReport>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
    }
    let (status, error) = match result {
        Ok(_) => (StatusCode::OK, None),
        Err(SeriesError::Wrong(why)) => (StatusCode::BAD_REQUEST, Some(why.as_str())),
        Err(SeriesError::Unknown(why)) => (StatusCode::NOT_FOUND, Some(why.as_str())),
        Err(SeriesError::Busy) => {
            let why = "as many questions as may be are being answered; ask again in a second";
            (StatusCode::SERVICE_UNAVAILABLE, Some(why))
        }
        Err(SeriesError::Failed(why)) => (StatusCode::INTERNAL_SERVER_ERROR, Some(why.as_str())),
    };
    let told = Told { api_version: API_VERSION, report: result.as_ref().ok(), error };
    // Texts and numbers: nothing that JSON could not hold.
    let mut json = serde_json::to_vec(&told).unwrap_or_default();
    json.push(b'\n');
    let mut response = document::guarded(JSON, Chunks::new([json.into()]));
    *response.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(query: &str) -> String {
        match parse(query) {
            Err(SeriesError::Wrong(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_question_is_a_metric_its_labels_and_a_limit() {
        let query = parse("metric=m&queue=a%26b+c&workspace_id=&limit=1000").unwrap();
        let labels = [("queue", "a&b c"), ("workspace_id", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(query, SeriesQuery { metric: "m".into(), labels: labels.into(), limit: 1_000 });
        assert_eq!(parse("metric=m").unwrap().limit, 20);
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_accepted() {
        assert!(wrong("").starts_with("the parameter metric is missing; give metric, the metric's labels"));
        assert!(
            wrong("metric=m&queue=a&queue=b").starts_with("the parameter \"queue\" is given twice; give")
        );
        for limit in ["0", "1001", "-1", "many", "", "18446744073709551616"] {
            assert_eq!(wrong(&format!("metric=m&limit={limit}")), "limit: expected a number from 1 to 1000");
        }
    }

    #[test]
    fn a_refusal_has_its_status_and_its_words() {
        let status = |error| respond(&Err(error)).status().as_u16();
        assert_eq!(status(SeriesError::Wrong(String::new())), 400);
        assert_eq!(status(SeriesError::Unknown(String::new())), 404);
        assert_eq!(status(SeriesError::Failed(String::new())), 500);
        let busy = respond(&Err(SeriesError::Busy));
        assert_eq!((busy.status().as_u16(), busy.headers()[RETRY_AFTER].to_str().unwrap()), (503, "1"));
    }
}
