//! Names to addresses, and what kept a connection from being made. Invariant: a name without an address is told apart by
//! type, not by words that a library may change.

use std::error::Error;
use std::io;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

/// The system's resolver.
#[derive(Clone, Copy, Debug)]
pub(super) struct SystemResolver;

/// The system has no address for a name, or could not ask.
#[derive(Debug, Error)]
#[error("no address for {name}: {source}")]
pub(super) struct Unresolved {
    name: String,
    source: io::Error,
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        Box::pin(async move {
            // The port is put in by the HTTP client.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map(Vec::from_iter);
            match found {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Err(source) => Err(Unresolved { name, source }.into()),
            }
        })
    }
}

/// What kept a connection from being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// A name without an address.
    Name,
    /// The certificate, or the handshake.
    Tls,
    /// Anything else.
    Connection,
}

/// Looks for the obstacle among the sources of an error.
pub(super) fn obstacle(error: &reqwest::Error) -> Obstacle {
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = next {
        if error.is::<Unresolved>() {
            return Obstacle::Name;
        }
        if error.is::<rustls::Error>() {
            return Obstacle::Tls;
        }
        // An I/O error that wraps another one gives that one's sources as its own, and not itself.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map_or_else(|| error.source(), |inner| Some(inner));
    }
    Obstacle::Connection
}
