//! Builds the HTTP client. Invariant: one request in, one request on the wire: no redirect, no retry of its own, and
//! the very path and query that were signed.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, ClientBuilder, Proxy, Url, redirect, retry};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};

use super::error::{ApiError, SetupError};
use super::resolve::SystemResolver;
use crate::config::{self, Endpoint, Network};

const USER_AGENT: &str = concat!("emr-serverless-spark-exporter/", env!("CARGO_PKG_VERSION"));

/// Connections that are kept for further requests: as many as there can be requests in flight.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// The way to the service, with the connections over it. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Transport {
    pub(super) origin: Origin,
    pub(super) http: reqwest::Client,
    /// The content of the CA file: where that has changed, the way has.
    authorities: Vec<u8>,
    proxy: Option<SecretString>,
    connect_timeout: Duration,
}

impl Transport {
    /// The way to the service's endpoint in a region, or to another endpoint instead; nothing is sent yet.
    ///
    /// # Errors
    /// The endpoint is no address, the CA file cannot be read or holds no certificate, the proxy is no proxy URL, or
    /// for HTTPS the system has no certificate authorities.
    pub fn new(
        region: &str,
        network: Network,
        endpoint: Option<&Endpoint>,
        limits: &config::Api,
    ) -> Result<Self, ApiError> {
        Ok(Self::build(None, Origin::new(region, network, endpoint)?, limits)?)
    }

    /// As [`Transport::new`], with the connections of this one where nothing has changed that they depend on.
    ///
    /// # Errors
    /// As [`Transport::new`].
    pub fn renewed(
        &self,
        region: &str,
        network: Network,
        endpoint: Option<&Endpoint>,
        limits: &config::Api,
    ) -> Result<Self, ApiError> {
        Ok(Self::build(Some(self), Origin::new(region, network, endpoint)?, limits)?)
    }

    /// Whether both lead to the same service in the same way, so that what was learned of it holds for both.
    pub fn is_same_way(&self, other: &Self) -> bool {
        let proxy = |it: &Self| it.proxy.as_ref().map(|proxy| proxy.expose_secret().to_owned());
        self.origin == other.origin && self.authorities == other.authorities && proxy(self) == proxy(other)
    }

    fn build(before: Option<&Self>, origin: Origin, limits: &config::Api) -> Result<Self, SetupError> {
        let authorities = limits.ca_file.as_deref().map_or_else(|| Ok(Vec::new()), read_authorities)?;
        let (proxy, connect_timeout) = (limits.proxy.clone(), limits.connect_timeout);
        if let Some(before) = before {
            let kept = Self { origin, http: before.http.clone(), authorities, proxy, connect_timeout };
            if kept.is_same_way(before) && kept.connect_timeout == before.connect_timeout {
                return Ok(kept);
            }
            let http = connect(&kept.origin, &kept.authorities, limits)?;
            return Ok(Self { http, ..kept });
        }
        let http = connect(&origin, &authorities, limits)?;
        Ok(Self { origin, http, authorities, proxy, connect_timeout })
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// Scheme, host and port; without a path.
    base: String,
    /// The value of the `Host` header that the HTTP client will send.
    pub(super) host: String,
    is_https: bool,
    is_loopback: bool,
}

impl Origin {
    pub(super) fn new(region: &str, network: Network, over: Option<&Endpoint>) -> Result<Self, SetupError> {
        let prefix = match network {
            Network::Public => "emr-serverless-spark",
            Network::Vpc => "emr-serverless-spark-vpc",
        };
        let text = match over {
            Some(Endpoint { https, authority }) => {
                format!("{}://{authority}", if *https { "https" } else { "http" })
            }
            None => format!("https://{prefix}.{region}.aliyuncs.com"),
        };
        let url = Url::parse(&text).map_err(|_| SetupError::Endpoint(text.clone()))?;
        // The parser lower-cases the host and drops the scheme's own port: what it leaves is what is sent and signed.
        let (Some(host), true) =
            (url.host_str(), url.path() == "/" && url.query().is_none() && !has_user(&url))
        else {
            return Err(SetupError::Endpoint(text));
        };
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self {
            base: format!("{}://{host}", url.scheme()),
            is_https: url.scheme() == "https",
            is_loopback: is_loopback(url.host_str().unwrap_or_default()),
            host,
        })
    }

    /// The URL of a canonical path and query, or `None` if the URL parser would send something else.
    pub(super) fn url(&self, path: &str, query: &str) -> Option<Url> {
        let url = Url::parse(&format!("{}{path}?{query}", self.base)).ok()?;
        (url.path() == path && url.query() == Some(query)).then_some(url)
    }
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The HTTP client for an origin: HTTP/1.1, or with TLS HTTP/2 where the server speaks it.
pub(super) fn http_client(origin: &Origin, limits: &config::Api) -> Result<reqwest::Client, SetupError> {
    let authorities = limits.ca_file.as_deref().map_or_else(|| Ok(Vec::new()), read_authorities)?;
    connect(origin, &authorities, limits)
}

fn connect(origin: &Origin, authorities: &[u8], limits: &config::Api) -> Result<reqwest::Client, SetupError> {
    let mut builder = ClientBuilder::new()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .gzip(true)
        .dns_resolver(SystemResolver)
        .connect_timeout(limits.connect_timeout)
        .timeout(limits.timeout)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX);
    if let Some(proxy) = &limits.proxy {
        builder = builder.proxy(Proxy::all(proxy.expose_secret()).map_err(|_| SetupError::Proxy)?);
    } else if origin.is_loopback {
        // An environment's proxy is for the way out; it may not even reach this machine's loopback.
        builder = builder.no_proxy();
    }
    let ca_file = limits.ca_file.as_deref();
    let authorities = ca_file.map_or_else(|| Ok(Vec::new()), |path| certificates(path, authorities))?;
    builder = if origin.is_https {
        builder.tls_certs_merge(authorities)
    } else {
        // Without TLS nobody needs the system's authorities, which a bare container does not have.
        builder.tls_certs_only(authorities)
    };
    builder.build().map_err(SetupError::Tls)
}

fn read_authorities(path: &Path) -> Result<Vec<u8>, SetupError> {
    fs::read(path).map_err(|source| SetupError::CaUnreadable { path: path.to_owned(), source })
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<Certificate>, SetupError> {
    let path_buf = || path.to_owned();
    let certificates = Certificate::from_pem_bundle(pem)
        .map_err(|source| SetupError::CaInvalid { path: path_buf(), source })?;
    if certificates.is_empty() {
        return Err(SetupError::CaEmpty { path: path_buf() });
    }
    // The client's own words for one that is broken would not say which it is, nor of what.
    for (index, certificate) in CertificateDer::pem_slice_iter(pem).flatten().enumerate() {
        let broken = |why| SetupError::CaBroken { path: path_buf(), number: index + 1, why };
        RootCertStore::empty().add(certificate).map_err(broken)?;
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::sign::{canonical_path, canonical_query};

    fn endpoint(https: bool, authority: &str) -> Endpoint {
        Endpoint { https, authority: authority.into() }
    }

    #[test]
    fn the_signed_host_is_the_one_that_is_sent() {
        let host = |network, over: Option<Endpoint>| {
            Origin::new("cn-hangzhou", network, over.as_ref()).unwrap().host
        };
        assert_eq!(host(Network::Public, None), "emr-serverless-spark.cn-hangzhou.aliyuncs.com");
        assert_eq!(host(Network::Vpc, None), "emr-serverless-spark-vpc.cn-hangzhou.aliyuncs.com");
        assert_eq!(host(Network::Vpc, Some(endpoint(false, "127.0.0.1:18080"))), "127.0.0.1:18080");
        assert_eq!(host(Network::Public, Some(endpoint(true, "Example.COM:443"))), "example.com");
        assert_eq!(host(Network::Public, Some(endpoint(false, "[::1]:80"))), "[::1]");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for authority in ["", "a b", "host/path", "host?query", "user:pw@host", "host:99999"] {
            let error = Origin::new("r", Network::Public, Some(&endpoint(true, authority))).unwrap_err();
            assert!(matches!(error, SetupError::Endpoint(_)), "{authority}");
        }
    }

    #[test]
    fn the_url_parser_leaves_canonical_paths_and_queries_as_they_are() {
        let origin = Origin::new("r", Network::Public, None).unwrap();
        let nasty = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ \t\n数据🚀%7E%2e%2F";
        for id in [nasty, "..a", "...", "%2e%2e", "%2E", "a/../b", "\\", "//", "?", "#", "w-1"] {
            let path = canonical_path(&["api", id, "end"]).unwrap();
            let query = canonical_query(&[("nextToken", id), ("'", ""), ("regionId", "r")]);
            let url = origin.url(&path, &query).expect(id);
            assert_eq!((url.path(), url.query()), (path.as_str(), Some(query.as_str())));
            assert!(url.as_str().is_ascii());
        }
        assert!(origin.url("/a/../b", "").is_none());
        assert!(origin.url("/a/%2e%2E", "").is_none());
    }

    #[test]
    fn loopback_is_told_apart() {
        for (host, expected) in
            [("localhost", true), ("127.8.0.1", true), ("[::1]", true), ("10.0.0.1", false)]
        {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
