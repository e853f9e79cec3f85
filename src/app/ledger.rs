//! The commands about the ledger. Invariant: each gives the text for standard output, or an error that says what to do.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::AppError;
use crate::cli::{InspectFormat, LedgerCommand};
use crate::clock::{Clock, UnixMillis};
use crate::ledger::{self, Checked, GatewayTotals, Inspection, SeriesTotals};
use crate::model::{Baseline, GatewayId, Usage};

/// Does what a command about the ledger asks for, and tells what came of it. `environment` may name the file.
///
/// # Errors
/// Where the settings are refused, or the ledger is.
pub fn ledger_command(
    command: LedgerCommand,
    environment: Vec<(String, String)>,
) -> Result<String, AppError> {
    Ok(match command {
        LedgerCommand::Inspect { ledger, format } => {
            let inspection = ledger::inspect(&ledger.path(environment)?)?;
            match format {
                InspectFormat::Table => table(&inspection),
                InspectFormat::Json => format!("{:#}", as_json(&inspection)),
            }
        }
        LedgerCommand::Verify { ledger } => {
            let path = ledger.path(environment)?;
            verified(&path, ledger::verify(&path)?)
        }
        LedgerCommand::Backup { ledger, file } => {
            let path = ledger.path(environment)?;
            let checked = ledger::back_up(&path, &file)?;
            format!("copied {} to {}\n{}", path.display(), file.display(), verified(&file, checked))
        }
        LedgerCommand::Restore { ledger, file } => {
            let path = ledger.path(environment)?;
            let restored = ledger::restore(&path, file.as_deref(), Clock::System.now())?;
            let kept = match restored.kept {
                Some(kept) => format!("\nwhat stood there is kept as {}", kept.display()),
                None => String::new(),
            };
            format!(
                "put {} in the place of {}{kept}\nthe counters of each gateway appear again after its next full sweep\n{}",
                restored.copy.display(),
                path.display(),
                verified(&path, restored.checked)
            )
        }
    })
}

fn verified(path: &Path, checked: Checked) -> String {
    let Checked { pages, rows, sessions, pruned, series, commits } = checked;
    format!(
        "ledger {}: sound\n  structure     {pages} pages\n  definitions   of all tables\n  checksums     {rows} rows\n  \
         index         {sessions} sessions found by it\n  totals        of {series} series, the sums of {sessions} \
         sessions and {pruned} pruned ones\n  commits       {commits}, none missing",
        path.display()
    )
}

/// One line of the table, or the sum of several.
#[derive(Clone, Copy, Default)]
struct Line {
    usage: Usage,
    over: Usage,
    kept: u64,
    pruned: u64,
    created: u64,
    terminated: u64,
    error: u64,
}

impl Line {
    fn new(series: &SeriesTotals, (kept, pruned): (u64, u64)) -> Self {
        let SeriesTotals { over, created, terminated, error, .. } = *series;
        Self { usage: series.usage(), over, kept, pruned, created, terminated, error }
    }

    /// Sums for people: held at the end of 64 bits.
    fn plus(self, other: Self) -> Self {
        let add = |a: Usage, b: Usage| Usage {
            nano_cu_hours: a.nano_cu_hours.saturating_add(b.nano_cu_hours),
            vcore_seconds: a.vcore_seconds.saturating_add(b.vcore_seconds),
            mb_seconds: a.mb_seconds.saturating_add(b.mb_seconds),
        };
        Self {
            usage: add(self.usage, other.usage),
            over: add(self.over, other.over),
            kept: self.kept + other.kept,
            pruned: self.pruned + other.pruned,
            created: self.created.saturating_add(other.created),
            terminated: self.terminated.saturating_add(other.terminated),
            error: self.error.saturating_add(other.error),
        }
    }

    fn cells(&self, name: String, note: String) -> Vec<String> {
        let hours = hours(self.usage);
        let counts = [self.kept, self.pruned, self.created, self.terminated, self.error];
        let mut cells = vec![name];
        cells.extend(hours.map(|hours| format!("{hours:.3}")));
        cells.extend(counts.map(|count| count.to_string()));
        cells.push(format!("{:.3}", self::hours(self.over)[0]));
        cells.push(note);
        cells
    }

    fn json(&self) -> Value {
        let [cu, vcore, gib] = hours(self.usage);
        let figures = |usage: Usage| {
            json!({
                "nano_cu_hours": usage.nano_cu_hours,
                "vcore_seconds": usage.vcore_seconds,
                "mb_seconds": usage.mb_seconds,
            })
        };
        json!({
            "cu_hours": cu, "vcore_hours": vcore, "gib_hours": gib,
            "usage": figures(self.usage), "overcounted": figures(self.over),
            "sessions_kept": self.kept, "sessions_pruned": self.pruned, "created": self.created,
            "ended": {"terminated": self.terminated, "error": self.error},
        })
    }
}

/// CU-hours, vcore-hours, GiB-hours.
#[expect(clippy::cast_precision_loss, reason = "floats only at the very end")]
fn hours(usage: Usage) -> [f64; 3] {
    [
        usage.nano_cu_hours as f64 / 1e9,
        usage.vcore_seconds as f64 / 3_600.0,
        usage.mb_seconds as f64 / (1_024.0 * 3_600.0),
    ]
}

fn lines<'a>(
    inspection: &'a Inspection,
    gateway: &'a GatewayTotals,
) -> impl Iterator<Item = (&'a str, &'a SeriesTotals, Line)> {
    gateway.series.iter().map(|(queue, series)| {
        let counts = inspection.sessions.get(&series.key).copied().unwrap_or_default();
        (queue.as_str(), series, Line::new(series, counts))
    })
}

fn total(inspection: &Inspection, gateway: &GatewayTotals) -> Line {
    lines(inspection, gateway).fold(Line::default(), |sum, (_, _, line)| sum.plus(line))
}

fn by_workspace(inspection: &Inspection) -> BTreeMap<(&str, &str), Vec<(&GatewayId, &GatewayTotals)>> {
    let mut workspaces: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (id, gateway) in &inspection.totals.gateways {
        let workspace = (id.workspace.account.as_str(), id.workspace.workspace_id.as_str());
        workspaces.entry(workspace).or_default().push((id, &**gateway));
    }
    workspaces
}

fn table(inspection: &Inspection) -> String {
    const HEAD: [&str; 11] = [
        "account/workspace, gateway, queue",
        "CU-hours",
        "vcore-hours",
        "GiB-hours",
        "kept",
        "pruned",
        "created",
        "terminated",
        "error",
        "overcounted",
        "state",
    ];
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    let mut all = Line::default();
    for ((account, workspace), gateways) in by_workspace(inspection) {
        let sum = gateways.iter().fold(Line::default(), |sum, (_, g)| sum.plus(total(inspection, g)));
        all = all.plus(sum);
        rows.push(sum.cells(format!("{account}/{workspace}"), String::new()));
        for (id, gateway) in gateways {
            let line = total(inspection, gateway);
            rows.push(line.cells(format!("  {}", id.livy_compute_id), state(gateway)));
            for (queue, series, line) in lines(inspection, gateway) {
                let note = if series.held { "held at zero" } else { "" };
                rows.push(line.cells(format!("    {queue}"), note.to_owned()));
            }
        }
    }
    rows.push(all.cells("all".into(), String::new()));
    align(&rows)
}

/// What a gateway's counters are at.
fn state(gateway: &GatewayTotals) -> String {
    let baseline = match (gateway.baseline_complete.and_then(rfc3339), gateway.baseline) {
        _ if gateway.resweep => "restored: not shown before its next full sweep".into(),
        (None, _) => "baseline under way".into(),
        (Some(_), _) if gateway.born_watched => "counted from its beginning".into(),
        (Some(at), Baseline::Include) => format!("baseline of {at} included"),
        (Some(at), Baseline::Exclude) => format!("baseline of {at} excluded"),
    };
    match gateway.pruned_through.and_then(rfc3339) {
        Some(through) => format!("{baseline}; pruned through {through}"),
        None => baseline,
    }
}

/// Names to the left, figures to the right.
fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 || column + 1 == columns {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn as_json(inspection: &Inspection) -> Value {
    let gateways = inspection.totals.gateways.iter().map(|(id, gateway)| {
        let queues = lines(inspection, gateway).map(|(queue, series, line)| {
            let mut value = line.json();
            value["queue"] = queue.into();
            value["held"] = series.held.into();
            value
        });
        let mut value = total(inspection, gateway).json();
        value["account"] = id.workspace.account.as_str().into();
        value["workspace_id"] = id.workspace.workspace_id.as_str().into();
        value["livy_compute_id"] = id.livy_compute_id.as_str().into();
        value["baseline"] = match gateway.baseline {
            Baseline::Include => "include".into(),
            Baseline::Exclude => "exclude".into(),
        };
        value["baseline_complete"] = gateway.baseline_complete.and_then(rfc3339).into();
        value["born_watched"] = gateway.born_watched.into();
        value["full_sweep"] = gateway.full_pass_at.and_then(rfc3339).into();
        value["pruned_through"] = gateway.pruned_through.and_then(rfc3339).into();
        value["resweep"] = gateway.resweep.into();
        value["queues"] = queues.collect();
        value
    });
    let workspaces = by_workspace(inspection).into_iter().map(|((account, workspace), gateways)| {
        let sum = gateways.iter().fold(Line::default(), |sum, (_, g)| sum.plus(total(inspection, g)));
        let mut value = sum.json();
        value["account"] = account.into();
        value["workspace_id"] = workspace.into();
        value
    });
    json!({"workspaces": workspaces.collect::<Value>(), "gateways": gateways.collect::<Value>()})
}

fn rfc3339(moment: UnixMillis) -> Option<String> {
    Some(jiff::Timestamp::from_second(moment.div_euclid(1_000)).ok()?.to_string())
}
