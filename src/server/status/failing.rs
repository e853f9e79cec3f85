//! What fails now, by reason: what it means and what to do is said once, however many targets it is true of, and so is a
//! message that they have in common.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::page::ago;
use super::places::Naming;
use super::text::{Escaped, Of, When, count, written};
use super::{FailureRow, Status, TargetRow};

/// The most messages that are shown of a reason.
const MESSAGES_MAX: usize = 3;
/// The most targets that are shown of a message.
const TARGETS_MAX: usize = 10;
/// The most of them that are not folded.
const OPEN_MAX: usize = 3;

/// A target that fails, and how.
type Failing<'a> = (&'a TargetRow, &'a FailureRow);

pub(super) fn write(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    let mut reasons: BTreeMap<_, Vec<Failing<'_>>> = BTreeMap::new();
    for target in &status.targets {
        if let Some(failure) = target.failure() {
            reasons.entry(failure.reason).or_default().push((target, failure));
        }
    }
    if reasons.is_empty() {
        return Ok(());
    }
    let mut reasons: Vec<_> = reasons.into_values().collect();
    // What most targets suffer from is most likely the cause of the others.
    reasons.sort_by_key(|targets| std::cmp::Reverse(targets.len()));
    f.write_str(
        "<section aria-labelledby=\"failing\"><h2 id=\"failing\">What fails</h2><div class=\"cards\">",
    )?;
    for targets in reasons {
        reason(f, status, &targets)?;
    }
    f.write_str("</div></section>")
}

fn reason(f: &mut Formatter<'_>, status: &Status, targets: &[Failing<'_>]) -> fmt::Result {
    let Some((_, first)) = targets.first() else { return Ok(()) };
    write!(
        f,
        "<article class=\"card failure\"><h3 id=\"reason-{reason}\"><code class=\"bad\">{reason}</code>: {}</h3>\
         <p>{}</p><p><b>What to do:</b> {} <a href=\"{}\">More about {reason}</a></p>",
        Of(targets.len(), "target"),
        first.advice.means,
        first.advice.what_to_do,
        Escaped(&first.documentation),
        reason = first.reason,
    )?;
    let mut messages: BTreeMap<String, Vec<Failing<'_>>> = BTreeMap::new();
    for (target, failure) in targets {
        messages.entry(in_common(target, failure)).or_default().push((target, failure));
    }
    let mut messages: Vec<_> = messages.into_iter().collect();
    messages.sort_by_key(|(_, targets)| std::cmp::Reverse(targets.len()));
    let mut left_out = targets.len();
    for (message, targets) in messages.iter().take(MESSAGES_MAX) {
        write!(f, "<p class=\"message\">{}</p>", Escaped(message))?;
        let shown = &targets[..targets.len().min(TARGETS_MAX)];
        let (open, folded) = shown.split_at(shown.len().min(OPEN_MAX));
        list(f, status, open)?;
        if !folded.is_empty() {
            write!(f, "<details><summary>{} more</summary>", count(folded.len()))?;
            list(f, status, folded)?;
            f.write_str("</details>")?;
        }
        left_out -= shown.len();
    }
    if left_out > 0 {
        write!(
            f,
            "<p>and {} more: all of them are in the <a href=\"/api/v1/status\">JSON</a></p>",
            count(left_out)
        )?;
    }
    f.write_str("</article>")
}

/// The message without what tells its target, and its request, from others: that is said beside it.
fn in_common(target: &TargetRow, failure: &FailureRow) -> String {
    let mut message = failure.message.clone();
    if let Some(request_id) = failure.request_id.as_deref().filter(|id| !id.is_empty()) {
        message = message.replace(&format!(", request id {request_id}"), "");
    }
    for id in [&target.place.livy_compute_id, &target.place.workspace_id] {
        if !id.is_empty() {
            message = message.replace(&format!(" {id}"), " …");
        }
    }
    message.replace(" … …", " …")
}

fn list(f: &mut Formatter<'_>, status: &Status, targets: &[Failing<'_>]) -> fmt::Result {
    let naming = Naming::of(status);
    f.write_str("<ul>")?;
    for (target, failure) in targets {
        write!(
            f,
            "<li><span class=\"name\">{}</span> {}<small>failing since {}, latest {}; last success {}{}</small></li>",
            kind(target.kind),
            naming.place(&target.place, Some(&target.region)),
            ago(target.failing_since, status.as_of, "the start"),
            When { at: failure.at, now: status.as_of },
            ago(target.last_success, status.as_of, "not since the start"),
            answer(failure),
        )?;
    }
    f.write_str("</ul>")
}

/// What the service's answer can be found by, where there was one.
pub(super) fn answer(failure: &FailureRow) -> impl Display + '_ {
    written(move |f| {
        for (name, fact) in [("code", &failure.code), ("request id", &failure.request_id)] {
            if let Some(fact) = fact {
                write!(f, "; {name} <code>{}</code>", Escaped(fact))?;
            }
        }
        Ok(())
    })
}

/// A kind of target in words.
pub(super) fn kind(kind: &str) -> impl Display + '_ {
    Escaped(match kind {
        "workspaces" => "Workspaces",
        "session_clusters" => "Session clusters",
        "livy_gateways" => "Livy gateways",
        "livy_sessions" => "Livy sessions",
        other => other,
    })
}
