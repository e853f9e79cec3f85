//! The table of all targets.

use std::fmt::{self, Formatter};

use super::failing::{kind, place};
use super::page::ago;
use super::text::{Escaped, Of, Span, count};
use super::{Status, TargetRow};

/// The most rows of the table.
const ROWS_MAX: usize = 100;

/// The targets: those that fail first, then those that were never swept, then those whose success is longest ago.
pub(super) fn targets(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    let mut targets: Vec<&TargetRow> = status.targets.iter().collect();
    targets.sort_by_key(|target| (target.failing_since.is_none(), target.last_success));
    f.write_str("<section aria-labelledby=\"targets\"><h2 id=\"targets\">Targets</h2>")?;
    if targets.is_empty() {
        return f.write_str("<p>Nothing is watched yet.</p></section>");
    }
    f.write_str("<table class=\"stack\" role=\"table\">")?;
    let left_out = targets.len().saturating_sub(ROWS_MAX);
    if left_out > 0 {
        write!(
            f,
            "<caption role=\"caption\">{} of {}, the others are in the <a href=\"/api/v1/status\">JSON</a>; failing \
             ones first, then by age of the last success</caption>",
            count(ROWS_MAX),
            Of(targets.len(), "target"),
        )?;
    }
    f.write_str(
        "<thead role=\"rowgroup\"><tr role=\"row\"><th role=\"columnheader\" scope=\"col\">Target</th>\
         <th role=\"columnheader\" scope=\"col\">State</th><th role=\"columnheader\" scope=\"col\">Last success</th>\
         <th role=\"columnheader\" scope=\"col\">Took</th></tr></thead><tbody role=\"rowgroup\">",
    )?;
    for target in targets.into_iter().take(ROWS_MAX) {
        row(f, status, target)?;
    }
    f.write_str("</tbody></table></section>")
}

fn row(f: &mut Formatter<'_>, status: &Status, target: &TargetRow) -> fmt::Result {
    write!(
        f,
        "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\"><span class=\"name\">{}</span> {}</th>\
         <td role=\"cell\">",
        kind(target.kind),
        place(&target.place, Some(&target.region)),
    )?;
    match (target.failure(), &target.last_success) {
        (Some(failure), _) => write!(
            f,
            "<span class=\"pill bad\">failing</span> <a href=\"#{reason}\">{reason}</a>",
            reason = Escaped(failure.reason)
        )?,
        (None, Some(_)) => f.write_str("<span class=\"pill ok\">ok</span>")?,
        (None, None) => f.write_str("<span class=\"pill wait\">waiting</span>")?,
    }
    if let Some(progress) = target.progress {
        write!(f, "<br><small>sweeping, {:.0} %</small>", progress * 100.0)?;
        bar(f, progress)?;
    }
    write!(
        f,
        "</td><td role=\"cell\" class=\"tight\" data-name=\"last success\">{}</td>\
         <td role=\"cell\" class=\"tight\" data-name=\"took\">",
        ago(target.last_success, status.as_of, "never"),
    )?;
    match target.last_duration_seconds {
        Some(took) if (1.0..10.0).contains(&took) => write!(f, "{took:.1} s")?,
        Some(took) => write!(f, "{}", duration(took))?,
        None => f.write_str("–")?,
    }
    f.write_str("</td></tr>")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration, and for people")]
fn duration(seconds: f64) -> Span {
    Span((seconds * 1_000.0).max(0.0) as u64)
}

/// A bar of this part of its width.
pub(super) fn bar(f: &mut Formatter<'_>, part: f64) -> fmt::Result {
    let width = (part * 100.0).clamp(0.0, 100.0);
    write!(
        f,
        "<svg class=\"bar\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"track\" width=\"100\" height=\"4\"/><rect class=\"fill\" width=\"{width:.1}\" height=\"4\"/></svg>"
    )
}
