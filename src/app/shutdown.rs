//! The signals that end the process.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

use super::AppError;

/// Is done when SIGTERM or SIGINT comes; they are caught from this call on.
///
/// # Errors
/// Where the signals cannot be caught.
pub fn ended_by_signal() -> Result<impl Future<Output = ()>, AppError> {
    let failed = |source| AppError::System { doing: "catching signals", source };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "about to end");
    })
}
