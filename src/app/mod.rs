//! Wiring: what is built from the settings, how it starts, and how it drains.
//! Invariant: ledger before listener before polls, and the reverse at the end, so that nothing is served that is not
//! restored, and nothing is polled that cannot be counted.

mod backup;
mod bridge;
mod common;
mod content;
mod demo;
mod descriptors;
mod exporter;
mod fleet;
mod health;
mod ledger;
mod process;
mod publish;
mod reload;
mod room;
mod series;
mod serving;
mod shutdown;
mod snapshot;
mod status;
mod supervisor;
mod vitals;

pub use demo::{demo, simulate};
pub use exporter::Exporter;
pub use health::{HealthError, health};
pub use ledger::ledger_command;
pub use reload::Reload;
pub use serving::ServingThreads;
pub use shutdown::ended_by_signal;

use crate::api::ApiError;
use crate::config::{Config, ConfigErrors, Unread};
use crate::ledger::LedgerError;
use crate::logging::Logging;
use crate::model::ScopeId;
pub use crate::server::Handed;
use crate::server::{BindError, WebConfig, WebConfigError};

/// Why the program could not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The settings could not be read again.
    #[error("the settings: {0}")]
    Unread(#[from] Unread),
    /// The web configuration file.
    #[error(transparent)]
    WebConfig(#[from] WebConfigError),
    /// The daemon does not answer.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// The address to listen on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A client could not be built from the settings.
    #[error("account {}, region {}: {source}", scope.account, scope.region)]
    Client {
        /// For which account and region.
        scope: ScopeId,
        /// Why.
        source: ApiError,
    },
    /// The certificate or the key of the simulator.
    #[error("{}: {why}", path.display())]
    SimulatorFile {
        /// Which file.
        path: std::path::PathBuf,
        /// Why it does not serve.
        why: String,
    },
    /// The exporter's own metrics contradict each other: a defect.
    #[error("the exporter's own metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A part of the exporter ended by itself.
    #[error(
        "a part of the exporter has ended, which is a defect: the log says why; it ends so that it can be started again"
    )]
    Defect,
    /// The operating system refuses something that every program needs.
    #[error("{doing}: {source}")]
    System {
        /// What.
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl AppError {
    /// Whether it is the settings that are wrong.
    pub fn is_config(&self) -> bool {
        match self {
            Self::Config(_) | Self::WebConfig(_) => true,
            Self::Client { source, .. } => source.is_setting(),
            _ => false,
        }
    }
}

/// Runs the exporter until the process is told to end. `read` has the settings read again, from where they came from.
///
/// # Errors
/// Where it cannot start, or a part of it ends early.
pub async fn serve(
    config: Config,
    handed: Handed,
    logging: Logging,
    read: impl Fn() -> Result<Config, ConfigErrors> + Send + Sync + 'static,
) -> Result<(), AppError> {
    let ended = ended_by_signal()?;
    let reload = Reload::new(logging, read)?;
    let environment = crate::config::process_environment();
    // By this thread, which gives way to nobody: they would be as it is.
    let serving = ServingThreads::start()?;
    // A task of its own: what it reads and checks may take long, or hang, and whoever ends the program is not to wait for that.
    // The ledger stands an end at any moment.
    let mut starting = tokio::spawn(Exporter::start(config, environment, serving, handed, Some(reload)));
    tokio::pin!(ended);
    let mut exporter = tokio::select! {
        biased;
        started = &mut starting => started.map_err(|_| AppError::Defect)??,
        () = &mut ended => {
            starting.abort();
            return Ok(());
        }
    };
    let supervisor = supervisor::Supervisor::start(exporter.serving());
    let ended = tokio::select! {
        () = &mut ended => Ok(()),
        defect = exporter.defect() => Err(defect),
    };
    supervisor.stopping();
    exporter.stop().await;
    ended
}

/// Reads what the settings name besides themselves, as a start would; a summary of them all.
///
/// # Errors
/// Everything that is wrong with the web configuration file, or the first certificate of a `ca_file` that is broken.
pub fn check_config(config: &Config) -> Result<String, AppError> {
    fleet::check(config)?;
    let mut summary = config.summary();
    if let Some(path) = &config.web.config_file {
        let tls = if WebConfig::load(path)?.has_tls() { "with" } else { "without" };
        summary.push_str(&format!("\nweb configuration: {}, {tls} TLS", path.display()));
    }
    Ok(summary)
}
