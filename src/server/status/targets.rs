//! All targets, by workspace. Invariant: their order is that of their places, so that nothing moves while they fare well;
//! what is folded says in its one line whether all is well in it.

use std::fmt::{self, Formatter};

use super::failing::{answer, kind};
use super::page::ago;
use super::places::{Naming, ids, named};
use super::text::{Escaped, Of, Span, When, bar, count};
use super::{FailureRow, Status, TargetRow};

/// The most targets that are shown.
const ROWS_MAX: usize = 200;
/// The most workspaces that are open because something in them fails: what it is has been said above.
const OPEN_MAX: usize = 5;

/// How one of them fares.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Failing,
    Waiting,
    Ok,
}

fn state(target: &TargetRow) -> State {
    match (target.failing_since, target.last_success) {
        (Some(_), _) => State::Failing,
        (None, Some(_)) => State::Ok,
        (None, None) => State::Waiting,
    }
}

/// What orders the targets: the workspace, then the gateway in it.
fn key(target: &TargetRow) -> impl Ord + '_ {
    let place = &target.place;
    (
        (!place.workspace_id.is_empty(), &place.account, &target.region),
        (&place.workspace_name, &place.workspace_id),
        (&place.livy_gateway_name, &place.livy_compute_id, target.kind),
    )
}

fn workspace(target: &TargetRow) -> (bool, &str, &str) {
    let workspace_id = target.place.workspace_id.as_str();
    // The lists of workspaces themselves are one group, whosever they are.
    let is_within = !workspace_id.is_empty();
    (is_within, if is_within { &target.place.account } else { "" }, workspace_id)
}

/// The targets, those that are healthy folded.
pub(super) fn write(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    f.write_str("<section aria-labelledby=\"targets\"><h2 id=\"targets\">Targets</h2>")?;
    if status.targets.is_empty() {
        return f.write_str("<p>Nothing is watched yet.</p></section>");
    }
    if status.watched.workspaces == Some(0) {
        f.write_str(
            "<p>Workspaces were listed, and none is watched: the account has none in its regions, or the settings leave them \
             all out (<code>accounts[].workspaces</code>).</p>",
        )?;
    }
    let mut targets: Vec<&TargetRow> = status.targets.iter().collect();
    // Where there is no room for all, there is for those that fail.
    targets.sort_by_cached_key(|target| (state(target) != State::Failing, workspace(target)));
    let left_out = targets.split_off(targets.len().min(ROWS_MAX));
    if !left_out.is_empty() {
        write!(
            f,
            "<p class=\"soft\">{} of {}, failing ones first; the others are in the <a href=\"/api/v1/status\">JSON</a>.</p>",
            count(targets.len()),
            Of(status.targets.len(), "target"),
        )?;
    }
    targets.sort_by(|a, b| key(a).cmp(&key(b)));
    let mut open = 0;
    f.write_str("<div class=\"groups\">")?;
    for group in targets.chunk_by(|a, b| workspace(a) == workspace(b)) {
        let is_failing = group.iter().any(|target| state(target) == State::Failing);
        open += usize::from(is_failing);
        write_group(f, status, group, is_failing && open <= OPEN_MAX)?;
    }
    f.write_str("</div></section>")
}

fn write_group(f: &mut Formatter<'_>, status: &Status, group: &[&TargetRow], is_open: bool) -> fmt::Result {
    let Some(first) = group.first() else { return Ok(()) };
    let naming = Naming::of(status);
    write!(f, "<details class=\"group\"{}><summary>", if is_open { " open" } else { "" })?;
    match first.place.workspace_id.is_empty() {
        true => f.write_str("<span class=\"name\">Lists of workspaces</span>")?,
        false => write!(f, "{}", naming.workspace(first))?,
    }
    f.write_str(" <span class=\"fares\">")?;
    let of = |wanted| group.iter().filter(move |target| state(target) == wanted);
    if let Some(oldest) = of(State::Ok).filter_map(|target| target.last_success).min() {
        write!(f, "<small>oldest success {}</small>", When { at: oldest, now: status.as_of })?;
    }
    for (wanted, class, word) in
        [(State::Failing, "bad", "failing"), (State::Waiting, "wait", "waiting"), (State::Ok, "ok", "ok")]
    {
        let found = of(wanted).count();
        if found > 0 {
            write!(f, " <span class=\"pill {class}\">{} {word}</span>", count(found))?;
        }
    }
    f.write_str("</span></summary>")?;
    ids(f, [(&first.place.workspace_name, &first.place.workspace_id)])?;
    f.write_str(
        "<table class=\"stack\" role=\"table\"><thead role=\"rowgroup\"><tr role=\"row\">\
         <th role=\"columnheader\" scope=\"col\">Target</th><th role=\"columnheader\" scope=\"col\">State</th>\
         <th role=\"columnheader\" scope=\"col\" class=\"num\">Last success</th>\
         <th role=\"columnheader\" scope=\"col\" class=\"num\">Took</th></tr></thead><tbody role=\"rowgroup\">",
    )?;
    for target in group {
        row(f, status, target)?;
    }
    f.write_str("</tbody></table></details>")
}

fn row(f: &mut Formatter<'_>, status: &Status, target: &TargetRow) -> fmt::Result {
    let place = &target.place;
    write!(
        f,
        "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\"><span class=\"name\">{}</span> ",
        kind(target.kind)
    )?;
    if place.workspace_id.is_empty() {
        write!(f, "{}", Naming::of(status).names(place, Some(&target.region)))?;
    } else if !place.livy_compute_id.is_empty() {
        write!(f, "{}", named(&place.livy_gateway_name, &place.livy_compute_id))?;
        ids(f, [(&place.livy_gateway_name, &place.livy_compute_id)])?;
    }
    f.write_str("</th><td role=\"cell\">")?;
    match (target.failure(), &target.last_failure, state(target)) {
        (Some(failure), ..) => write!(
            f,
            "<span class=\"pill bad\">failing</span> <a href=\"#reason-{reason}\">{reason}</a>",
            reason = failure.reason
        )?,
        (None, _, State::Waiting) => f.write_str("<span class=\"pill wait\">waiting</span>")?,
        (None, past, _) => {
            f.write_str("<span class=\"pill ok\">ok</span>")?;
            past.iter().try_for_each(|failure| last_failure(f, status, failure))?;
        }
    }
    if let Some(progress) = target.progress {
        write!(f, "<br><small>sweeping, {:.0} %</small>", progress * 100.0)?;
        bar(f, progress)?;
    }
    write!(
        f,
        "</td><td role=\"cell\" class=\"num\" data-name=\"last success\">{}</td>\
         <td role=\"cell\" class=\"num\" data-name=\"took\">",
        ago(target.last_success, status.as_of, "not since the start"),
    )?;
    match target.last_duration_seconds {
        Some(took) if (1.0..10.0).contains(&took) => write!(f, "{took:.1} s")?,
        Some(took) => write!(f, "{}", duration(took))?,
        None => f.write_str("–")?,
    }
    f.write_str("</td></tr>")
}

/// The latest failure of a target that works again.
fn last_failure(f: &mut Formatter<'_>, status: &Status, failure: &FailureRow) -> fmt::Result {
    write!(
        f,
        "<details><summary><small>last failure {}: {reason}</small></summary><p class=\"message\">{}</p>\
         <p><small><a href=\"{}\">About {reason}</a>{}</small></p></details>",
        When { at: failure.at, now: status.as_of },
        Escaped(&failure.message),
        Escaped(&failure.documentation),
        answer(failure),
        reason = failure.reason,
    )
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration, and for people")]
fn duration(seconds: f64) -> Span {
    Span((seconds * 1_000.0).max(0.0) as u64)
}
