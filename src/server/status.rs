//! The status page at `/`: what is watched and how it fares. Works without scripts or anything from elsewhere.

use std::fmt::{self, Write};

use super::Stage;

/// What the page shows.
#[derive(Clone, Debug)]
pub struct Status {
    /// How far the exporter has come.
    pub stage: Stage,
    /// Livy sessions that the ledger holds.
    pub ledger_sessions: u64,
    /// One a target.
    pub targets: Vec<TargetRow>,
}

/// A target on the page.
#[derive(Clone, Debug)]
pub struct TargetRow {
    /// What is polled there.
    pub kind: &'static str,
    /// The account's name in the configuration.
    pub account: String,
    /// Its region.
    pub region: String,
    /// Empty where it has none.
    pub workspace_id: String,
    /// Empty where it has none.
    pub livy_compute_id: String,
    /// When its latest sweep that ended well did so, in RFC 3339.
    pub last_success: Option<String>,
    /// Reason and message of its latest sweep, if that failed.
    pub failure: Option<(&'static str, String)>,
    /// How far the running sweep has come, 0 to 1.
    pub progress: Option<f64>,
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;\
    color-scheme:light dark}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;\
    border-bottom:1px solid #8886}div{overflow-x:auto}.bad{color:#c62828}.ok{color:#2e7d32}\
    @media (prefers-color-scheme:dark){.bad{color:#ef9a9a}.ok{color:#a5d6a7}}";

/// The page as HTML.
pub(super) fn render(status: &Status, telemetry_path: &str) -> String {
    let mut html = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut html, status, telemetry_path);
    html
}

fn write(html: &mut String, status: &Status, telemetry_path: &str) -> fmt::Result {
    let failing = status.targets.iter().filter(|target| target.failure.is_some()).count();
    let stage = match status.stage {
        Stage::Starting { waiting } => format!("starting: {waiting} targets without a first sweep"),
        Stage::Ready => "ready".into(),
        Stage::Draining => "about to end".into(),
    };
    write!(
        html,
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>EMR Serverless Spark exporter</title><style>{STYLE}</style></head><body>\
         <h1>EMR Serverless Spark exporter</h1>\
         <p>Version {}, {}. {} targets, {failing} failing. {} Livy sessions in the ledger.</p>\
         <p><a href=\"{}\">Metrics</a> · <a href=\"/-/ready\">Readiness</a> · <a href=\"/-/healthy\">Health</a></p>\
         <h2>Targets</h2><div><table><thead><tr><th>Target</th><th>Account</th><th>Region</th><th>Workspace</th>\
         <th>Livy gateway</th><th>Last success</th><th>State</th></tr></thead><tbody>",
        env!("CARGO_PKG_VERSION"),
        Escaped(&stage),
        status.targets.len(),
        status.ledger_sessions,
        Escaped(telemetry_path),
    )?;
    for target in &status.targets {
        row(html, target)?;
    }
    html.write_str("</tbody></table></div></body></html>\n")
}

fn row(html: &mut String, target: &TargetRow) -> fmt::Result {
    let cells = [
        target.kind,
        &target.account,
        &target.region,
        &target.workspace_id,
        &target.livy_compute_id,
        target.last_success.as_deref().unwrap_or("never"),
    ];
    html.write_str("<tr>")?;
    for cell in cells {
        write!(html, "<td>{}</td>", Escaped(cell))?;
    }
    html.write_str("<td>")?;
    match (&target.failure, &target.last_success) {
        (Some((reason, message)), _) => {
            write!(html, "<span class=\"bad\">{}: {}</span>", Escaped(reason), Escaped(message))?;
        }
        (None, Some(_)) => html.write_str("<span class=\"ok\">ok</span>")?,
        (None, None) => html.write_str("waiting")?,
    }
    if let Some(progress) = target.progress {
        write!(html, " (sweeping, {:.0} %)", progress * 100.0)?;
    }
    html.write_str("</td></tr>")
}

/// Text in HTML, between tags or in a quoted attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
