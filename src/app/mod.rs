//! Wiring: what is built from the settings, how it starts, and how it drains.
//! Invariant: ledger before listener before polls, and the reverse at the end, so that nothing is served that is not
//! restored, and nothing is polled that cannot be counted.

mod backup;
mod bridge;
mod content;
mod demo;
mod exporter;
mod fleet;
mod ledger;
mod publish;
mod reload;
mod shutdown;

pub use demo::{demo, simulate};
pub use exporter::Exporter;
pub use ledger::ledger_command;
pub use reload::Reload;
pub use shutdown::ended_by_signal;

use crate::api::ApiError;
use crate::config::{Config, ConfigErrors};
use crate::ledger::LedgerError;
use crate::logging::Logging;
use crate::model::ScopeId;
use crate::server::BindError;

/// Why the program could not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
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
    /// The operating system refuses something that every program needs.
    #[error("{doing}: {source}")]
    System {
        /// What.
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

/// Runs the exporter until the process is told to end. `read` has the settings read again, from where they came from.
///
/// # Errors
/// Where it cannot start.
pub async fn serve(
    config: Config,
    logging: Logging,
    read: impl Fn() -> Result<Config, ConfigErrors> + Send + Sync + 'static,
) -> Result<(), AppError> {
    let ended = ended_by_signal()?;
    let reload = Reload::new(logging, read)?;
    let exporter = Exporter::start(config, crate::config::process_environment(), Some(reload)).await?;
    ended.await;
    exporter.stop().await;
    Ok(())
}
