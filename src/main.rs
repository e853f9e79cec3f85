//! The `emr-serverless-spark-exporter` program: arguments in, exit code out.

use std::io::Write;
use std::process::ExitCode;

use emr_serverless_spark_exporter::app::{self, AppError};
use emr_serverless_spark_exporter::build_info;
use emr_serverless_spark_exporter::cli::{self, Cli, Command, ConfigFlags};
use emr_serverless_spark_exporter::config::{self, Config, ConfigErrors, LoadRequest};
use emr_serverless_spark_exporter::logging;

fn main() -> ExitCode {
    let command = match Cli::command(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => {
            // Help that nobody reads any more is no failure.
            let _ = error.print();
            return ExitCode::from(cli::exit_code(&error));
        }
    };
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(if matches!(error, AppError::Config(_)) { cli::EXIT_CONFIG } else { 1 })
        }
    }
}

fn run(command: Command) -> Result<(), AppError> {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|source| AppError::System { doing: "starting the runtime", source })?;
    match command {
        Command::CheckConfig(flags) => {
            let summary = load(&flags)?.summary();
            let _ = writeln!(std::io::stdout(), "{summary}");
            Ok(())
        }
        Command::Serve(flags) => {
            let config = load(&flags)?;
            logging::init(config.log);
            runtime.block_on(app::serve(config))
        }
        Command::Ledger(command) => {
            let text = app::ledger_command(command, config::process_environment())?;
            let _ = writeln!(std::io::stdout(), "{text}");
            Ok(())
        }
        Command::Demo(flags) => {
            logging::init(flags.log.log());
            runtime.block_on(app::demo(flags))
        }
        Command::Sim(flags) => {
            logging::init(flags.log.log());
            runtime.block_on(app::simulate(flags))
        }
        Command::Version => {
            let _ = writeln!(std::io::stdout(), "{}", build_info::describe());
            Ok(())
        }
    }
}

fn load(flags: &ConfigFlags) -> Result<Config, ConfigErrors> {
    config::load(LoadRequest {
        file: flags.config_file.as_deref(),
        environment: config::process_environment(),
        overrides: flags.overrides(),
    })
}
