//! What is printed: one row a figure.

use std::io::{self, Write};

/// A figure beside its goal.
pub struct Row {
    /// What was measured.
    pub what: String,
    /// The figure, with its unit.
    pub measured: String,
    /// What it is compared with, measured in the same run.
    pub against: String,
    /// The figure over what it is compared with.
    pub ratio: Option<f64>,
    /// What is promised; empty where the row only informs.
    pub goal: String,
    /// Whether that holds; `None` where nothing is promised.
    pub met: Option<bool>,
}

/// Prints the rows as a Markdown table.
pub fn print(rows: &[Row]) -> io::Result<()> {
    let mut cells = vec![["what", "measured", "compared with", "ratio", "goal", "met"].map(str::to_owned)];
    cells.push(["---", "---:", "---", "---:", "---", "---"].map(str::to_owned));
    cells.extend(rows.iter().map(|row| {
        [
            row.what.clone(),
            row.measured.clone(),
            row.against.clone(),
            row.ratio
                .map(|ratio| if ratio < 0.1 { format!("{ratio:.4}") } else { format!("{ratio:.2}") })
                .unwrap_or_default(),
            row.goal.clone(),
            row.met.map(|met| if met { "yes" } else { "NO" }.to_owned()).unwrap_or_default(),
        ]
    }));
    let widths: [usize; 6] =
        std::array::from_fn(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut out = io::stdout().lock();
    for row in cells {
        let padded: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(out, "| {} |", padded.join(" | "))?;
    }
    out.flush()
}

/// The middle one of an odd number of figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
