//! `POST /-/reload`, answered as Prometheus does. Invariant: whoever is not allowed to have the settings read again has
//! nothing done, and is told no more than that.

use std::future::Future;
use std::pin::Pin;

use hyper::{Response, StatusCode};

use super::routes::text;
use super::{Chunks, Server};

/// What comes of reading the settings again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// They are in force, as the text says in detail.
    Applied(String),
    /// They were refused, for the reasons in the text; those before them are in force.
    Refused(String),
    /// The exporter is about to end.
    Ending,
}

/// Reads the settings again.
pub trait Lifecycle: Send + Sync + 'static {
    /// Reads them and waits until they are in force or refused; it is done, too, where nobody waits any more.
    fn reload(&self) -> Pin<Box<dyn Future<Output = Reloaded> + Send + '_>>;
}

/// Has them read, where that is for whoever reaches the server.
pub(super) async fn answer(server: &Server) -> Response<Chunks> {
    let Some(lifecycle) = &server.lifecycle else {
        let message = "Lifecycle API is not enabled. Set web.enable_lifecycle, or --web.enable-lifecycle; SIGHUP has the \
                       settings read again in any case.\n";
        return text(StatusCode::FORBIDDEN, message.into());
    };
    match lifecycle.reload().await {
        Reloaded::Applied(message) => text(StatusCode::OK, message),
        Reloaded::Refused(message) => text(StatusCode::BAD_REQUEST, message),
        Reloaded::Ending => text(StatusCode::SERVICE_UNAVAILABLE, "about to end\n".into()),
    }
}
