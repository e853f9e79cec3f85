//! The threads that answer requests, and do nothing else. A sweep, which parses and counts pages for seconds, has others: a scrape
//! does not queue behind its work, and counts for the system as what it is, a task that mostly sleeps.

use tokio::runtime::{Builder, Handle, Runtime};

use super::AppError;

/// See the module. They end with it, and whatever still runs on them.
#[derive(Debug)]
pub struct ServingThreads {
    /// Where tasks of theirs are spawned.
    pub(super) handle: Handle,
    runtime: Option<Runtime>,
}

impl ServingThreads {
    /// As many as there are cores. They have the nice value of the calling thread.
    ///
    /// # Errors
    /// Where the system has no threads to give.
    pub fn start() -> Result<Self, AppError> {
        let runtime = Builder::new_multi_thread().thread_name("serving").enable_all().build();
        let runtime = runtime
            .map_err(|source| AppError::System { doing: "starting the threads that serve", source })?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }
}

impl Drop for ServingThreads {
    fn drop(&mut self) {
        // To wait for them is not for a thread that runs tasks itself.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    use super::ServingThreads;
    use crate::app::Exporter;
    use crate::app::exporter::tests::settings;
    use crate::server::Handed;

    #[tokio::test]
    async fn a_scrape_is_answered_while_no_other_thread_has_time() {
        let directory = tempfile::tempdir().unwrap();
        let config = settings(directory.path());
        let exporter =
            Exporter::start(config, Vec::new(), ServingThreads::start().unwrap(), Handed::none(), None)
                .await
                .unwrap();
        let mut page = String::new();
        // Blocks the only thread that the rest of the exporter has here.
        let mut scraper = TcpStream::connect(exporter.addresses()[0]).unwrap();
        scraper.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        scraper.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        scraper.read_to_string(&mut page).unwrap();
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("exporter_build_info{"), "{page}");
        exporter.stop().await;
    }
}
