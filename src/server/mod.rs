//! The HTTP server. Invariant: an answer is made of what is ready in memory; it never waits for the remote API, for the
//! ledger, or for another scrape. The one that waits is that to a reload, for the settings.

mod body;
mod lifecycle;
mod listen;
mod readiness;
mod routes;
mod status;

pub use body::Chunks;
pub use lifecycle::{Lifecycle, Reloaded};
pub use listen::{BindError, bind};
pub use readiness::{Readiness, Stage};
pub use status::{ConfigStatus, FailureRow, Status, TargetRow};

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::journal::Journal;

/// How long a connection may stay silent, between requests too: longer than any usual scrape interval.
const IDLE_TIMEOUT: Duration = Duration::from_secs(150);
/// How long answers under way may take to end when the server drains.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest head of a request, in bytes; hyper answers 431 beyond.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What the server shows; asked for at each request, and never to block.
pub trait Content: Send + Sync + 'static {
    /// The metrics page in Prometheus text format 0.0.4, in parts.
    fn metrics(&self) -> Vec<Bytes>;
    /// For the status page.
    fn status(&self) -> Status;
    /// A connection was refused because too many are open.
    fn on_refused_connection(&self);
}

/// What a server is made of.
#[derive(Clone)]
pub struct Server {
    /// What it shows.
    pub content: Arc<dyn Content>,
    /// What `/-/ready` tells.
    pub readiness: Readiness,
    /// Reads the settings again; `None` where that is not for whoever reaches the server.
    pub lifecycle: Option<Arc<dyn Lifecycle>>,
    /// Path of the metrics page.
    pub telemetry_path: String,
    /// Connections open at a time.
    pub max_connections: usize,
}

impl Server {
    /// Serves until `shutdown`; then takes no new connection and lets answers under way end, for a bounded time.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.max_connections));
        let connections = GracefulShutdown::new();
        let mut journal = Journal::default();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    if let Some(over) = journal.succeeded(Instant::now()) {
                        let lasted_seconds = over.lasted.as_secs_f64();
                        tracing::info!(lasted_seconds, "connections are accepted again");
                    }
                    match Arc::clone(&slots).try_acquire_owned() {
                        Ok(slot) => self.clone().connection(stream, slot, &connections),
                        Err(_) => self.content.on_refused_connection(),
                    }
                }
                Err(error) => {
                    // Out of file descriptors, mostly: they come back when connections end.
                    if let Some(left_out) = journal.failed((), Instant::now()) {
                        tracing::warn!(%error, left_out, "could not accept a connection");
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        if tokio::time::timeout(DRAIN_TIMEOUT, connections.shutdown()).await.is_err() {
            tracing::warn!("closed connections whose answers took too long");
        }
    }

    fn connection(self, stream: TcpStream, slot: OwnedSemaphorePermit, connections: &GracefulShutdown) {
        let server = Arc::new(self);
        let service = hyper::service::service_fn(move |request| {
            let server = Arc::clone(&server);
            async move {
                let answer = if lifecycle::concerns(&request) {
                    lifecycle::answer(&server, &request).await
                } else {
                    routes::answer(&server, &request)
                };
                Ok::<_, std::convert::Infallible>(answer)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(slot);
        });
    }
}
