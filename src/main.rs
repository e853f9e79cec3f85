//! The `emr-serverless-spark-exporter` program: arguments in, exit code out.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use emr_serverless_spark_exporter::app::{self, AppError, Handed};
use emr_serverless_spark_exporter::build_info;
use emr_serverless_spark_exporter::cli::{self, Cli, Command, ConfigFlags};
use emr_serverless_spark_exporter::config::{self, Config, ConfigErrors, LoadRequest};
use emr_serverless_spark_exporter::{logging, priority};
use tokio::runtime::Builder;

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
            ExitCode::from(if error.is_config() { cli::EXIT_CONFIG } else { 1 })
        }
    }
}

fn run(command: Command) -> Result<(), AppError> {
    match command {
        Command::CheckConfig(flags) => {
            let summary = app::check_config(&load(&flags)?)?;
            let _ = writeln!(std::io::stdout(), "{summary}");
            Ok(())
        }
        Command::Serve(flags) => {
            let config = load(&flags)?;
            let logging = logging::init(config.log);
            // While there is no other thread.
            let handed = if config.web.systemd_socket { Handed::take() } else { Handed::none() };
            block_on(app::serve(config, handed, logging, move || load(&flags)))
        }
        Command::Healthcheck(flags) => Ok(app::health(config::load_web_place(request(&flags)))?),
        Command::Ledger(command) => {
            let text = app::ledger_command(command, config::process_environment())?;
            let _ = writeln!(std::io::stdout(), "{text}");
            Ok(())
        }
        Command::Demo(flags) => {
            logging::init(flags.log.log());
            block_on(app::demo(flags))
        }
        Command::Sim(flags) => {
            logging::init(flags.log.log());
            block_on(app::simulate(flags))
        }
        Command::Version => {
            let _ = writeln!(std::io::stdout(), "{}", build_info::describe());
            Ok(())
        }
    }
}

fn block_on(program: impl Future<Output = Result<(), AppError>>) -> Result<(), AppError> {
    // The threads that answer scrapes are others, which this one starts.
    let runtime = Builder::new_multi_thread().enable_all().on_thread_start(priority::give_way).build();
    let runtime = runtime.map_err(|source| AppError::System { doing: "starting the runtime", source })?;
    let ended = runtime.block_on(program);
    // A password that is still being checked is nothing to wait for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}

fn load(flags: &ConfigFlags) -> Result<Config, ConfigErrors> {
    config::load(request(flags))
}

fn request(flags: &ConfigFlags) -> LoadRequest<'_, Vec<(String, String)>> {
    LoadRequest {
        file: flags.config_file.as_deref(),
        environment: config::process_environment(),
        overrides: flags.overrides(),
    }
}
