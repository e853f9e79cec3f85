//! The room on the file system with the ledger, looked at whether anything else changes or not: a disk that fills up must
//! show while nothing is counted.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::ledger::Ledger;
use crate::metrics::OwnMetrics;

/// Prometheus scrapes hardly more often.
const INTERVAL: Duration = Duration::from_secs(15);

/// See the module.
pub(super) struct Room {
    pub(super) ledger: Ledger,
    pub(super) own: Arc<OwnMetrics>,
}

impl Room {
    /// Looks once, off the threads that serve: a disk may take its time.
    pub(super) async fn look(&self) {
        let ledger = self.ledger.clone();
        let found = tokio::task::spawn_blocking(move || ledger.room_bytes()).await;
        self.own.ledger.room(found.ok().flatten().unwrap_or_default());
    }

    /// Looks now and then until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let look = async {
            loop {
                tokio::time::sleep(INTERVAL).await;
                self.look().await;
            }
        };
        tokio::select! {
            () = look => {}
            () = stop.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::common::Common;
    use crate::app::exporter::tests::settings;
    use crate::app::vitals::Vitals;
    use crate::clock::Clock;
    use crate::metrics::{Memory, Scrape};
    use crate::model::Format;

    #[tokio::test(start_paused = true)]
    async fn the_room_is_looked_at_again_and_again() {
        let directory = tempfile::tempdir().unwrap();
        let own = Arc::new(OwnMetrics::new([].into_iter(), &[]).unwrap());
        let vitals = Arc::new(Vitals::new(0));
        let common =
            Common::open(&settings(directory.path()), Arc::clone(&own), vitals, Clock::System).unwrap();
        let available = || {
            let text = own.encode(Format::Text, &Scrape::default(), &Memory::default());
            let text = String::from_utf8(text.to_vec()).unwrap();
            let line = text.lines().find(|line| {
                line.starts_with("emr_serverless_spark_exporter_ledger_filesystem_available_bytes")
            });
            line.unwrap().split(' ').nth(1).unwrap().parse::<f64>().unwrap()
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(common.room().run(stop.clone()));
        for _ in 0..2 {
            own.ledger.room((0, 0));
            tokio::time::sleep(INTERVAL + Duration::from_secs(1)).await;
            while available() == 0.0 {
                tokio::task::yield_now().await;
            }
        }
        stop.cancel();
        running.await.unwrap();
    }
}
