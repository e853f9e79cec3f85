//! The page as HTML: what is worst comes first, counts before lists. Invariant: its length has a bound, however much is
//! watched.

use std::fmt::{self, Display, Formatter};

use super::text::{Bytes, Count, Escaped, Of, Span, When, count, written};
use super::{Status, failing, sections, tables};
use crate::server::Stage;
use crate::server::docs;

/// The page between the tags of its body.
pub(in crate::server) fn render<'a>(status: &'a Status, telemetry_path: &'a str) -> impl Display + 'a {
    written(move |f| {
        f.write_str("<a class=\"skip\" href=\"#main\">Skip to the content</a>")?;
        header(f, status, telemetry_path)?;
        f.write_str("<main id=\"main\">")?;
        tiles(f, status)?;
        failing::write(f, status)?;
        tables::targets(f, status)?;
        sections::consumers(f, status)?;
        sections::clusters(f, status)?;
        f.write_str("<div class=\"grid\">")?;
        sections::ledger(f, status)?;
        sections::credentials(f, status)?;
        f.write_str("</div></main>")?;
        footer(f)
    })
}

fn header(f: &mut Formatter<'_>, status: &Status, telemetry_path: &str) -> fmt::Result {
    let (class, stage) = match status.stage {
        Stage::Starting { .. } => ("wait", "starting"),
        Stage::Ready => ("ok", "ready"),
        Stage::Draining => ("wait", "about to end"),
    };
    write!(
        f,
        "<header><h1>EMR Serverless Spark exporter</h1><p><span class=\"pill {class}\">{stage}</span> \
         <span class=\"soft\">version {}, up for {}, as of {}</span></p>",
        Escaped(status.version),
        Span(status.as_of.abs_diff(status.started)),
        text_moment(status.as_of),
    )?;
    if let Stage::Starting { waiting } = status.stage {
        write!(f, "<p>{} still without a first sweep.</p>", Of(waiting, "target"))?;
    }
    write!(
        f,
        "<nav aria-label=\"Pages\"><ul><li><a href=\"{}\">Metrics</a></li>\
         <li><a href=\"/api/v1/status\">Status as JSON</a></li><li><a href=\"/-/ready\">Readiness</a></li>\
         <li><a href=\"/-/healthy\">Health</a></li><li><a href=\"{}\">Documentation</a></li></ul></nav></header>",
        Escaped(telemetry_path),
        docs::INDEX,
    )
}

fn text_moment(at: i64) -> impl Display {
    let exact = super::text::rfc3339(at).unwrap_or_default();
    written(move |f| write!(f, "<time datetime=\"{exact}\">{exact}</time>"))
}

/// One number and what it counts; `note` is HTML.
fn tile(
    f: &mut Formatter<'_>,
    alarm: bool,
    name: &str,
    value: impl Display,
    note: impl Display,
) -> fmt::Result {
    let class = if alarm { " alarm" } else { "" };
    write!(f, "<div class=\"tile{class}\"><dt>{name}</dt><dd>{value} <small>{note}</small></dd></div>")
}

fn tiles(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    let (targets, watched, ledger) = (&status.targets, &status.watched, &status.ledger);
    let failing = targets.iter().filter(|target| target.failing_since.is_some()).count();
    let sweeping = targets.iter().filter(|target| target.progress.is_some()).count();
    let failed = watched.session_clusters_failed;
    f.write_str("<dl class=\"tiles\">")?;
    tile(f, failing > 0, "Targets failing", count(failing), format_args!("of {}", count(targets.len())))?;
    tile(f, false, "Sweeping now", count(sweeping), "")?;
    let scopes = format!("in {}", Of(watched.scopes.len(), "region"));
    tile(f, false, "Workspaces", count(watched.workspaces), scopes)?;
    let note = if failed > 0 { format!("{} in Error", count(failed)) } else { String::new() };
    tile(f, failed > 0, "Session clusters", count(watched.session_clusters), note)?;
    tile(f, false, "Livy gateways", count(watched.livy_gateways), "")?;
    tile(f, false, "Active Livy sessions", Count(watched.livy_sessions_active), "")?;
    let trouble = ledger.commits_failing_since.is_some();
    tile(f, trouble, "Ledger sessions", Count(ledger.sessions), Bytes(ledger.size_bytes))?;
    f.write_str("</dl>")
}

fn footer(f: &mut Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "<footer><p>The page shows what was known when it was made; load it again for what is known then. \
         <a href=\"{}\">Troubleshooting</a> has what to do about what you see.</p></footer>",
        docs::TROUBLESHOOTING,
    )
}

/// How long ago something was, or that it never was.
pub(super) fn ago(at: Option<i64>, now: i64, never: &'static str) -> impl Display {
    written(move |f| match at {
        Some(at) => When { at, now }.fmt(f),
        None => f.write_str(never),
    })
}
