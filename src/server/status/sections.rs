//! Consumers, session clusters that failed, the ledger and the keys.

use std::fmt::{self, Formatter};

use super::page::ago;
use super::places::{Naming, ids, named, queue};
use super::text::{Bytes, Count, CuHours, Escaped, When, bar, count};
use super::{ConsumerRow, CredentialsRow, SessionRow, Status};

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
    let naming = Naming::of(status);
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
        rows.iter().try_for_each(|row| consumer(f, naming, row, most))?;
        f.write_str("</tbody></table></section>")?;
    }
    f.write_str("</div>")?;
    sessions(f, status)
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

fn consumer(f: &mut Formatter<'_>, naming: Naming, row: &ConsumerRow, most: f64) -> fmt::Result {
    f.write_str("<tr><th scope=\"row\">")?;
    if let Some(name) = &row.queue {
        write!(f, "{} <span class=\"soft\">of</span> ", queue(&row.place, name))?;
    }
    write!(f, "{}", naming.place(&row.place, None))?;
    bar(f, if most > 0.0 { row.cu_seconds / most } else { 0.0 })?;
    write!(f, "</th><td class=\"num\">{}</td></tr>", CuHours(row.cu_seconds))
}

fn sessions(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    let sessions = &status.consumers.sessions;
    let Some(most) = sessions.first() else { return Ok(()) };
    let naming = Naming::of(status);
    section(f, "sessions", "Active sessions")?;
    write!(f, "<table><caption>The largest {}, CU-hours so far</caption>", count(sessions.len()))?;
    head(f, "Livy session")?;
    for SessionRow { place, session_id, name, queue: of, state, cu_seconds } in sessions {
        write!(f, "<tr><th scope=\"row\"><span class=\"name\">{}</span>", named(name, session_id))?;
        write!(
            f,
            " {} <span class=\"soft\">on</span> {} <span class=\"soft\">of</span> {}",
            Escaped(state),
            queue(place, of),
            naming.names(place, None),
        )?;
        // The link has the ids of the others.
        ids(f, [(name, session_id)])?;
        bar(f, if most.cu_seconds > 0.0 { cu_seconds / most.cu_seconds } else { 0.0 })?;
        write!(f, "</th><td class=\"num\">{}</td></tr>", CuHours(*cu_seconds))?;
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
        count(status.watched.session_clusters_failed.unwrap_or(0)),
    )?;
    let naming = Naming::of(status);
    for row in &status.failed_clusters {
        let code = if row.code.is_empty() { "none given" } else { &row.code };
        write!(
            f,
            "<tr><th scope=\"row\"><span class=\"name\">{}</span> {} <span class=\"soft\">in</span> {}",
            named(&row.name, &row.session_cluster_id),
            Escaped(row.kind),
            naming.names(&row.place, None),
        )?;
        let workspace = (&row.place.workspace_name, &row.place.workspace_id);
        ids(f, [(&row.name, &row.session_cluster_id), workspace])?;
        write!(f, "</th><td><code>{}</code></td></tr>", Escaped(code))?;
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
    write!(f, "</dd><dt>Last backup</dt><dd>{}", ago(ledger.last_backup, now, never))?;
    if let Some(since) = ledger.backups_failing_since {
        write!(
            f,
            " <span class=\"bad\">failing since {}: {}</span>",
            When { at: since, now },
            Escaped(ledger.backup_error.as_deref().unwrap_or("see the log")),
        )?;
    }
    f.write_str("</dd></dl></section>")
}

/// The accounts, each with its regions and how its keys stand.
pub(super) fn credentials(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    section(f, "credentials", "Credentials")?;
    f.write_str(
        "<table><thead><tr><th scope=\"col\">Account</th><th scope=\"col\">Keys</th></tr></thead><tbody>",
    )?;
    for CredentialsRow { account, held, temporary, expires } in &status.credentials {
        write!(f, "<tr><th scope=\"row\"><bdi>{}</bdi>", Escaped(account))?;
        let scopes = status.watched.scopes.iter().filter(|scope| scope.account == *account);
        for (index, scope) in scopes.enumerate() {
            let separator = if index == 0 { " " } else { ", " };
            write!(f, "<small>{separator}{}</small>", Escaped(&scope.region))?;
        }
        f.write_str("</th><td>")?;
        match expires {
            Some(at) if *at <= status.as_of => {
                write!(f, "<span class=\"pill bad\">expired</span> {}", When { at: *at, now: status.as_of })?;
            }
            Some(at) => write!(f, "expire {}", When { at: *at, now: status.as_of })?,
            None if !held => f.write_str("none yet")?,
            None if *temporary => f.write_str("temporary, expiry unknown")?,
            None => f.write_str("do not expire")?,
        }
        f.write_str("</td></tr>")?;
    }
    f.write_str("</tbody></table></section>")
}
