//! What systemd is told. Invariant: without systemd, nothing; and that it cannot be told is no reason to end.

use sd_notify::NotifyState;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A daemon that listens, as systemd sees it.
pub(super) struct Supervisor {
    watchdog: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// Tells that the daemon has started, and that it lives, for as long as systemd wants to know (`WatchdogSec=`): the threads
    /// of the caller, and those that serve.
    pub(super) fn start(serving: Handle) -> Self {
        tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
        let watchdog = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero()).map(|interval| {
            tokio::spawn(async move {
                // Half of it, as sd_watchdog_enabled(3) asks for.
                let mut ticks = tokio::time::interval(interval / 2);
                loop {
                    ticks.tick().await;
                    if serving.spawn(async {}).await.is_ok() {
                        tell(&[NotifyState::Watchdog]);
                    }
                }
            })
        });
        Self { watchdog }
    }

    /// Tells that it is about to end; the watchdog is fed until it has.
    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("answers under way may end")]);
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.abort();
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told ($NOTIFY_SOCKET)");
    }
}
