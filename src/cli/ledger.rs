//! Commands about the ledger.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::config;

/// What to do with the ledger.
#[derive(Clone, Debug, Subcommand)]
pub enum LedgerCommand {
    /// Show the totals by workspace, gateway and queue; also while the daemon runs.
    Inspect {
        #[command(flatten)]
        #[expect(missing_docs, reason = "clap would show it as help")]
        ledger: LedgerFlags,
        /// How to show them.
        #[arg(long, value_enum, default_value_t = InspectFormat::Table)]
        format: InspectFormat,
    },
    /// Make all checks that the daemon makes at its start, and change nothing; also while it runs.
    Verify {
        #[command(flatten)]
        #[expect(missing_docs, reason = "clap would show it as help")]
        ledger: LedgerFlags,
    },
    /// Write a checked copy to a new file; also while the daemon runs.
    Backup {
        #[command(flatten)]
        #[expect(missing_docs, reason = "clap would show it as help")]
        ledger: LedgerFlags,
        /// The file to write; nothing is overwritten.
        file: PathBuf,
    },
    /// Put a copy in the ledger's place, after checking it; the daemon must be stopped. What stood there is kept.
    Restore {
        #[command(flatten)]
        #[expect(missing_docs, reason = "clap would show it as help")]
        ledger: LedgerFlags,
        /// The copy [default: the automatic backup beside the ledger].
        file: Option<PathBuf>,
    },
}

/// Which ledger.
#[derive(Args, Clone, Debug, Default)]
pub struct LedgerFlags {
    /// YAML file with the settings, of which ledger.path is used.
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// The ledger, before what the settings or EMR_SPARK_EXPORTER__LEDGER__PATH say [default: data/ledger.db].
    #[arg(long = "ledger.path", value_name = "FILE")]
    pub ledger_path: Option<PathBuf>,
}

/// How `ledger inspect` shows the totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InspectFormat {
    /// For people.
    Table,
    /// For programs: exact integers.
    Json,
}

impl LedgerFlags {
    /// The ledger's file: by flag, else by the settings in the file, else by the environment, else the default.
    ///
    /// # Errors
    /// Where the settings are needed and are refused.
    pub fn path(self, environment: Vec<(String, String)>) -> Result<PathBuf, config::ConfigErrors> {
        if let Some(path) = self.ledger_path {
            return Ok(path);
        }
        if let Some(file) = self.config_file {
            let request = config::LoadRequest { file: Some(&file), environment, overrides: Vec::new() };
            return Ok(config::load(request)?.ledger.path);
        }
        let set = environment.into_iter().find(|(name, _)| name == "EMR_SPARK_EXPORTER__LEDGER__PATH");
        Ok(set.map_or_else(|| "data/ledger.db".into(), |(_, path)| path.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(line: &str) -> Command {
        Cli::command(std::iter::once("exporter").chain(line.split_whitespace())).unwrap()
    }

    #[test]
    fn the_ledger_is_named_by_flag_environment_or_default() {
        let path = |line: &str, environment: &[(&str, &str)]| {
            let Command::Ledger(LedgerCommand::Verify { ledger }) = parse(line) else { panic!() };
            let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            ledger.path(environment.collect()).unwrap()
        };
        let set = [("EMR_SPARK_EXPORTER__LEDGER__PATH", "set.db")];
        assert_eq!(
            path("ledger verify --ledger.path l.db --config.file none.yaml", &set),
            PathBuf::from("l.db")
        );
        assert_eq!(path("ledger verify", &set), PathBuf::from("set.db"));
        assert_eq!(path("ledger verify", &[]), PathBuf::from("data/ledger.db"));
        let Command::Ledger(LedgerCommand::Restore { file, .. }) = parse("ledger restore copy.db") else {
            panic!()
        };
        assert_eq!(file, Some("copy.db".into()));
    }
}
