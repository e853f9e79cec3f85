//! The server's side of TLS, by rustls. Invariant: what was configured is what is offered, or there is an error.

mod clients;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use secrecy::ExposeSecret;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Version;

use self::clients::Clients;
use crate::config::{ClientAuth, Pem, TlsServer, TlsVersion};

/// The shortest RSA key that the library takes.
const RSA_BITS_MIN: usize = 2048;

/// What is wrong with a key, a certificate, or how they fit together.
#[derive(Debug, thiserror::Error)]
#[error("tls_server_config.{key}: {message}")]
pub struct TlsError {
    key: &'static str,
    message: String,
}

impl TlsError {
    fn of(pem: &Pem, message: impl Into<String>) -> Self {
        Self { key: pem.key, message: message.into() }
    }
}

/// What rustls needs, with HTTP/2 on offer or without.
///
/// # Errors
/// Where keys and certificates are none, or do not belong together.
pub(super) fn server_config(tls: &TlsServer, http2: bool) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(provider(tls));
    let certified = certified_key(tls, &provider)?;
    let clients = clients(tls, &provider)?;
    let impossible = |error: rustls::Error| TlsError { key: "cipher_suites", message: error.to_string() };
    let versions = versions(tls, &provider);
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(impossible)?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    config.ignore_client_order = tls.prefer_server_cipher_suites;
    config.alpn_protocols = if http2 { vec![b"h2".to_vec()] } else { Vec::new() };
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(config)
}

/// The algorithms that are offered, those that are listed in the order of the list. As in Go, a list of suites is about TLS 1.2
/// alone.
fn provider(tls: &TlsServer) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if !tls.cipher_suites.is_empty() {
        provider.cipher_suites.retain(|suite| {
            let name = suite.suite().as_str().unwrap_or_default();
            suite.tls13().is_some() || tls.cipher_suites.contains(&name)
        });
        provider.cipher_suites.sort_by_key(|suite| {
            let name = suite.suite().as_str().unwrap_or_default();
            let place = tls.cipher_suites.iter().position(|listed| *listed == name);
            place.filter(|_| suite.tls13().is_none())
        });
    }
    if !tls.curve_preferences.is_empty() {
        provider.kx_groups = tls.curve_preferences.iter().map(|name| group(name)).collect();
    }
    provider
}

fn group(name: &str) -> &'static dyn SupportedKxGroup {
    match name {
        "CurveP256" => aws_lc_rs::kx_group::SECP256R1,
        "CurveP384" => aws_lc_rs::kx_group::SECP384R1,
        _ => aws_lc_rs::kx_group::X25519,
    }
}

fn versions(tls: &TlsServer, provider: &CryptoProvider) -> Vec<&'static rustls::SupportedProtocolVersion> {
    let has_tls12 = provider.cipher_suites.iter().any(|suite| suite.tls13().is_none());
    let versions = [
        (TlsVersion::Tls13, &rustls::version::TLS13, true),
        (TlsVersion::Tls12, &rustls::version::TLS12, has_tls12),
    ];
    let offered = versions.into_iter().filter(|(version, _, has_suites)| {
        (tls.min_version..=tls.max_version).contains(version) && *has_suites
    });
    offered.map(|(_, version, _)| version).collect()
}

fn certified_key(tls: &TlsServer, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&tls.cert)?;
    let pem = tls.key.text.expose_secret();
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        const ENCRYPTED: &[u8] = b"ENCRYPTED";
        let message = if pem.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED) {
            "the private key is encrypted; write it without a passphrase (`openssl pkey -in … -out …`)"
        } else {
            "expected a private key in PEM (-----BEGIN PRIVATE KEY-----)"
        };
        TlsError::of(&tls.key, message)
    })?;
    let leaf = chain[0].clone();
    CertifiedKey::from_der(chain, key, provider).map_err(|error| unusable(tls, &leaf, &error))
}

/// Why a key and its certificate do not serve, with what to do where that is known.
fn unusable(tls: &TlsServer, leaf: &[u8], error: &rustls::Error) -> TlsError {
    let certificate = X509Certificate::from_der(leaf).ok().map(|(_, certificate)| certificate);
    let rsa_bits = certificate.as_ref().and_then(|certificate| match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => Some(key.key_size()),
        _ => None,
    });
    if let Some(bits) = rsa_bits.filter(|bits| *bits < RSA_BITS_MIN) {
        let message = format!(
            "an RSA key of {bits} bits can be broken, and is not taken; make one of {RSA_BITS_MIN} bits or more \
             (`openssl genrsa -out … {RSA_BITS_MIN}`), and a certificate for it"
        );
        return TlsError::of(&tls.key, message);
    }
    match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::of(&tls.key, "the private key does not belong to the certificate; give the pair")
        }
        rustls::Error::InvalidCertificate(_)
            if certificate.is_some_and(|certificate| certificate.version() != X509Version::V3) =>
        {
            let message = "an X.509 certificate of version 1 has no room for the names that clients look for, and is \
                           not taken; make one of version 3, by `openssl req -x509 -addext subjectAltName=DNS:…` or \
                           `openssl x509 -req -extfile …`";
            TlsError::of(&tls.cert, message)
        }
        rustls::Error::InvalidCertificate(error) => {
            TlsError::of(&tls.cert, format!("the certificate cannot be used: {error}"))
        }
        error => TlsError::of(&tls.key, format!("the private key cannot be used: {error}")),
    }
}

/// At least one.
fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let expected = || TlsError::of(pem, "expected certificates in PEM (-----BEGIN CERTIFICATE-----)");
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.text.expose_secret()).collect();
    certificates.ok().filter(|certificates| !certificates.is_empty()).ok_or_else(expected)
}

fn clients(
    tls: &TlsServer,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    if tls.client_auth == ClientAuth::NoClientCert {
        return Ok(None);
    }
    let authorities = match &tls.client_ca {
        Some(pem) => Some(authorities(pem, provider)?),
        None => None,
    };
    Ok(Some(Arc::new(Clients {
        authorities: authorities.filter(|_| tls.client_auth.is_verified()),
        is_mandatory: tls.client_auth.is_mandatory(),
        names: tls.client_allowed_sans.clone(),
        algorithms: provider.signature_verification_algorithms,
    })))
}

fn authorities(pem: &Pem, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(pem)? {
        let failed = |error| TlsError::of(pem, format!("a certificate cannot be used: {error}"));
        roots.add(certificate).map_err(failed)?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| TlsError::of(pem, error.to_string()))
}

#[cfg(test)]
mod tests;
