//! A simulator of the EMR Serverless Spark API, for the demo and for tests: a library whose faults are methods.
//! Invariant: it shares no code with the client it tests; its signature check and its wire forms are its own.
//!
//! A [`World`] is a function of a seed and of a virtual clock. A [`Simulator`] serves it over HTTP on a listener that
//! its caller bound, in the wire form of the API's pages, and misbehaves as [`Simulator::faults`] is told to.
//! [`World::truth`] says what a perfect reader would have counted.

mod answers;
mod body;
mod clock;
mod control;
mod errors;
mod faults;
mod identity;
mod keys;
mod mangle;
mod policy;
mod routes;
mod service;
mod signature;
mod stats;
mod throttle;
mod tls;
mod token;
mod wire;
mod world;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use answers::LastToken;
pub use clock::{SPEED_MAX, VirtualClock};
pub use faults::{Fault, Faults, Scope};
pub use identity::{CREDENTIALS_PATH, INSTANCE_ROLE, Identity, Issuer, MetadataModes, OIDC_TOKEN};
pub use keys::{AccessKey, KeyRing, KeyStatus};
pub use policy::RamPolicy;
pub use routes::Operation;
pub use stats::Stats;
pub use throttle::ThrottleForm;
pub use tls::{TlsError, TlsIdentity};
pub use world::{
    ClusterFacts, ClusterState, FigureGrowth, GatewayFacts, HistoryOrder, KINDS, QueueTruth, RunningEnd,
    SessionState, World, WorldConfig,
};

use crate::clock::Clock;
use service::Service;

/// How the world is served.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether requests must be signed.
    pub check_signatures: bool,
    /// The AccessKeys that are known.
    pub keys: Vec<AccessKey>,
    /// Real time, by which a request's date is judged.
    pub clock: Clock,
    /// Requests a second that are let through, in real time; `None` = all.
    pub requests_per_second: Option<f64>,
    /// How the others are answered.
    pub throttle_form: ThrottleForm,
    /// How a token-paged list ends.
    pub last_token: LastToken,
    /// Whether `/sim/v1/…` answers: truth, clock, faults and policy without a signature.
    pub control: bool,
    /// With which certificate TLS is spoken; `None` = plain HTTP/1.1.
    pub tls: Option<TlsIdentity>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            check_signatures: true,
            keys: AccessKey::defaults(),
            clock: Clock::System,
            requests_per_second: None,
            throttle_form: ThrottleForm::default(),
            last_token: LastToken::default(),
            control: true,
            tls: None,
        }
    }
}

/// How long a connection may take to send the head of a request, or stay idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long answers under way may take once the simulator stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// A simulated API that serves until it is stopped or dropped.
#[derive(Debug)]
pub struct Simulator {
    addr: SocketAddr,
    scheme: &'static str,
    service: Arc<Service>,
    /// Cancelled: no new connections, and each open one ends after the answer under way.
    draining: CancellationToken,
    /// Cancelled: connections end at once.
    ending: CancellationToken,
    connections: TaskTracker,
}

impl Simulator {
    /// Serves a world on a listener, in the background of the present runtime.
    ///
    /// # Errors
    /// Where the listener has no local address.
    pub fn start(listener: TcpListener, world: World, options: Options) -> io::Result<Self> {
        let tls = options.tls.clone();
        let simulator = Self {
            scheme: if tls.is_some() { "https" } else { "http" },
            addr: listener.local_addr()?,
            service: Arc::new(Service::new(Arc::new(world), options)),
            draining: CancellationToken::new(),
            ending: CancellationToken::new(),
            connections: TaskTracker::new(),
        };
        let (service, connections) = (Arc::clone(&simulator.service), simulator.connections.clone());
        let (draining, ending) = (simulator.draining.clone(), simulator.ending.clone());
        simulator.connections.spawn(async move {
            while let Some(accepted) = draining.run_until_cancelled(listener.accept()).await {
                match accepted {
                    Ok((stream, _)) => {
                        service.recorder.connection();
                        let connection = serve(Arc::clone(&service), stream, tls.clone(), draining.clone());
                        let ending = ending.clone();
                        connections.spawn(async move { ending.run_until_cancelled(connection).await });
                    }
                    // Out of descriptors, most likely: wait for some to come back.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        Ok(simulator)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL of its endpoint.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.addr)
    }

    /// The world it serves, with its clock and its truth.
    pub fn world(&self) -> &World {
        &self.service.world
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    /// Enforces a RAM policy from now on, or none.
    pub fn set_policy(&self, policy: Option<RamPolicy>) {
        self.service.policy.set(policy);
    }

    /// The AccessKeys that are accepted.
    pub fn keys(&self) -> &KeyRing {
        &self.service.checker.keys
    }

    /// How STS, the metadata service and the credentials URI hand out keys.
    pub fn identity(&self) -> &Identity {
        &self.service.identity
    }

    /// What it was asked so far. Control requests do not count.
    pub fn stats(&self) -> Stats {
        self.service.recorder.stats()
    }

    /// Waits this long before each answer.
    pub fn set_latency(&self, latency: Duration) {
        self.service.set_latency(latency);
    }

    /// Stops: no new connections, answers under way may end, what hangs is reset.
    pub async fn stop(self) {
        self.draining.cancel();
        self.service.faults.clear();
        self.connections.close();
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.connections.wait()).await;
        self.ending.cancel();
        self.connections.wait().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.draining.cancel();
        self.ending.cancel();
    }
}

async fn serve(
    service: Arc<Service>,
    stream: TcpStream,
    tls: Option<TlsIdentity>,
    draining: CancellationToken,
) {
    match tls {
        Some(tls) => tls.serve(service, stream, draining).await,
        None => serve_plain(service, stream, draining).await,
    }
}

async fn serve_plain(service: Arc<Service>, stream: TcpStream, draining: CancellationToken) {
    let reset = AtomicBool::new(false);
    let handler = service_fn(async |request| {
        let answer = service.handle(request).await;
        reset.fetch_or(answer.is_err(), Ordering::Relaxed);
        answer
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), handler);
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        () = draining.cancelled() => None,
    };
    if ended.is_none() {
        Pin::new(&mut connection).graceful_shutdown();
        // The client is the one to judge a connection that failed.
        let _ = (&mut connection).await;
    }
    if reset.load(Ordering::Relaxed) {
        // Closing with a linger of zero sends RST; without that option it would be an ordinary end.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}
