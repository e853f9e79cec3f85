//! What fails now, by reason: what it means and what to do is said once, however many targets it is true of.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::page::ago;
use super::text::{Escaped, Of, Short, count, written};
use super::{FailureRow, Place, Status, TargetRow};

/// The most targets that are shown of a reason.
const TARGETS_MAX: usize = 10;

pub(super) fn write(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    let mut reasons: BTreeMap<_, Vec<(&TargetRow, &FailureRow)>> = BTreeMap::new();
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

fn reason(f: &mut Formatter<'_>, status: &Status, targets: &[(&TargetRow, &FailureRow)]) -> fmt::Result {
    let Some((_, first)) = targets.first() else { return Ok(()) };
    write!(
        f,
        "<article class=\"card failure\"><h3 id=\"{reason}\"><code class=\"bad\">{reason}</code>: {}</h3><p>{}</p>\
         <p><b>What to do:</b> {} <a href=\"{}\">More about {reason}</a></p><ul>",
        Of(targets.len(), "target"),
        first.advice.means,
        first.advice.what_to_do,
        Escaped(&first.documentation),
        reason = first.reason,
    )?;
    for (target, failure) in targets.iter().take(TARGETS_MAX) {
        write!(
            f,
            "<li><span class=\"name\">{}</span> {}<br><small>failing since {}, last success {}</small><br>{}",
            kind(target.kind),
            place(&target.place, Some(&target.region)),
            ago(target.failing_since, status.as_of, "the start"),
            ago(target.last_success, status.as_of, "never"),
            Escaped(&failure.message),
        )?;
        let facts = [("code", &failure.code), ("request id", &failure.request_id)];
        let mut separator = "<br>";
        for (name, fact) in facts.iter().filter_map(|(name, fact)| Some((name, fact.as_deref()?))) {
            write!(f, "{separator}<small>{name} <code>{}</code></small>", Escaped(fact))?;
            separator = " ";
        }
        f.write_str("</li>")?;
    }
    if let Some(more) = targets.len().checked_sub(TARGETS_MAX).filter(|more| *more > 0) {
        write!(
            f,
            "<li>and {} more: all of them are in the <a href=\"/api/v1/status\">JSON</a></li>",
            count(more)
        )?;
    }
    f.write_str("</ul></article>")
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

/// Where something is, from the inside out, by name where there is one.
pub(super) fn place<'a>(place: &'a Place, region: Option<&'a str>) -> impl Display + 'a {
    written(move |f| {
        let ids = [
            (&place.livy_gateway_name, &place.livy_compute_id),
            (&place.workspace_name, &place.workspace_id),
        ];
        let mut separator = "";
        for (name, id) in ids.iter().filter(|(_, id)| !id.is_empty()) {
            f.write_str(separator)?;
            named(f, name, id)?;
            separator = " <span class=\"soft\">in</span> ";
        }
        let Place { account, .. } = place;
        write!(f, "{separator}<span class=\"soft\">{}", Escaped(account))?;
        if let Some(region) = region {
            write!(f, ", {}", Escaped(region))?;
        }
        f.write_str("</span>")
    })
}

/// A name, cut where it is long, and behind it the id that makes it unique.
pub(super) fn named(f: &mut Formatter<'_>, name: &str, id: &str) -> fmt::Result {
    if name.is_empty() {
        write!(f, "<bdi>{}</bdi>", Escaped(id))
    } else {
        write!(f, "<bdi>{}</bdi> <small>({})</small>", Escaped(Short(name)), Escaped(id))
    }
}
