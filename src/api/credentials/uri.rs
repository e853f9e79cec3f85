//! Keys that a service on the way hands out, in the form of the metadata service. Invariant: the URI is never repeated: it
//! may hold a secret.

use reqwest::{Method, Request, Url};
use secrecy::{ExposeSecret, SecretString};

use super::AccessCredentials;
use super::error::Failure;
use super::exchange::{Handed, client, exchange, keys_in};
use super::source::Fetched;
use super::tools::Tools;
use crate::config::Endpoint;

/// The keys behind a URI, which the settings have checked.
pub(super) async fn fetch(tools: &Tools, uri: &SecretString) -> Result<Fetched, Failure> {
    let url = Url::parse(uri.expose_secret()).map_err(|_| Failure::absent("the URI is none"))?;
    let host = url.host_str().unwrap_or_default();
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    // The service may repeat what it was asked: all of it, the path, the query.
    let hidden = AccessCredentials {
        id: url.query().unwrap_or_default().to_owned(),
        secret: uri.clone(),
        security_token: (url.path() != "/").then(|| url.path().into()),
    };
    let (_, http) = client(tools, &Endpoint { https: url.scheme() == "https", authority })?;
    let answer = exchange(&http, Request::new(Method::GET, url), &tools.clock).await?;
    if answer.status == 200 {
        return keys_in::<Handed>(answer);
    }
    Err(answer.refusal(&hidden).into())
}
