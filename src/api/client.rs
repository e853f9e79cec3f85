//! The client: its limits and its operations. Invariant: one per account and region; clones share the limits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::answer::{Answer, Page};
use super::attempt::Call;
use super::circuit::Circuits;
use super::clock_offset::ClockOffset;
use super::credentials::CredentialsProvider;
use super::error::{ApiError, Subject};
use super::in_flight::InFlight;
use super::pace::Pace;
use super::transport::Transport;
use super::wire::{LivyCompute, LivySession, Row, SessionCluster, Workspace};
use crate::clock::Clock;
use crate::config;
use crate::model::{Action, FailureReason, Outcome};

/// What is told of the requests, for the exporter's own metrics.
pub trait RequestObserver: Send + Sync {
    /// An attempt ended after this long, without the wait for its turn.
    fn on_attempt(&self, _action: Action, _outcome: Outcome, _duration: Duration) {}

    /// A field or a row of an answer was dropped; the name is one of
    /// [`malformed_names`](super::wire::malformed_names).
    fn on_malformed(&self, _name: &'static str) {}

    /// So many requests a second are allowed now.
    fn on_pace(&self, _requests_per_second: f64) {}

    /// So many circuits are open for this reason.
    fn on_open_circuits(&self, _reason: FailureReason, _count: usize) {}

    /// An answer says that the service's clock is ahead of this machine's by these seconds.
    fn on_clock_offset(&self, _seconds: f64) {}

    /// From now on requests are dated with this offset, in whole seconds, to this machine's clock.
    fn on_clock_corrected(&self, _seconds: i64) {}
}

/// Observes nothing.
impl RequestObserver for () {}

/// What a client is made of.
pub struct ClientOptions<'a> {
    /// The region id: in the endpoint's name, and `regionId` of every request.
    pub region: &'a str,
    /// The way to the service.
    pub transport: Transport,
    /// Limits and timeouts.
    pub limits: &'a config::Api,
    /// Asked for keys before every attempt.
    pub credentials: Arc<dyn CredentialsProvider>,
    /// Dates the requests.
    pub clock: Clock,
    /// Told of every attempt.
    pub observer: Arc<dyn RequestObserver>,
}

/// A client of the EMR Serverless Spark API, version 2023-08-08, for one account and region. Cheap to clone.
///
/// All operations end in an [`ApiError`] after the configured retries, or at once where a retry cannot help. Dropping
/// their futures cancels them.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    deadline: Option<Instant>,
}

pub(super) struct Shared {
    region: String,
    /// What other settings may change.
    pub(super) present: watch::Sender<Arc<Present>>,
    pub(super) clock: Clock,
    pub(super) observer: Arc<dyn RequestObserver>,
    pub(super) in_flight: InFlight,
    pub(super) pace: Pace,
    pub(super) circuits: Circuits,
    pub(super) clock_offset: ClockOffset,
}

/// What an attempt works with; a later one may find another.
pub(super) struct Present {
    pub(super) transport: Transport,
    pub(super) credentials: Arc<dyn CredentialsProvider>,
    pub(super) retries: usize,
    pub(super) timeout: Duration,
    pub(super) body_bytes_max: usize,
}

impl Present {
    fn new(
        transport: Transport,
        limits: &config::Api,
        credentials: Arc<dyn CredentialsProvider>,
    ) -> Arc<Self> {
        let config::Api { retries, timeout, body_bytes_max, .. } = *limits;
        Arc::new(Self { transport, credentials, retries, timeout, body_bytes_max })
    }
}

impl Client {
    /// The client; nothing is sent yet.
    pub fn new(options: ClientOptions<'_>) -> Self {
        let ClientOptions { region, transport, limits, credentials, clock, observer } = options;
        let pace = Pace::new(limits.requests_per_second, limits.max_in_flight);
        observer.on_pace(pace.rate());
        let shared = Shared {
            region: region.to_owned(),
            present: watch::Sender::new(Present::new(transport, limits, credentials)),
            clock,
            circuits: Circuits::new(Arc::clone(&observer)),
            observer,
            in_flight: InFlight::new(limits.max_in_flight),
            pace,
            clock_offset: ClockOffset::default(),
        };
        Self { shared: Arc::new(shared), deadline: None }
    }

    /// The way that it goes.
    pub fn transport(&self) -> Transport {
        self.shared.present.borrow().transport.clone()
    }

    /// Follows other settings from the next attempt on, as do all clones. The rate that it has learned stays, and so do
    /// its circuits, unless the keys come from elsewhere: then it is false. The transport is of the same way as its own.
    pub fn reconfigure(
        &self,
        transport: Transport,
        limits: &config::Api,
        credentials: &Arc<dyn CredentialsProvider>,
    ) -> bool {
        let Shared { present, in_flight, pace, circuits, observer, .. } = &*self.shared;
        in_flight.limit(limits.max_in_flight);
        pace.limit(limits.requests_per_second, limits.max_in_flight);
        observer.on_pace(pace.rate());
        let before = present.send_replace(Present::new(transport, limits, Arc::clone(credentials)));
        let is_same_source = Arc::ptr_eq(&before.credentials, credentials);
        if !is_same_source {
            circuits.reset();
        }
        is_same_source
    }

    /// The same client, for requests of which all is over at this moment: what cannot end before it is not begun.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self.clone() }
    }

    /// ListWorkspaces: one page of the account's workspaces in the region.
    pub async fn list_workspaces(
        &self,
        token: Option<&str>,
        page_size: u32,
    ) -> Result<Page<Workspace>, ApiError> {
        let path = ["api", "v1", "workspaces"];
        let call = self.call(Action::ListWorkspaces, &[], &path, &["workspaces"]);
        self.page(token_paged(call, token, page_size)).await
    }

    /// ListSessionClusters: one page of a workspace's session clusters.
    pub async fn list_session_clusters(
        &self,
        workspace_id: &str,
        token: Option<&str>,
        page_size: u32,
    ) -> Result<Page<SessionCluster>, ApiError> {
        let path = ["api", "v1", "workspaces", workspace_id, "sessionClusters"];
        let call = self.call(Action::ListSessionClusters, &[workspace_id], &path, &["sessionClusters"]);
        self.page(token_paged(call, token, page_size)).await
    }

    /// GetSessionCluster: one session cluster; where there is none, the error's reason is
    /// [`NotFound`](crate::model::FailureReason::NotFound).
    pub async fn get_session_cluster(
        &self,
        workspace_id: &str,
        session_cluster_id: &str,
    ) -> Result<SessionCluster, ApiError> {
        let ids = [workspace_id, session_cluster_id];
        let path = ["api", "v1", "workspaces", workspace_id, "sessionClusters", session_cluster_id];
        let call = self.call(Action::GetSessionCluster, &ids, &path, &["sessionCluster"]);
        self.shared.call(call, self.deadline, Answer::one).await
    }

    /// ListLivyCompute: all Livy gateways of a workspace. Its path differs from the others, and it has no paging.
    pub async fn list_livy_compute(&self, workspace_id: &str) -> Result<Page<LivyCompute>, ApiError> {
        let path = ["api", "interactive", "v1", "workspace", workspace_id, "livycompute"];
        self.page(self.call(Action::ListLivyCompute, &[workspace_id], &path, &["data", "livyComputes"])).await
    }

    /// ListLivyComputeSessions: page `page_num`, counted from 1, of a Livy gateway's session history.
    pub async fn list_livy_compute_sessions(
        &self,
        workspace_id: &str,
        livy_compute_id: &str,
        page_num: u64,
        page_size: u32,
    ) -> Result<Page<LivySession>, ApiError> {
        let ids = [workspace_id, livy_compute_id];
        let path = ["api", "v1", "workspaces", workspace_id, "livycompute", livy_compute_id, "session"];
        let mut call = self.call(Action::ListLivyComputeSessions, &ids, &path, &["sessions"]);
        call.query.push(("pageNum", page_num.to_string()));
        call.query.push(("pageSize", page_size.to_string()));
        self.page(call).await
    }

    fn call(&self, action: Action, ids: &[&str], path: &[&str], place: &'static [&'static str]) -> Call {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Call {
            subject: Subject { action, ids: owned(ids) },
            path: owned(path),
            query: vec![("regionId", self.shared.region.clone())],
            place,
        }
    }

    async fn page<T: Row>(&self, call: Call) -> Result<Page<T>, ApiError> {
        self.shared.call(call, self.deadline, Answer::page).await
    }
}

fn token_paged(mut call: Call, token: Option<&str>, page_size: u32) -> Call {
    call.query.push(("maxResults", page_size.to_string()));
    call.query.extend(token.map(|token| ("nextToken", token.to_owned())));
    call
}
