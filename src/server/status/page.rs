//! The page as HTML: what is worst comes first, counts before lists. Invariant: its length has a bound, however much is
//! watched.

use std::fmt::{self, Display, Formatter};

use super::places::{accounts, regions};
use super::text::{Bytes, Count, Escaped, Of, Span, When, count, written};
use super::{ListState, Status, failing, sections, targets};
use crate::server::Stage;
use crate::server::docs;

/// The page between the tags of its body.
pub(in crate::server) fn render<'a>(status: &'a Status, telemetry_path: &'a str) -> impl Display + 'a {
    written(move |f| {
        f.write_str("<a class=\"skip\" href=\"#main\">Skip to the content</a>")?;
        header(f, status, telemetry_path)?;
        f.write_str("<main id=\"main\">")?;
        tiles(f, status)?;
        sections::settings(f, status)?;
        failing::write(f, status)?;
        sections::clusters(f, status)?;
        sections::consumers(f, status)?;
        targets::write(f, status)?;
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
        "<header><h1>EMR Serverless Spark exporter</h1><p><span class=\"pill {class}\">{stage}</span> ",
    )?;
    let failing = failing_count(status);
    if failing > 0 {
        write!(f, "<a class=\"pill bad\" href=\"#failing\">{} failing</a> ", count(failing))?;
    }
    write!(
        f,
        "<span class=\"soft\">version {}, up for {}, settings read {}, as of {}</span></p>",
        Escaped(status.version),
        Span(status.as_of.abs_diff(status.started)),
        When { at: status.config.loaded, now: status.as_of },
        text_moment(status.as_of),
    )?;
    if status.waiting > 0 {
        write!(f, "<p>{} still without a first sweep.</p>", Of(status.waiting, "target"))?;
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

fn failing_count(status: &Status) -> usize {
    status.targets.iter().filter(|target| target.failing_since.is_some()).count()
}

fn tiles(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    let (targets, watched, ledger) = (&status.targets, &status.watched, &status.ledger);
    let failing = failing_count(status);
    let sweeping = targets.iter().filter(|target| target.progress.is_some()).count();
    f.write_str("<dl class=\"tiles\">")?;
    tile(f, failing > 0, "Targets failing", count(failing), format_args!("of {}", count(targets.len())))?;
    tile(f, false, "Sweeping now", count(sweeping), "")?;
    let now = status.as_of;
    let wide = |counted: Option<usize>| counted.map(|counted| counted as u64);
    let lists = &watched.lists;
    listed(f, "Workspaces", wide(watched.workspaces), &lists.workspaces, now, (false, extent(status)))?;
    let failed = watched.session_clusters_failed.unwrap_or(0);
    let note = if failed > 0 { format!("{} in Error", count(failed)) } else { String::new() };
    let clusters = wide(watched.session_clusters);
    listed(f, "Session clusters", clusters, &lists.session_clusters, now, (failed > 0, note))?;
    let quiet = || (false, String::new());
    listed(f, "Livy gateways", wide(watched.livy_gateways), &lists.livy_gateways, now, quiet())?;
    let active = watched.livy_sessions_active;
    listed(f, "Active Livy sessions", active, &lists.livy_sessions, now, quiet())?;
    let is_failing = |since: Option<i64>, what| since.map(|_| what);
    let trouble = is_failing(ledger.commits_failing_since, "commits fail")
        .or(is_failing(ledger.backups_failing_since, "backups fail"));
    let size = Bytes(ledger.size_bytes);
    let note = written(move |f| match trouble {
        Some(trouble) => write!(f, "{trouble}"),
        None => write!(f, "{size}"),
    });
    tile(f, trouble.is_some(), "Ledger sessions", Count(ledger.sessions), note)?;
    f.write_str("</dl>")
}

/// What lists have, with a note, and how old they are where that is too old for the metrics.
fn listed(
    f: &mut Formatter<'_>,
    name: &str,
    counted: Option<u64>,
    list: &ListState,
    now: i64,
    (alarm, note): (bool, String),
) -> fmt::Result {
    let Some(counted) = counted else {
        return tile(f, false, name, "–", if list.enabled { "not known yet" } else { "not watched" });
    };
    let mut notes: Vec<String> = Vec::new();
    if !note.is_empty() {
        notes.push(note);
    }
    if list.missing > 0 {
        notes.push(format!("without {}", Of(list.missing, "list")));
    }
    if let Some(at) = list.as_of.filter(|_| list.stale > 0) {
        let part = if list.stale < list.complete { "in part " } else { "" };
        notes.push(format!("<span class=\"old\">{part}as of {}</span>", When { at, now }));
    }
    tile(f, alarm, name, Count(counted), notes.join(", "))
}

/// Which regions are watched, of how many accounts.
fn extent(status: &Status) -> String {
    let (accounts, regions) = (accounts(status), regions(status));
    let named = match regions.len() {
        0 => return String::new(),
        1..=2 => {
            let named: Vec<String> = regions.iter().map(|region| Escaped(region).to_string()).collect();
            format!("in {}", named.join(" and "))
        }
        many => format!("in {}", Of(many, "region")),
    };
    if accounts.len() > 1 { format!("{named} of {}", Of(accounts.len(), "account")) } else { named }
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
