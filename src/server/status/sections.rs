//! Consumers, session clusters that failed, the ledger and the keys.

use std::fmt::{self, Formatter};

use super::failing::{named, place};
use super::page::ago;
use super::tables::bar;
use super::text::{Bytes, Count, CuHours, Escaped, Short, When, count, in_query};
use super::{ConsumerRow, CredentialsRow, Place, SessionRow, Status};

/// The counter that consumers are ordered by.
const COUNTER: &str = "emr_serverless_spark_livy_cu_seconds_total";

/// What is to be said of the settings, if anything is.
pub(super) fn settings(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    let config = &status.config;
    if config.refused.is_none() && config.awaiting_restart.is_empty() {
        return Ok(());
    }
    f.write_str(
        "<section aria-labelledby=\"settings\"><h2 id=\"settings\">Settings</h2><div class=\"card\">",
    )?;
    if let Some(refused) = &config.refused {
        write!(
            f,
            "<p class=\"bad\">They were changed and refused; those before them stay in force:</p>\
             <p class=\"lines\">{}</p>",
            Escaped(refused)
        )?;
    }
    if !config.awaiting_restart.is_empty() {
        let keys = config.awaiting_restart.join(", ");
        write!(f, "<p>Changed, but in force after a restart only: {}.</p>", Escaped(&keys))?;
    }
    f.write_str("</div></section>")
}

pub(super) fn consumers(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    let consumers = &status.consumers;
    if consumers.gateways.is_empty() && consumers.sessions.is_empty() {
        return Ok(());
    }
    f.write_str("<div class=\"grid\">")?;
    let lists = [
        ("gateways", "Top gateways", &consumers.gateways, consumers.gateways_total),
        ("queues", "Top queues", &consumers.queues, consumers.queues_total),
    ];
    for (id, title, rows, total) in lists {
        section(f, id, title)?;
        write!(
            f,
            "<table><caption>CU-hours as counted, {} of {}; all gateways have {}</caption>",
            count(rows.len()),
            count(total),
            CuHours(consumers.cu_seconds),
        )?;
        head(f, if id == "gateways" { "Livy gateway" } else { "Queue" })?;
        let most = rows.first().map_or(0.0, |row| row.cu_seconds);
        rows.iter().try_for_each(|row| consumer(f, row, most))?;
        f.write_str("</tbody></table></section>")?;
    }
    f.write_str("</div>")?;
    sessions(f, &consumers.sessions)
}

fn section(f: &mut Formatter<'_>, id: &str, title: &str) -> fmt::Result {
    write!(f, "<section aria-labelledby=\"{id}\"><h2 id=\"{id}\">{title}</h2>")
}

fn head(f: &mut Formatter<'_>, what: &str) -> fmt::Result {
    write!(
        f,
        "<thead><tr><th scope=\"col\">{what}</th><th scope=\"col\" class=\"num\">CU-hours</th></tr></thead><tbody>"
    )
}

fn consumer(f: &mut Formatter<'_>, row: &ConsumerRow, most: f64) -> fmt::Result {
    let Place { workspace_id, livy_compute_id, .. } = &row.place;
    f.write_str("<tr><th scope=\"row\">")?;
    if let Some(queue) = &row.queue {
        let name = if queue.is_empty() { "(no queue)" } else { queue };
        write!(
            f,
            "<a href=\"/api/v1/series?metric={COUNTER}&amp;workspace_id={}&amp;livy_compute_id={}&amp;queue={}\">\
             <bdi>{}</bdi></a> <span class=\"soft\">of</span> ",
            in_query(workspace_id),
            in_query(livy_compute_id),
            in_query(queue),
            Escaped(Short(name)),
        )?;
    }
    write!(f, "{}", place(&row.place, None))?;
    bar(f, if most > 0.0 { row.cu_seconds / most } else { 0.0 })?;
    write!(f, "</th><td class=\"num\">{}</td></tr>", CuHours(row.cu_seconds))
}

fn sessions(f: &mut Formatter<'_>, sessions: &[SessionRow]) -> fmt::Result {
    let Some(most) = sessions.first() else { return Ok(()) };
    section(f, "sessions", "Active sessions")?;
    write!(f, "<table><caption>The largest {}, CU-hours so far</caption>", count(sessions.len()))?;
    head(f, "Livy session")?;
    for row in sessions {
        f.write_str("<tr><th scope=\"row\"><span class=\"name\">")?;
        named(f, &row.name, &row.session_id)?;
        write!(
            f,
            "</span> {} <span class=\"soft\">on {} of</span> {}",
            Escaped(row.state),
            Escaped(&row.queue),
            place(&row.place, None)
        )?;
        bar(f, if most.cu_seconds > 0.0 { row.cu_seconds / most.cu_seconds } else { 0.0 })?;
        write!(f, "</th><td class=\"num\">{}</td></tr>", CuHours(row.cu_seconds))?;
    }
    f.write_str("</tbody></table></section>")
}

pub(super) fn clusters(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    if status.failed_clusters.is_empty() {
        return Ok(());
    }
    section(f, "clusters", "Session clusters in Error")?;
    write!(
        f,
        "<table><caption>{} of {}</caption><thead><tr><th scope=\"col\">Session cluster</th>\
         <th scope=\"col\">Code</th></tr></thead><tbody>",
        count(status.failed_clusters.len()),
        count(status.watched.session_clusters_failed),
    )?;
    for row in &status.failed_clusters {
        f.write_str("<tr><th scope=\"row\"><span class=\"name\">")?;
        named(f, &row.name, &row.session_cluster_id)?;
        let code = if row.code.is_empty() { "none given" } else { &row.code };
        write!(
            f,
            "</span> {} <span class=\"soft\">in</span> {}</th><td>{}</td></tr>",
            Escaped(row.kind),
            place(&row.place, None),
            Escaped(code),
        )?;
    }
    f.write_str("</tbody></table></section>")
}

pub(super) fn ledger(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    let (ledger, now) = (&status.ledger, status.as_of);
    section(f, "ledger", "Ledger")?;
    write!(
        f,
        "<dl class=\"card facts\"><dt>Sessions</dt><dd>{}</dd><dt>Size</dt><dd>{}</dd><dt>Last commit</dt><dd>{}",
        Count(ledger.sessions),
        Bytes(ledger.size_bytes),
        ago(ledger.last_commit, now, "none since the start"),
    )?;
    if let Some(since) = ledger.commits_failing_since {
        write!(
            f,
            " <span class=\"bad\">failing since {}: see the log, and the disk of ledger.path</span>",
            When { at: since, now }
        )?;
    }
    let never = if ledger.backups_enabled { "none yet" } else { "none: ledger.backup_interval is off" };
    write!(f, "</dd><dt>Last backup</dt><dd>{}</dd></dl></section>", ago(ledger.last_backup, now, never))
}

pub(super) fn credentials(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    section(f, "credentials", "Credentials")?;
    f.write_str(
        "<table><thead><tr><th scope=\"col\">Account</th><th scope=\"col\">Keys</th></tr></thead><tbody>",
    )?;
    for CredentialsRow { account, held, expires } in &status.credentials {
        write!(f, "<tr><th scope=\"row\"><bdi>{}</bdi></th><td>", Escaped(account))?;
        match expires {
            Some(at) if *at <= status.as_of => {
                write!(f, "<span class=\"pill bad\">expired</span> {}", When { at: *at, now: status.as_of })?;
            }
            Some(at) => write!(f, "expire {}", When { at: *at, now: status.as_of })?,
            None if *held => f.write_str("do not expire")?,
            None => f.write_str("none yet")?,
        }
        f.write_str("</td></tr>")?;
    }
    f.write_str("</tbody></table></section>")
}
