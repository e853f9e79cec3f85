//! What is watched and how it fares: as a page at `/`, which works without scripts or anything from elsewhere, and as JSON
//! at `/api/v1/status`. Invariant: both show the same.

use std::fmt::{self, Write};

use serde::{Serialize, Serializer};

use super::Stage;

/// What is shown.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The program's version.
    pub version: &'static str,
    /// How far the exporter has come; in JSON `starting`, `ready` or `draining`.
    #[serde(serialize_with = "stage_name")]
    pub stage: Stage,
    /// Livy sessions that the ledger holds.
    pub ledger_sessions: u64,
    /// How the settings were read.
    pub config: ConfigStatus,
    /// One a target.
    pub targets: Vec<TargetRow>,
}

/// How the settings were read. Times are in RFC 3339.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConfigStatus {
    /// When those in force were read.
    pub loaded: Option<String>,
    /// Why those that were read since then were refused, if they were; free of secrets.
    pub refused: Option<String>,
    /// Keys that were changed and take effect at a restart.
    pub awaiting_restart: Vec<&'static str>,
}

/// A target. Times are in RFC 3339.
#[derive(Clone, Debug, Serialize)]
pub struct TargetRow {
    /// What is polled there.
    #[serde(rename = "target")]
    pub kind: &'static str,
    /// The account's name in the configuration.
    pub account: String,
    /// Its region.
    pub region: String,
    /// Empty where it has none.
    pub workspace_id: String,
    /// Empty where it has none.
    pub livy_compute_id: String,
    /// When its latest sweep that ended well did so.
    pub last_success: Option<String>,
    /// Since when its sweeps fail, if the latest one did.
    pub failing_since: Option<String>,
    /// The latest sweep that failed, however the ones since then ended.
    pub last_failure: Option<FailureRow>,
    /// How far the running sweep has come, 0 to 1.
    pub progress: Option<f64>,
}

/// A sweep that failed.
#[derive(Clone, Debug, Serialize)]
pub struct FailureRow {
    /// When.
    pub at: Option<String>,
    /// From the closed set that the metrics use.
    pub reason: &'static str,
    /// The service's error code, where it gave one.
    pub code: Option<String>,
    /// What the service calls the request in its own logs.
    pub request_id: Option<String>,
    /// In words; free of secrets.
    pub message: String,
}

fn stage_name<S: Serializer>(stage: &Stage, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match stage {
        Stage::Starting { .. } => "starting",
        Stage::Ready => "ready",
        Stage::Draining => "draining",
    })
}

/// The status as JSON.
pub(super) fn json(status: &Status) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = serde_json::to_vec(status)?;
    json.push(b'\n');
    Ok(json)
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
    let failing = status.targets.iter().filter(|target| target.failing_since.is_some()).count();
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
         <p><a href=\"{}\">Metrics</a> · <a href=\"/api/v1/status\">Status as JSON</a> · <a href=\"/-/ready\">Readiness</a> · <a href=\"/-/healthy\">Health</a></p>\
         {}<h2>Targets</h2><div><table><thead><tr><th>Target</th><th>Account</th><th>Region</th><th>Workspace</th>\
         <th>Livy gateway</th><th>Last success</th><th>State</th><th>Last failure</th></tr></thead><tbody>",
        status.version,
        Escaped(&stage),
        status.targets.len(),
        status.ledger_sessions,
        Escaped(telemetry_path),
        Settings(&status.config),
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
    match (&target.failing_since, &target.last_success) {
        (Some(since), _) => write!(html, "<span class=\"bad\">failing since {}</span>", Escaped(since))?,
        (None, Some(_)) => html.write_str("<span class=\"ok\">ok</span>")?,
        (None, None) => html.write_str("waiting")?,
    }
    if let Some(progress) = target.progress {
        write!(html, " (sweeping, {:.0} %)", progress * 100.0)?;
    }
    html.write_str("</td><td>")?;
    if let Some(failure) = &target.last_failure {
        let FailureRow { at, reason, code, request_id, message } = failure;
        let class = if target.failing_since.is_some() { " class=\"bad\"" } else { "" };
        write!(html, "<span{class}><b>{}</b>: {}", Escaped(reason), Escaped(message))?;
        let facts = [("at", at), ("code", code), ("request id", request_id)];
        for (name, fact) in facts.iter().filter_map(|(name, fact)| Some((name, fact.as_deref()?))) {
            write!(html, "<br>{name} {}", Escaped(fact))?;
        }
        html.write_str("</span>")?;
    }
    html.write_str("</td></tr>")
}

/// What is to be said of the settings, if anything is.
struct Settings<'a>(&'a ConfigStatus);

impl fmt::Display for Settings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(refused) = &self.0.refused {
            write!(
                f,
                "<p class=\"bad\">The settings were changed and refused:</p><pre>{}</pre>",
                Escaped(refused)
            )?;
        }
        if !self.0.awaiting_restart.is_empty() {
            let keys = self.0.awaiting_restart.join(", ");
            write!(
                f,
                "<p class=\"bad\">Changed, but only in force after a restart: {}.</p>",
                Escaped(&keys)
            )?;
        }
        Ok(())
    }
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
