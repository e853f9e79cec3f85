//! Commands and flags. Invariant: parsing only; a flag for the daemon is an override of a key of the settings.

mod ledger;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, ValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

pub use ledger::{InspectFormat, LedgerCommand, LedgerFlags};

use crate::config;

/// Exit code for flags or arguments that make no sense (`EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;
/// Exit code for settings that are refused (`EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;

/// Prometheus exporter for Alibaba Cloud EMR Serverless Spark. Its counters are a durable ledger.
#[derive(Clone, Debug, Parser)]
#[command(name = "emr-serverless-spark-exporter", version, max_term_width = 110)]
#[command(
    after_help = "Exit codes: 0 after SIGTERM or SIGINT, 1 if it could not start or go on, 64 for wrong flags, 78 for \
                        wrong settings."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: ConfigFlags,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Poll the service and serve the metrics (what happens without a command, too).
    Serve(ConfigFlags),
    /// Read the settings, print a summary or everything that is wrong with them, and end.
    CheckConfig(ConfigFlags),
    /// Ask the running daemon's /-/healthy, found by the same settings: ends with 0 if it answers, else with 1.
    Healthcheck(ConfigFlags),
    /// Look at the usage ledger, check it, copy it, put a copy back.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Run the simulator and an exporter that watches it: real metrics without an account.
    Demo(DemoFlags),
    /// Run the simulator of the service's API alone.
    Sim(SimFlags),
    /// Print version, revision and date of this build.
    Version,
}

/// Flags of the daemon, which stand before or after its command.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigFlags {
    /// YAML file with the settings; without one, every setting has its default.
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Address of the HTTP server, host:port, :port or unix:/path; may be given several times [default: 0.0.0.0:10990].
    #[arg(long = "web.listen-address", value_name = "ADDRESS", value_parser = listen_address)]
    pub web_listen_address: Vec<String>,
    /// Serve on the sockets that systemd hands over, instead of opening any.
    #[arg(long = "web.systemd-socket")]
    pub web_systemd_socket: bool,
    /// File with TLS, users and headers, in the format of Prometheus's exporter-toolkit.
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config_file: Option<String>,
    /// Path of the metrics page [default: /metrics].
    #[arg(long = "web.telemetry-path", value_name = "PATH")]
    pub web_telemetry_path: Option<String>,
    /// Read the settings again on POST /-/reload, too, not on SIGHUP alone.
    #[arg(long = "web.enable-lifecycle")]
    pub web_enable_lifecycle: bool,
    /// SQLite file with the usage ledger, on a local disk [default: data/ledger.db].
    #[arg(long = "ledger.path", value_name = "FILE")]
    pub ledger_path: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub log: LogFlags,
}

/// Flags of logging.
#[derive(Args, Clone, Debug, Default)]
pub struct LogFlags {
    /// The least severe level that is logged, to stderr [default: info].
    #[arg(long = "log.level", value_name = "LEVEL", value_parser = words(&config::LOG_LEVELS))]
    pub log_level: Option<String>,
    /// How log lines look [default: text].
    #[arg(long = "log.format", value_name = "FORMAT", value_parser = words(&config::LOG_FORMATS))]
    pub log_format: Option<String>,
}

/// Flags of `demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoFlags {
    /// Address of the exporter's HTTP server, host:port or :port.
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = "127.0.0.1:10990", value_parser = address())]
    pub web_listen_address: String,
    /// Address of the simulator, host:port or :port.
    #[arg(long = "sim.listen-address", value_name = "ADDRESS", default_value = "127.0.0.1:10991", value_parser = address())]
    pub sim_listen_address: String,
    /// Simulated seconds that pass in a second; more than 0, up to 100000.
    #[arg(long = "sim.speed", value_name = "FACTOR", default_value = "60", value_parser = speed)]
    pub sim_speed: f64,
    /// The same seed makes the same world.
    #[arg(long = "sim.seed", value_name = "NUMBER", default_value_t = 1)]
    pub sim_seed: u64,
    /// SQLite file with the usage ledger [default: a temporary one, removed at the end].
    #[arg(long = "ledger.path", value_name = "FILE")]
    pub ledger_path: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub log: LogFlags,
}

/// Flags of `sim`.
#[derive(Args, Clone, Debug)]
pub struct SimFlags {
    /// Address of the simulator, host:port or :port.
    #[arg(long = "sim.listen-address", value_name = "ADDRESS", default_value = "127.0.0.1:10991", value_parser = address())]
    pub listen_address: String,
    /// The same seed makes the same world.
    #[arg(long = "sim.seed", value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Simulated seconds that pass in a second; more than 0, up to 100000.
    #[arg(long = "sim.speed", value_name = "FACTOR", default_value = "60", value_parser = speed)]
    pub speed: f64,
    /// Sessions in the history of each Livy gateway at the start; up to 1000000.
    #[arg(long = "sim.history", value_name = "SESSIONS", default_value_t = 500, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub history: u32,
    /// Workspaces; 1 to 1000.
    #[arg(long = "sim.workspaces", value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub workspaces: u32,
    /// Livy gateways in each workspace; up to 1000.
    #[arg(long = "sim.gateways", value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u32).range(..=1_000))]
    pub gateways: u32,
    /// Session clusters in each workspace; up to 100000.
    #[arg(long = "sim.session-clusters", value_name = "COUNT", default_value_t = 6, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub session_clusters: u32,
    /// Livy sessions that are born in each gateway, in a simulated hour.
    #[arg(long = "sim.births-per-hour", value_name = "SESSIONS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(..=3_600_000))]
    pub births_per_hour: u32,
    /// Requests that are answered in a second, the others throttled; 0: all are answered.
    #[arg(long = "sim.requests-per-second", value_name = "REQUESTS", default_value = "0", value_parser = rate)]
    pub requests_per_second: f64,
    /// PEM file with the certificate to speak TLS with, and those that it hangs on [default: plain HTTP].
    #[arg(long = "sim.tls-cert", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with its key.
    #[arg(long = "sim.tls-key", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// How long each answer takes, such as 30ms.
    #[arg(long = "sim.latency", value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub latency: Duration,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub log: LogFlags,
}

impl Cli {
    /// Parses arguments, the program's name first, into the command to run; without one, that is `serve`.
    ///
    /// # Errors
    /// A usage error, or the request for help or for the version; see [`exit_code`].
    pub fn command<I, T>(arguments: I) -> Result<Command, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let Self { command, flags } = Self::try_parse_from(arguments)?;
        match command {
            None => Ok(Command::Serve(flags)),
            Some(Command::Serve(own)) => Ok(Command::Serve(own.or(flags))),
            Some(Command::CheckConfig(own)) => Ok(Command::CheckConfig(own.or(flags))),
            Some(Command::Healthcheck(own)) => Ok(Command::Healthcheck(own.or(flags))),
            // The flags in front are the daemon's: without effect on a demo, they are more likely a mistake.
            Some(_) if flags.is_any_set() => Err(Self::command_factory().error(
                ErrorKind::ArgumentConflict,
                "`demo`, `sim`, `ledger` and `version` take no flags in front of them",
            )),
            Some(command) => Ok(command),
        }
    }

    fn command_factory() -> clap::Command {
        <Self as CommandFactory>::command()
    }
}

impl ConfigFlags {
    /// The flags that are set, as overrides for [`config::load`].
    pub fn overrides(&self) -> Vec<(String, String)> {
        let lifecycle = self.web_enable_lifecycle.then(|| "true".to_owned());
        let addresses = &self.web_listen_address;
        let own = [
            ("web.listen_address", &(!addresses.is_empty()).then(|| addresses.join(","))),
            ("web.systemd_socket", &self.web_systemd_socket.then(|| "true".to_owned())),
            ("web.config_file", &self.web_config_file),
            ("web.telemetry_path", &self.web_telemetry_path),
            ("web.enable_lifecycle", &lifecycle),
            ("ledger.path", &self.ledger_path),
        ];
        let mut overrides = pairs(&own);
        overrides.extend(self.log.overrides());
        overrides
    }

    fn or(self, other: Self) -> Self {
        Self {
            config_file: self.config_file.or(other.config_file),
            web_listen_address: if self.web_listen_address.is_empty() {
                other.web_listen_address
            } else {
                self.web_listen_address
            },
            web_systemd_socket: self.web_systemd_socket || other.web_systemd_socket,
            web_config_file: self.web_config_file.or(other.web_config_file),
            web_telemetry_path: self.web_telemetry_path.or(other.web_telemetry_path),
            web_enable_lifecycle: self.web_enable_lifecycle || other.web_enable_lifecycle,
            ledger_path: self.ledger_path.or(other.ledger_path),
            log: LogFlags {
                log_level: self.log.log_level.or(other.log.log_level),
                log_format: self.log.log_format.or(other.log.log_format),
            },
        }
    }

    fn is_any_set(&self) -> bool {
        self.config_file.is_some() || !self.overrides().is_empty()
    }
}

impl LogFlags {
    /// The flags that are set, as overrides for [`config::load`].
    pub fn overrides(&self) -> Vec<(String, String)> {
        pairs(&[("log.level", &self.log_level), ("log.format", &self.log_format)])
    }

    /// The settings of logging where there are no others.
    pub fn log(&self) -> config::Log {
        config::Log {
            level: value(&config::LOG_LEVELS, self.log_level.as_deref()).unwrap_or(config::LogLevel::Info),
            format: value(&config::LOG_FORMATS, self.log_format.as_deref())
                .unwrap_or(config::LogFormat::Text),
        }
    }
}

/// The exit code for what [`Cli::command`] refused: 0 after help and version, else [`EXIT_USAGE`].
pub fn exit_code(error: &clap::Error) -> u8 {
    if error.use_stderr() { EXIT_USAGE } else { 0 }
}

fn pairs(flags: &[(&str, &Option<String>)]) -> Vec<(String, String)> {
    flags.iter().filter_map(|(key, value)| Some(((*key).to_owned(), (*value).clone()?))).collect()
}

fn value<T: Copy>(words: &[(&str, T)], name: Option<&str>) -> Option<T> {
    words.iter().find(|(word, _)| Some(*word) == name).map(|(_, value)| *value)
}

fn address() -> ValueParser {
    ValueParser::new(config::tcp_address)
}

/// Checked only: the settings read it again, with all else.
fn listen_address(text: &str) -> Result<String, String> {
    if text.contains(',') {
        return Err("expected one address; give the flag once for each".to_owned());
    }
    config::listen_address(text).map(|_| text.to_owned())
}

fn words<T>(words: &'static [(&'static str, T)]) -> PossibleValuesParser {
    PossibleValuesParser::new(words.iter().map(|(word, _)| *word))
}

fn speed(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|speed: &f64| *speed > 0.0 && *speed <= 100_000.0)
        .ok_or_else(|| "expected a number above 0, up to 100000".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate: &f64| (0.0..=1_000_000.0).contains(rate))
        .ok_or_else(|| "expected a number from 0 to 1000000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::command(std::iter::once("exporter").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command_factory().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves_and_flags_stand_on_either_side() {
        let all = "--config.file e.yaml --web.listen-address :1 --web.listen-address unix:/s --web.systemd-socket \
                   --web.config.file w.yml --web.telemetry-path /m --web.enable-lifecycle --ledger.path l.db \
                   --log.level debug --log.format json";
        for line in [all.to_owned(), format!("serve {all}"), format!("{all} serve")] {
            let Command::Serve(flags) = parse(&line).unwrap() else { panic!("{line}") };
            assert_eq!(flags.config_file, Some("e.yaml".into()));
            let expected = [
                ("web.listen_address", ":1,unix:/s"),
                ("web.systemd_socket", "true"),
                ("web.config_file", "w.yml"),
                ("web.telemetry_path", "/m"),
                ("web.enable_lifecycle", "true"),
                ("ledger.path", "l.db"),
                ("log.level", "debug"),
                ("log.format", "json"),
            ];
            assert_eq!(flags.overrides(), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        }
        let Command::CheckConfig(flags) = parse("--ledger.path a check-config --ledger.path b").unwrap()
        else {
            panic!()
        };
        assert_eq!(flags.overrides(), [("ledger.path".to_owned(), "b".to_owned())]);
        let Command::Serve(flags) = parse("--config.file a serve --config.file b").unwrap() else { panic!() };
        assert_eq!(flags.config_file, Some("b".into()));
        let Command::Serve(flags) = parse("").unwrap() else { panic!() };
        assert!(!flags.is_any_set());
    }

    #[test]
    fn demo_and_sim_have_defaults() {
        let Command::Demo(demo) = parse("demo").unwrap() else { panic!() };
        assert_eq!(
            (demo.web_listen_address.as_str(), demo.sim_listen_address.as_str()),
            ("127.0.0.1:10990", "127.0.0.1:10991")
        );
        assert_eq!((demo.sim_speed, demo.sim_seed, demo.ledger_path), (60.0, 1, None));
        let Command::Sim(sim) =
            parse("sim --sim.latency 30ms --sim.history 1000000 --log.level warn").unwrap()
        else {
            panic!()
        };
        assert_eq!((sim.latency, sim.history), (Duration::from_millis(30), 1_000_000));
        assert_eq!(
            sim.log.log(),
            config::Log { level: config::LogLevel::Warn, format: config::LogFormat::Text }
        );
    }

    #[test]
    fn usage_errors_end_with_64_help_and_version_with_0() {
        for line in [
            "--nonsense",
            "nonsense",
            "--log.level loud",
            "--web.listen-address 10990",
            "--web.listen-address unix:relative",
            "--web.listen-address :1,:2",
            "healthcheck --nonsense",
            "demo --sim.speed 0",
            "demo --sim.speed nan",
            "demo --config.file e.yaml",
            "--ledger.path x demo",
            "--config.file e.yaml sim",
            "sim --sim.history 1000001",
            "sim --sim.latency 30",
            "sim --sim.tls-cert c.pem",
            "ledger",
            "ledger backup",
            "ledger inspect --format yaml",
            "ledger verify file",
            "--ledger.path x ledger verify",
            "serve serve",
            "--ledger.path x version",
        ] {
            assert_eq!(exit_code(&parse(line).unwrap_err()), EXIT_USAGE, "{line}");
        }
        for line in [
            "--help",
            "--version",
            "help",
            "demo --help",
            "sim --help",
            "help check-config",
            "ledger restore --help",
        ] {
            assert_eq!(exit_code(&parse(line).unwrap_err()), 0, "{line}");
        }
    }
}
