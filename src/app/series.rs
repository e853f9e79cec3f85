//! Explains a counter from the ledger. Invariant: reading is on threads of its own, so many at a time as `AT_A_TIME`
//! says, each with a deadline, and ends when nobody waits for it any more.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::status::Names;
use crate::ledger::{self, Counter, Explanation, GatewayTotals, LedgerError, SessionShare, Share};
use crate::metrics::{Exposition, PREFIX};
use crate::model::{Baseline, GatewayId, Usage};
use crate::server::{
    BaselinePart, Figures, Place, PrunedPart, SeriesAnswer, SeriesError, SeriesQuery, SeriesReport,
    SessionPart, SessionsPart,
};

/// Explanations that are read at a time; a question beyond that is to come again.
const AT_A_TIME: usize = 2;
/// What reading may take: while it lasts, the ledger's log cannot be used again.
const DEADLINE: Duration = Duration::from_secs(20);
/// Queues that are named where another one was asked for.
const QUEUES_MAX: usize = 20;
/// What may be asked for, and its labels. `state` is `terminated` or `error`.
const COUNTERS: [(&str, &[&str]); 5] = [
    ("livy_cu_seconds_total", &["workspace_id", "livy_compute_id", "queue"]),
    ("livy_vcore_seconds_total", &["workspace_id", "livy_compute_id", "queue"]),
    ("livy_memory_byte_seconds_total", &["workspace_id", "livy_compute_id", "queue"]),
    ("livy_sessions_created_total", &["workspace_id", "livy_compute_id", "queue"]),
    ("livy_sessions_ended_total", &["workspace_id", "livy_compute_id", "queue", "state"]),
];

/// Answers questions.
pub(super) struct Explainer {
    path: PathBuf,
    exposition: Arc<Exposition>,
    slots: Arc<Semaphore>,
}

/// A question that can be asked of the ledger.
#[derive(Clone, Debug)]
struct Question {
    query: SeriesQuery,
    counter: Counter,
    gateway: GatewayId,
    /// The same with names.
    place: Place,
    baseline: BaselinePart,
    /// Whether a scrape shows the gateway's counters.
    is_shown: bool,
    /// The gateway's queues.
    queues: Vec<String>,
}

impl Explainer {
    pub(super) fn new(path: PathBuf, exposition: Arc<Exposition>) -> Self {
        Self { path, exposition, slots: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    /// The answer to a question; the ledger is read while it is polled.
    pub(super) fn answer(&self, query: &SeriesQuery) -> SeriesAnswer {
        let for_people = query.for_people;
        let answer = self.explained(query);
        Box::pin(async move { answer.await.map_err(|error| error.for_people(for_people)) })
    }

    fn explained(&self, query: &SeriesQuery) -> SeriesAnswer {
        let question = match self.question(query) {
            Ok(question) => question,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return Box::pin(std::future::ready(Err(SeriesError::Busy)));
        };
        let path = self.path.clone();
        Box::pin(async move {
            let watch = Watch(Arc::new(AtomicBool::new(false)));
            let is_left = Arc::clone(&watch.0);
            let read = move || {
                let _slot = slot;
                let started = Instant::now();
                let stop = || is_left.load(Ordering::Relaxed) || started.elapsed() > DEADLINE;
                let Question { gateway, query, counter, .. } = &question;
                let queue = query.labels.get("queue").map_or("", String::as_str);
                let found = ledger::explain(&path, gateway, queue, *counter, query.limit, &stop);
                found.map(|found| (question, found))
            };
            let (question, found) = tokio::task::spawn_blocking(read)
                .await
                .unwrap_or(Err(LedgerError::Closed))
                .map_err(|error| SeriesError::Failed(error.to_string()))?;
            match found {
                Some(found) => Ok(report(question, found)),
                None => Err(SeriesError::Unknown(unknown_queue(&question.queues))),
            }
        })
    }

    fn question(&self, query: &SeriesQuery) -> Result<Question, SeriesError> {
        let counter = counter(query)?;
        let label = |name: &str| query.labels.get(name).map_or("", String::as_str);
        let (workspace_id, livy_compute_id) = (label("workspace_id"), label("livy_compute_id"));
        // Of any age: the time does not matter.
        let found = self.exposition.view(0, |metrics| {
            let view = metrics.of_any_age();
            let board = view.board;
            let named = |id: &GatewayId| {
                id.workspace.workspace_id == workspace_id && id.livy_compute_id == livy_compute_id
            };
            let gateways = board.ledger().gateways.iter().filter(|(id, _)| named(id));
            // Of two accounts that have counted the workspace, the one that is shown.
            let (id, gateway) = gateways.max_by_key(|(id, _)| board.shows(id))?;
            Some(Question {
                counter,
                place: Names::of(view).gateway(id),
                gateway: id.clone(),
                baseline: baseline(gateway),
                is_shown: board.shows_counters(id, gateway),
                queues: gateway.series.keys().cloned().collect(),
                query: query.clone(),
            })
        });
        let unknown = || {
            let of = "the ledger has no sessions of this workspace_id and livy_compute_id";
            SeriesError::Unknown(format!(
                "{of}; a scrape has those that there are, and they are matched letter by letter"
            ))
        };
        found.ok_or_else(unknown)
    }
}

/// Tells the reading thread when the one who waits is gone.
struct Watch(Arc<AtomicBool>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Which counter is asked for; its labels must be there, and no others.
fn counter(query: &SeriesQuery) -> Result<Counter, SeriesError> {
    let wrong = |why: String| Err(SeriesError::Wrong(why));
    let short = query.metric.strip_prefix(PREFIX).unwrap_or(&query.metric);
    let Some((name, labels)) = COUNTERS.iter().find(|(name, _)| *name == short) else {
        let names = COUNTERS.map(|(name, _)| format!("{PREFIX}{name}")).join(", ");
        return wrong(format!("metric: {:?} cannot be explained; expected one of {names}", query.metric));
    };
    let accepted = format!("{PREFIX}{name} has the labels {}", labels.join(", "));
    if let Some(other) = query.labels.keys().find(|label| !labels.contains(&label.as_str())) {
        return wrong(format!("unknown parameter {other:?}; {accepted}, and limit is accepted, too"));
    }
    if let Some(missing) = labels.iter().find(|label| !query.labels.contains_key(**label)) {
        return wrong(format!(
            "the label {missing} is missing; {accepted}; an empty one is given as {missing}="
        ));
    }
    Ok(match *name {
        "livy_cu_seconds_total" => Counter::NanoCuHours,
        "livy_vcore_seconds_total" => Counter::VcoreSeconds,
        "livy_memory_byte_seconds_total" => Counter::MbSeconds,
        "livy_sessions_created_total" => Counter::Created,
        _ => match query.labels.get("state").map(String::as_str) {
            Some("terminated") => Counter::Terminated,
            Some("error") => Counter::Failed,
            _ => return wrong("state: expected terminated or error".into()),
        },
    })
}

/// What to ask for instead of a queue that is not there.
fn unknown_queue(queues: &[String]) -> String {
    let named: Vec<String> = queues.iter().take(QUEUES_MAX).map(|queue| format!("{queue:?}")).collect();
    let more = match queues.len().saturating_sub(QUEUES_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "the gateway has no sessions on this queue; names are matched letter by letter, and it has {}{more}",
        named.join(", ")
    )
}

fn baseline(gateway: &GatewayTotals) -> BaselinePart {
    BaselinePart {
        mode: match gateway.baseline {
            Baseline::Include => "include",
            Baseline::Exclude => "exclude",
        },
        complete: gateway.baseline_complete,
        cut: gateway.baseline_cut,
        born_watched: gateway.born_watched,
    }
}

fn report(question: Question, found: Explanation) -> SeriesReport {
    let Question { query, counter, gateway, place, baseline, is_shown, .. } = question;
    let Explanation {
        held, total, sessions, sessions_kept, sessions_counted, pruned, sessions_pruned, ..
    } = found;
    let listed: i64 = found.largest.iter().map(|session| session.share.counted).sum();
    let session = |session: SessionShare| SessionPart {
        session_id: session.session_id,
        state: session.state.as_str(),
        created: session.created,
        ended: session.ended,
        value: value(counter, session.share.counted),
        figures: figures(session.share),
    };
    let (unit, factor) = unit(counter);
    let adds_up =
        |figure: fn(&Share) -> i64| figure(&sessions).checked_add(figure(&pruned)) == Some(figure(&total));
    SeriesReport {
        metric: format!("{PREFIX}{}", query.metric.strip_prefix(PREFIX).unwrap_or(&query.metric)),
        labels: query.labels,
        account: gateway.workspace.account,
        workspace_name: place.workspace_name,
        livy_gateway_name: place.livy_gateway_name,
        value: is_shown.then(|| if held { 0.0 } else { value(counter, total.counted) }),
        shown: match (is_shown, held) {
            (false, _) => "withheld",
            (true, true) => "held_at_zero",
            (true, false) => "counted",
        },
        unit,
        factor,
        adds_up: adds_up(|s| s.counted) && adds_up(|s| s.excluded) && adds_up(|s| s.overcounted),
        total: figures(total),
        sessions: SessionsPart {
            kept: sessions_kept,
            contributing: sessions_counted,
            listed: found.largest.len(),
            figures: figures(sessions),
            left_out: sessions.counted.saturating_sub(listed),
        },
        pruned: PrunedPart { sessions: sessions_pruned, figures: figures(pruned) },
        baseline,
        largest: found.largest.into_iter().map(session).collect(),
        for_people: query.for_people,
    }
}

fn figures(Share { counted, excluded, overcounted }: Share) -> Figures {
    Figures { counted, excluded, overcounted }
}

/// An exact figure as a scrape would show it.
#[expect(clippy::cast_precision_loss, reason = "floats only at the very end")]
fn value(counter: Counter, exact: i64) -> f64 {
    match counter {
        Counter::NanoCuHours => Usage { nano_cu_hours: exact, ..Usage::ZERO }.cu_seconds(),
        Counter::VcoreSeconds => Usage { vcore_seconds: exact, ..Usage::ZERO }.vcore_seconds(),
        Counter::MbSeconds => Usage { mb_seconds: exact, ..Usage::ZERO }.memory_byte_seconds(),
        Counter::Created | Counter::Terminated | Counter::Failed => exact as f64,
    }
}

/// What the exact figures count, and by what they are multiplied for the metric.
fn unit(counter: Counter) -> (&'static str, f64) {
    match counter {
        Counter::NanoCuHours => ("nano_cu_hours", 3.6e-6),
        Counter::VcoreSeconds => ("vcore_seconds", 1.0),
        Counter::MbSeconds => ("mb_seconds", 1_048_576.0),
        Counter::Created | Counter::Terminated | Counter::Failed => ("sessions", 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Kind, catalogue};

    fn ask(metric: &str, labels: &[(&str, &str)]) -> Result<Counter, SeriesError> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        counter(&SeriesQuery { metric: metric.into(), labels, limit: 1, for_people: false })
    }

    #[test]
    fn every_counter_of_the_sessions_can_be_explained_by_its_own_labels() {
        for family in catalogue() {
            let name = family.name();
            let found = COUNTERS.iter().find(|(short, _)| name == format!("{PREFIX}{short}"));
            let is_sessions = family.kind == Kind::Counter && name.contains("_livy_");
            assert_eq!(found.is_some(), is_sessions, "{name}");
            if let Some((short, labels)) = found {
                assert_eq!(*labels, family.labels, "{name}");
                let labels: Vec<(&str, &str)> = labels.iter().map(|label| (*label, "error")).collect();
                assert!(ask(&name, &labels).is_ok() && ask(short, &labels).is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn instead_of_a_queue_that_is_not_there_those_that_are_are_named() {
        let queues = |count| -> Vec<String> { (0..count).map(|n| format!("q{n}")).collect() };
        assert!(unknown_queue(&queues(2)).ends_with(", and it has \"q0\", \"q1\""));
        let many = unknown_queue(&queues(25));
        assert!(many.ends_with("\"q19\" and 5 more") && !many.contains("q20"), "{many}");
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_accepted() {
        let all = [("workspace_id", "w"), ("livy_compute_id", "g"), ("queue", ""), ("state", "dead")];
        let cases = [
            (
                ask("up", &all),
                "metric: \"up\" cannot be explained; expected one of emr_serverless_spark_livy_cu_",
            ),
            (
                ask("livy_cu_seconds_total", &all),
                "unknown parameter \"state\"; emr_serverless_spark_livy_cu_seconds_total has the labels workspace_id, livy_compute_id, queue, and limit is",
            ),
            (ask("livy_cu_seconds_total", &all[..2]), "the label queue is missing; emr_"),
            (ask("livy_sessions_ended_total", &all), "state: expected terminated or error"),
        ];
        for (found, expected) in cases {
            let Err(SeriesError::Wrong(why)) = found else { panic!("{expected}: {found:?}") };
            assert!(why.starts_with(expected), "{why}");
        }
    }
}
