//! The simulator behind TLS: HTTP/2 or HTTP/1.1, as the client likes.

use std::sync::Arc;

use http::header::HOST;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, rustls};
use tokio_util::sync::CancellationToken;

use super::HEADER_TIMEOUT;
use super::service::Service;

/// A certificate with its key, ready to be shown.
#[derive(Clone)]
pub struct TlsIdentity(TlsAcceptor);

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsIdentity")
    }
}

/// Why a certificate or a key does not serve.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of the two texts is not the PEM that it should be.
    #[error("the {what} is not PEM: {source}")]
    Pem {
        /// `certificate` or `key`.
        what: &'static str,
        /// Why.
        source: pem::Error,
    },
    /// The two do not belong together, or are of an unknown kind.
    #[error("the certificate and its key do not serve: {0}")]
    Identity(#[from] rustls::Error),
}

impl TlsIdentity {
    /// From a chain of certificates, the server's first, and its key, each as PEM.
    ///
    /// # Errors
    /// Where these are no such thing.
    pub fn from_pem(certificates: &str, key: &str) -> Result<Self, TlsError> {
        let chain: Result<Vec<CertificateDer<'static>>, pem::Error> =
            CertificateDer::pem_slice_iter(certificates.as_bytes()).collect();
        let chain = chain.map_err(|source| TlsError::Pem { what: "certificate", source })?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|source| TlsError::Pem { what: "key", source })?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// The same without HTTP/2.
    #[must_use]
    pub fn http1_only(self) -> Self {
        let mut config = rustls::ServerConfig::clone(self.0.config());
        config.alpn_protocols.retain(|protocol| protocol != b"h2");
        Self(TlsAcceptor::from(Arc::new(config)))
    }

    /// Serves a connection to its end. A reset on purpose is its end, or in HTTP/2 that of the request.
    pub(super) async fn serve(self, service: Arc<Service>, stream: TcpStream, draining: CancellationToken) {
        // The client is the one to judge a handshake that failed.
        let Ok(stream) = self.0.accept(stream).await else { return };
        let handler = service_fn(move |mut request: Request<Incoming>| {
            let service = Arc::clone(&service);
            // HTTP/2 has the host in the target of the request; it is the one that was signed.
            let authority =
                request.uri().authority().map(|authority| HeaderValue::from_str(authority.as_str()));
            if let Some(Ok(authority)) = authority {
                request.headers_mut().insert(HOST, authority);
            }
            async move { service.handle(request).await }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
        let connection = builder.serve_connection(TokioIo::new(stream), handler);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => Some(ended),
            () = draining.cancelled() => None,
        };
        if ended.is_none() {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_and_no_key_is_refused() {
        for (certificate, key, expected) in [
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "", "the certificate is not PEM"),
            ("", "", "the key is not PEM"),
            ("", "x", "the key is not PEM"),
        ] {
            let error = TlsIdentity::from_pem(certificate, key).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
