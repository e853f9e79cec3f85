//! `make bench`: the figures that the project promises, each beside something measured in the same run.
//!
//! Invariant: what is measured runs in a process of its own, which reports its own CPU time and memory; the simulator's
//! never count. `cargo bench --bench figures -- sweep open` runs those sections only.

mod children;
mod daemon;
mod latency;
mod opening;
mod peers;
mod process;
mod prometheus;
mod render;
mod scrape;
mod serve;
mod steady;
mod sweep;
mod table;
mod writes;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use table::{Row, print};

type Outcome<T> = Result<T, Box<dyn Error>>;
type Section = fn() -> Outcome<Vec<Row>>;

/// In the order of the table: the later ones find the page cache as the earlier ones left it.
const SECTIONS: [(&str, Section); 6] = [
    ("sweep", sweep::section),
    ("writes", writes::section),
    ("latency", latency::section),
    ("open", opening::section),
    ("steady", steady::section),
    ("serve", serve::section),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let result = match arguments.split_first() {
        Some((first, rest)) if first == children::FLAG => children::run(rest),
        _ => sections(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the sections that are asked for by name, or all of them.
fn sections(names: &[String]) -> Outcome<()> {
    if let Some(name) = names.iter().find(|name| !SECTIONS.iter().any(|(known, _)| known == name)) {
        let known: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
        return Err(format!("no section {name:?}; there are {}", known.join(", ")).into());
    }
    let mut rows = Vec::new();
    for (name, section) in SECTIONS {
        if names.is_empty() || names.iter().any(|asked| asked == name) {
            rows.extend(section()?);
        }
    }
    print(&rows)?;
    Ok(())
}
