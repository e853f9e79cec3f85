//! The HTTP server. Invariant: an answer is made of what is ready in memory; it never waits for the remote API, for the
//! ledger, or for another scrape. The explanation of a counter is read from the ledger, elsewhere than here, and a reload
//! waits for the settings.

mod activity;
mod auth;
mod body;
mod connection;
mod docs;
mod document;
mod gate;
mod lifecycle;
mod limits;
mod listen;
mod negotiate;
mod rate;
mod readiness;
mod route;
mod routes;
mod series;
mod splice;
mod status;
mod tls;
mod web;

pub use body::Chunks;
pub use lifecycle::{Lifecycle, Reloaded};
pub use limits::Observer;
pub use listen::{BindError, Handed, Listener, bind, bind_all};
pub use readiness::{Readiness, Stage};
pub use series::{
    BaselinePart, Figures, LIMIT_MAX, PrunedPart, SeriesAnswer, SeriesError, SeriesQuery, SeriesReport,
    SessionPart, SessionsPart,
};
pub use status::{
    API_VERSION, Advice, ClusterRow, ConfigStatus, ConsumerRow, Consumers, CredentialsRow, FailureRow,
    LedgerRow, Place, ROWS_MAX, ScopeRow, SessionRow, Status, TargetRow, Watched, advice,
};
pub use web::{WebConfig, WebConfigError};

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::auth::Passwords;
use self::connection::Connection;
use self::splice::Spliced;
use crate::config::WebLimits;
use crate::journal::Journal;
pub use crate::model::Cut;
use crate::model::Format;

/// What the server shows; asked for at each request, and never to block.
pub trait Content: Send + Sync + 'static {
    /// The metrics page, in parts; at once, but for a compressed form that nobody has asked for lately.
    fn metrics(&self, format: Format, gzip: bool) -> BoxFuture<'static, Result<Vec<Bytes>, NotRendered>>;
    /// For the status page.
    fn status(&self) -> Status;
    /// What a counter is made of; read elsewhere than on the thread that asks.
    fn series(&self, query: SeriesQuery) -> SeriesAnswer;
}

/// The metrics page is not there in the form that was asked for, which is a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the metrics could not be rendered; the log says why")]
pub struct NotRendered;

/// What the routes answer from.
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
}

/// A server and what stands before it.
pub struct Front {
    /// What answers.
    pub server: Server,
    /// What is cut.
    pub limits: WebLimits,
    /// Is told what was cut.
    pub observer: Arc<dyn Observer>,
    /// TLS, passwords, headers and rate; `None`: plain HTTP for everybody.
    pub web: Option<WebConfig>,
    passwords: Passwords,
}

impl Front {
    /// With nothing known of passwords yet.
    pub fn new(
        server: Server,
        limits: WebLimits,
        observer: Arc<dyn Observer>,
        web: Option<WebConfig>,
    ) -> Self {
        Self { server, limits, observer, web, passwords: Passwords::default() }
    }

    /// Serves until `shutdown`; then takes no new connection, and lets answers under way end, for at most `drain_timeout`.
    pub async fn run(self, listeners: Vec<Listener>, shutdown: CancellationToken, drain_timeout: Duration) {
        let accepting = Accepting {
            slots: Arc::new(Semaphore::new(self.limits.max_connections)),
            front: Arc::new(self),
            tasks: TaskTracker::new(),
            drain: shutdown.clone(),
            end: CancellationToken::new(),
        };
        for listener in listeners {
            accepting.tasks.spawn(accepting.clone().run(listener));
        }
        shutdown.cancelled().await;
        accepting.tasks.close();
        if tokio::time::timeout(drain_timeout, accepting.tasks.wait()).await.is_err() {
            tracing::warn!("closed connections whose answers took longer than web.drain_timeout");
            accepting.end.cancel();
            accepting.tasks.wait().await;
        }
    }
}

/// The way of connections from a listener into tasks of their own.
#[derive(Clone)]
struct Accepting {
    front: Arc<Front>,
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
    /// No new requests.
    drain: CancellationToken,
    /// No more answers either.
    end: CancellationToken,
}

impl Accepting {
    async fn run(self, listener: Listener) {
        let mut journal = Journal::default();
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&listener) => accepted,
                () = self.drain.cancelled() => return,
            };
            match accepted {
                Ok(()) => {
                    if let Some(over) = journal.succeeded(Instant::now()) {
                        let lasted_seconds = over.lasted.as_secs_f64();
                        tracing::info!(lasted_seconds, "connections are accepted again");
                    }
                }
                Err(error) => {
                    // Out of file descriptors, mostly: they come back when connections end.
                    self.front.observer.on_cut(Cut::NotAccepted);
                    if let Some(left_out) = journal.failed((), Instant::now()) {
                        tracing::warn!(%error, left_out, "could not accept a connection");
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn accept(&self, listener: &Listener) -> std::io::Result<()> {
        match listener {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Without it, the last part of an answer by TLS waits for the client's receipt of the others.
                // It fails where the client is gone already, which shows soon enough.
                let _ = stream.set_nodelay(true);
                self.connect(Spliced::new(stream));
            }
            Listener::Unix(socket) => self.connect(socket.listener.accept().await?.0),
        }
        Ok(())
    }

    fn connect(&self, stream: impl connection::Stream) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            self.front.observer.on_cut(Cut::TooManyConnections);
            return;
        };
        let front = Arc::clone(&self.front);
        let connection = Connection::new(Arc::clone(&front), self.drain.clone(), self.end.clone());
        self.tasks.spawn(async move {
            if let Err(cut) = connection.serve(stream).await {
                tracing::debug!(reason = cut.as_str(), "a connection was cut");
                front.observer.on_cut(cut);
            }
            drop(slot);
        });
    }
}
