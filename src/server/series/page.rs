//! What a counter is made of, for people. Invariant: the rows with bars are the whole counter, and add up to it.

use std::fmt::{self, Display, Formatter};

use hyper::{Response, StatusCode};

use super::{Figures, LIMIT, LIMIT_MAX, SeriesReport, SessionPart};
use crate::server::status::named;
use crate::server::status::text::{Count, CuHours, Escaped, bar, in_query, rfc3339, written};
use crate::server::{Chunks, docs, document};

/// A report as a page.
pub(super) fn respond(report: &SeriesReport) -> Response<Chunks> {
    let title = format!("{} of {}", report.short_name(), report.label("queue"));
    document::page(title, written(|f| body(f, report)))
}

/// Why there is no report, as a page.
pub(super) fn refuse(status: StatusCode, why: &str) -> Response<Chunks> {
    let body = written(|f| {
        head(f, None)?;
        write!(
            f,
            "<h1>No explanation</h1></header><main id=\"main\"><p class=\"card lines\">{}</p></main>",
            Escaped(why)
        )
    });
    let mut page = document::page("No explanation", body);
    *page.status_mut() = status;
    page
}

fn head(f: &mut Formatter<'_>, report: Option<&SeriesReport>) -> fmt::Result {
    f.write_str(
        "<a class=\"skip\" href=\"#main\">Skip to the content</a><header><nav aria-label=\"Pages\"><ul>",
    )?;
    f.write_str("<li><a href=\"/\">Status</a></li>")?;
    if let Some(report) = report {
        write!(f, "<li><a href=\"{}\">The same as JSON</a></li>", Escaped(report.address(LIMIT, "json")))?;
    }
    write!(f, "<li><a href=\"{}\">Documentation</a></li></ul></nav>", docs::INDEX)
}

fn body(f: &mut Formatter<'_>, report: &SeriesReport) -> fmt::Result {
    head(f, Some(report))?;
    let queue = report.label("queue");
    let queue = if queue.is_empty() { "(no queue)" } else { queue };
    write!(
        f,
        "<h1>What a counter is made of</h1><p><code>{}</code></p></header><main id=\"main\">",
        Escaped(report.short_name())
    )?;
    tiles(f, report)?;
    f.write_str("<dl class=\"card facts\">")?;
    fact(f, "Queue", format_args!("<bdi>{}</bdi>", Escaped(queue)))?;
    if let Some(state) = report.labels.get("state") {
        fact(f, "Ended as", Escaped(state))?;
    }
    let ids = [
        ("Livy gateway", &report.livy_gateway_name, report.label("livy_compute_id")),
        ("Workspace", &report.workspace_name, report.label("workspace_id")),
    ];
    for (what, name, id) in ids {
        let value = written(move |f| {
            if !name.is_empty() {
                write!(f, "{} ", named(name, id))?;
            }
            write!(f, "<small class=\"ids\"><code>{}</code></small>", Escaped(id))
        });
        fact(f, what, value)?;
    }
    fact(f, "Account", format_args!("<bdi>{}</bdi>", Escaped(&report.account)))?;
    fact(f, "In a scrape", shown(report))?;
    fact(f, "First sweep", baseline(report))?;
    f.write_str("</dl>")?;
    parts(f, report)?;
    sessions(f, report)?;
    f.write_str(
        "</main><footer><p>One state of the ledger; a scrape of the same moment may be one commit older. ",
    )?;
    write!(f, "<a href=\"{}api\">The HTTP API</a> has what each figure means.</p></footer>", docs::INDEX)
}

fn fact(f: &mut Formatter<'_>, name: &str, value: impl Display) -> fmt::Result {
    write!(f, "<dt>{name}</dt><dd>{value}</dd>")
}

fn tiles(f: &mut Formatter<'_>, report: &SeriesReport) -> fmt::Result {
    let tile = |f: &mut Formatter<'_>, name: &str, value: &dyn Display, note: &str| {
        write!(f, "<div class=\"tile\"><dt>{name}</dt><dd>{value} <small>{note}</small></dd></div>")
    };
    f.write_str("<dl class=\"tiles\">")?;
    tile(f, "Counted", &report.amount(report.total.counted), report.people_unit())?;
    tile(f, "Sessions kept", &Count(report.sessions.kept), "")?;
    let contributing = Count(report.sessions.contributing);
    tile(f, "Of them in the counter", &contributing, "")?;
    tile(f, "Sessions pruned", &Count(report.pruned.sessions), "no longer kept one by one")?;
    let Figures { excluded, overcounted, .. } = report.total;
    if excluded > 0 {
        tile(f, "Left out", &report.amount(excluded), report.people_unit())?;
    }
    if overcounted > 0 {
        tile(f, "Taken back since", &report.amount(overcounted), report.people_unit())?;
    }
    f.write_str("</dl>")?;
    if report.adds_up {
        return Ok(());
    }
    f.write_str(
        "<p class=\"bad\">The parts do not add up to the counter: run <code>ledger verify</code>.</p>",
    )
}

/// What a scrape shows, in words.
fn shown(report: &SeriesReport) -> impl Display + '_ {
    written(move |f| {
        match (report.shown, report.value) {
        ("held_at_zero", _) => f.write_str("0 for now: a series that is new begins there (exposition.zero_hold)"),
        ("counted", Some(value)) => write!(f, "<code>{value}</code>"),
        _ => f.write_str(
            "nothing: the gateway has not been swept as a whole since it was first seen or restored, or it is gone",
        ),
    }
    })
}

/// What became of usage from before the first sweep, in words.
fn baseline(report: &SeriesReport) -> impl Display + '_ {
    let baseline = report.baseline;
    written(move |f| {
        match baseline.complete.and_then(rfc3339) {
            Some(complete) => write!(f, "<time datetime=\"{complete}\">{complete}</time>")?,
            None => f.write_str("not complete yet")?,
        }
        f.write_str(match (baseline.born_watched, baseline.mode) {
            (true, _) => "; the gateway is younger than the watch",
            (false, "exclude") => "; what was used before it is left out (ledger.baseline)",
            (false, _) => "; what was used before it is counted, too",
        })
    })
}

/// The whole counter in three rows.
fn parts(f: &mut Formatter<'_>, report: &SeriesReport) -> fmt::Result {
    let listed: i64 = report.largest.iter().map(|session| session.figures.counted).sum();
    let rows = [
        ("Sessions below", report.sessions.listed as u64, listed),
        (
            "Smaller ones",
            report.sessions.contributing.saturating_sub(report.sessions.listed as u64),
            report.sessions.left_out,
        ),
        ("Pruned ones", report.pruned.sessions, report.pruned.figures.counted),
    ];
    write!(
        f,
        "<section aria-labelledby=\"parts\"><h2 id=\"parts\">Its parts</h2><table><thead><tr><th scope=\"col\">Part</th>\
         <th scope=\"col\" class=\"num\">Sessions</th><th scope=\"col\" class=\"num\">{}</th></tr></thead><tbody>",
        report.people_unit()
    )?;
    for (name, sessions, counted) in rows {
        write!(f, "<tr><th scope=\"row\">{name}")?;
        bar(f, ratio(counted, report.total.counted))?;
        write!(
            f,
            "</th><td class=\"num\">{}</td><td class=\"num\">{}</td></tr>",
            Count(sessions),
            report.amount(counted)
        )?;
    }
    f.write_str("</tbody></table></section>")
}

fn sessions(f: &mut Formatter<'_>, report: &SeriesReport) -> fmt::Result {
    let Some(most) = report.largest.first() else { return Ok(()) };
    f.write_str(
        "<section aria-labelledby=\"sessions\"><h2 id=\"sessions\">Its sessions</h2><table><caption>",
    )?;
    write!(
        f,
        "The largest {} of {}",
        Count(report.largest.len() as u64),
        Count(report.sessions.contributing)
    )?;
    if report.sessions.contributing > report.sessions.listed as u64 && report.largest.len() < LIMIT_MAX {
        write!(f, "; <a href=\"{}\">up to {LIMIT_MAX}</a>", Escaped(report.address(LIMIT_MAX, "html")))?;
    }
    write!(
        f,
        "</caption><thead><tr><th scope=\"col\">Livy session</th><th scope=\"col\" class=\"num\">{}</th></tr></thead><tbody>",
        report.people_unit()
    )?;
    for SessionPart { session_id, state, created, ended, figures, .. } in &report.largest {
        write!(
            f,
            "<tr><th scope=\"row\"><code>{}</code> {}<small class=\"when\">",
            Escaped(session_id),
            Escaped(state)
        )?;
        for (word, at) in [("created", created), (", ended", ended)] {
            if let Some(at) = at.and_then(rfc3339) {
                write!(f, "{word} <time datetime=\"{at}\">{at}</time>")?;
            }
        }
        f.write_str("</small>")?;
        bar(f, ratio(figures.counted, most.figures.counted))?;
        write!(f, "</th><td class=\"num\">{}</td></tr>", report.amount(figures.counted))?;
    }
    f.write_str("</tbody></table></section>")
}

#[expect(clippy::cast_precision_loss, reason = "the width of a bar")]
fn ratio(part: i64, whole: i64) -> f64 {
    if whole > 0 { part as f64 / whole as f64 } else { 0.0 }
}

impl SeriesReport {
    fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The name without what all names have in front.
    fn short_name(&self) -> &str {
        self.metric.strip_prefix("emr_serverless_spark_").unwrap_or(&self.metric)
    }

    /// Where the same is, in a form, with so many sessions at most.
    fn address(&self, limit: usize, format: &'static str) -> impl Display + '_ {
        written(move |f| {
            // Both are of closed sets, as the report is one.
            write!(f, "/api/v1/series?metric={}", self.metric)?;
            for (name, value) in &self.labels {
                write!(f, "&{name}={}", in_query(value))?;
            }
            write!(f, "&limit={limit}&format={format}")
        })
    }

    /// The unit that people think in.
    fn people_unit(&self) -> &'static str {
        match self.unit {
            "nano_cu_hours" => "CU-hours",
            "vcore_seconds" => "vcore-hours",
            "mb_seconds" => "GiB-hours",
            other => other,
        }
    }

    /// An exact figure in that unit.
    #[expect(clippy::cast_precision_loss, reason = "for people, who get few digits")]
    fn amount(&self, exact: i64) -> impl Display + use<> {
        let exact = exact.max(0);
        let per_hour = match self.unit {
            "nano_cu_hours" => Some(1e9),
            "vcore_seconds" => Some(3_600.0),
            "mb_seconds" => Some(3_600.0 * 1_024.0),
            _ => None,
        };
        written(move |f| match per_hour {
            Some(one) => CuHours(exact as f64 / one * 3_600.0).fmt(f),
            None => Count(exact.unsigned_abs()).fmt(f),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BaselinePart, PrunedPart, SessionsPart};
    use super::*;

    const HOSTILE: &str = "<script>\"'&";

    fn report(text: &str) -> SeriesReport {
        let figures = |counted| Figures { counted, excluded: 0, overcounted: 0 };
        let labels =
            ["workspace_id", "livy_compute_id", "queue"].map(|name| (name.to_owned(), text.to_owned()));
        SeriesReport {
            metric: "emr_serverless_spark_livy_cu_seconds_total".into(),
            labels: labels.into(),
            account: text.into(),
            workspace_name: text.into(),
            livy_gateway_name: text.into(),
            value: Some(36_000.0),
            shown: "counted",
            unit: "nano_cu_hours",
            factor: 3.6e-6,
            total: figures(10_000_000_000),
            adds_up: true,
            sessions: SessionsPart {
                kept: 9,
                contributing: 5,
                listed: 1,
                figures: figures(8_000_000_000),
                left_out: 3_000_000_000,
            },
            pruned: PrunedPart { sessions: 1_234, figures: figures(2_000_000_000) },
            baseline: BaselinePart { mode: "exclude", complete: None, cut: 0, born_watched: false },
            largest: vec![SessionPart {
                session_id: text.into(),
                state: "error",
                created: Some(0),
                ended: None,
                value: 18_000.0,
                figures: figures(5_000_000_000),
            }],
            for_people: true,
        }
    }

    fn shown(report: &SeriesReport) -> String {
        written(|f| body(f, report)).to_string()
    }

    #[test]
    fn it_tells_the_whole_counter_in_units_that_people_think_in() {
        let page = shown(&report("q"));
        for text in [
            "<dt>Counted</dt><dd>10.0 <small>CU-hours</small>",
            "width=\"50.0\" height=\"4\"/></svg></th><td class=\"num\">1</td><td class=\"num\">5.0</td>",
            "width=\"30.0\" height=\"4\"/></svg></th><td class=\"num\">4</td><td class=\"num\">3.0</td>",
            "width=\"20.0\" height=\"4\"/></svg></th><td class=\"num\">1,234</td><td class=\"num\">2.0</td>",
            "not complete yet; what was used before it is left out",
            "The largest 1 of 5; <a href=\"/api/v1/series?metric=",
            "&amp;queue=q&amp;workspace_id=q&amp;limit=1000&amp;format=html\">up to 1000</a>",
            "created <time datetime=\"1970-01-01T00:00:00Z\">",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
        assert!(!page.contains("Left out") && !page.contains("ledger verify"), "{page}");
        let mut wrong = report("q");
        (wrong.adds_up, wrong.total.excluded, wrong.shown) = (false, 1_000_000_000, "withheld");
        let page = shown(&wrong);
        assert!(page.contains("ledger verify") && page.contains("<dt>Left out</dt><dd>1.0"), "{page}");
        assert!(page.contains("<dd>nothing: the gateway"), "{page}");
    }

    #[test]
    fn every_counter_has_a_unit_for_people() {
        let amount = |unit, exact| {
            let report = SeriesReport { unit, ..report("q") };
            format!("{} {}", report.amount(exact), report.people_unit())
        };
        assert_eq!(amount("nano_cu_hours", 1_500_000_000), "1.5 CU-hours");
        assert_eq!(amount("vcore_seconds", 7_200), "2.0 vcore-hours");
        assert_eq!(amount("mb_seconds", 3_600 * 2_048), "2.0 GiB-hours");
        assert_eq!(amount("sessions", 1_234), "1,234 sessions");
    }

    #[test]
    fn every_text_from_elsewhere_is_escaped() {
        let (page, harmless) = (shown(&report(HOSTILE)), shown(&report("q")));
        for part in ["<", ">", "\"", "'"] {
            assert_eq!(page.matches(part).count(), harmless.matches(part).count(), "{part}: {page}");
        }
        assert!(page.contains("queue=%3Cscript%3E"), "{page}");
    }
}
