//! What a counter is made of, at `/api/v1/series`. Invariant: what is wrong with a question is told with what is
//! accepted, and the ledger is asked for what is right alone.

mod page;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use hyper::header::{HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use percent_encoding::percent_decode_str;
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
    /// Whether the answer is to be a page.
    pub for_people: bool,
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
    /// One of these, in answer to a question for a page.
    ForPeople(Box<Self>),
}

impl SeriesError {
    /// As a page, where the question was for one.
    pub fn for_people(self, is_page: bool) -> Self {
        if is_page { Self::ForPeople(Box::new(self)) } else { self }
    }
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
    /// The workspace's name; empty where it is not known.
    pub workspace_name: String,
    /// The gateway's name; empty where it is not known.
    pub livy_gateway_name: String,
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
    /// Whether the answer is to be a page.
    #[serde(skip)]
    pub for_people: bool,
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
    let mut for_people = false;
    read(query, &mut for_people).map_err(|wrong| SeriesError::Wrong(wrong).for_people(for_people))
}

/// Notes as soon as it is known whether the answer is to be a page, whatever is wrong with the rest.
fn read(query: &str, for_people: &mut bool) -> Result<SeriesQuery, String> {
    const ACCEPTED: &str =
        "give metric, the metric's labels, and limit if the 20 largest sessions are not enough";
    // Read as something else, it would be a name that is not there.
    if let Some(part) = query.split('&').find(|part| percent_decode_str(part).decode_utf8().is_err()) {
        let name = part.split('=').next().unwrap_or_default();
        return Err(format!("the parameter {name:?} is not UTF-8; {ACCEPTED}"));
    }
    let mut parameters = BTreeMap::new();
    let mut twice = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if parameters.insert(name.to_string(), value.into_owned()).is_some() {
            twice = Some(name);
        }
    }
    match parameters.remove("format").as_deref() {
        None | Some("json") => {}
        Some("html") => *for_people = true,
        Some(_) => return Err("format: expected json or html".into()),
    }
    if let Some(name) = twice {
        return Err(format!("the parameter {name:?} is given twice; {ACCEPTED}"));
    }
    let missing = || format!("the parameter metric is missing; {ACCEPTED}");
    let metric = parameters.remove("metric").ok_or_else(missing)?;
    let limit = match parameters.remove("limit") {
        None => LIMIT,
        Some(text) => {
            let wrong = || format!("limit: expected a number from 1 to {LIMIT_MAX}");
            text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(wrong)?
        }
    };
    Ok(SeriesQuery { metric, labels: parameters, limit, for_people: *for_people })
}

/// What is told of it.
pub(super) fn respond(result: &Result<SeriesReport, SeriesError>) -> Response<Chunks> {
    let mut response = match result {
        Ok(report) if report.for_people => page::respond(report),
        Ok(report) => json(StatusCode::OK, Some(report), None),
        Err(SeriesError::ForPeople(error)) => {
            let (status, why) = refusal(error);
            page::refuse(status, why)
        }
        Err(error) => {
            let (status, why) = refusal(error);
            json(status, None, Some(why))
        }
    };
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn refusal(error: &SeriesError) -> (StatusCode, &str) {
    match error {
        SeriesError::Wrong(why) => (StatusCode::BAD_REQUEST, why),
        SeriesError::Unknown(why) => (StatusCode::NOT_FOUND, why),
        SeriesError::Busy => {
            let why = "as many questions as may be are being answered; ask again in a second";
            (StatusCode::SERVICE_UNAVAILABLE, why)
        }
        SeriesError::Failed(why) => (StatusCode::INTERNAL_SERVER_ERROR, why),
        SeriesError::ForPeople(error) => refusal(error),
    }
}

fn json(status: StatusCode, report: Option<&SeriesReport>, error: Option<&str>) -> Response<Chunks> {
    #[derive(Serialize)]
    struct Told<'a> {
        api_version: u32,
        #[serde(flatten)]
        report: Option<&'a SeriesReport>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
    }
    let told = Told { api_version: API_VERSION, report, error };
    // Texts and numbers: nothing that JSON could not hold. A report is read by people, too; a refusal is one line.
    let written = if report.is_some() { serde_json::to_vec_pretty(&told) } else { serde_json::to_vec(&told) };
    let mut json = written.unwrap_or_default();
    json.push(b'\n');
    let mut response = document::guarded(JSON, Chunks::new([json.into()]));
    *response.status_mut() = status;
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
        assert_eq!(
            query,
            SeriesQuery { metric: "m".into(), labels: labels.into(), limit: 1_000, for_people: false }
        );
        assert_eq!(parse("metric=m&format=json").unwrap().limit, 20);
        assert!(parse("metric=m&format=html").unwrap().for_people);
        assert_eq!(wrong("metric=m&format=xml"), "format: expected json or html");
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_accepted() {
        assert!(wrong("").starts_with("the parameter metric is missing; give metric, the metric's labels"));
        assert!(
            wrong("metric=m&queue=a&queue=b").starts_with("the parameter \"queue\" is given twice; give")
        );
        assert!(wrong("metric=m&queue=a%FFb").starts_with("the parameter \"queue\" is not UTF-8; give"));
        assert!(wrong("metric=m&%ff").contains("\"%ff\" is not UTF-8"));
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

    #[test]
    fn who_asks_for_a_page_gets_one_whatever_the_answer() {
        let kind = |response: &Response<Chunks>| {
            response.headers()[hyper::header::CONTENT_TYPE].to_str().unwrap().to_owned()
        };
        let wrong = respond(&Err(parse("format=html&limit=0").unwrap_err()));
        assert_eq!((wrong.status().as_u16(), kind(&wrong).as_str()), (400, "text/html; charset=utf-8"));
        let busy = respond(&Err(SeriesError::Busy.for_people(true)));
        assert_eq!((busy.status().as_u16(), kind(&busy).as_str()), (503, "text/html; charset=utf-8"));
        assert_eq!(busy.headers()[RETRY_AFTER], "1");
        assert_eq!(kind(&respond(&Err(SeriesError::Busy.for_people(false)))), JSON);
    }
}
