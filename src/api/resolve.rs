//! Names to addresses. Invariant: a name without an address is told apart by type, not by words that a library may change.

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
