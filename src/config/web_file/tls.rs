//! `tls_server_config`. Invariant: what is read can be built by rustls, but for the content of keys and certificates.

use std::path::Path;

use secrecy::SecretSlice;

use super::super::files;
use super::section::{self, Section};

/// The cipher suites that are offered, by the names that Go gives them. Those of TLS 1.3 are always offered, as in Go.
const CIPHER_SUITES: [&str; 9] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];
/// The curves that are offered, by the names that Go gives them.
const CURVES: [&str; 3] = ["CurveP256", "CurveP384", "X25519"];

const KEYS: [&str; 13] = [
    "cert",
    "cert_file",
    "cipher_suites",
    "client_allowed_sans",
    "client_auth_type",
    "client_ca",
    "client_ca_file",
    "curve_preferences",
    "key",
    "key_file",
    "max_version",
    "min_version",
    "prefer_server_cipher_suites",
];

/// A server's side of TLS.
#[derive(Clone, Debug)]
pub struct TlsServer {
    /// The certificate and its chain.
    pub cert: Pem,
    /// Its private key.
    pub key: Pem,
    /// Authorities of client certificates.
    pub client_ca: Option<Pem>,
    /// What is asked of clients.
    pub client_auth: ClientAuth,
    /// Names of which a client's certificate must bear one.
    pub client_allowed_sans: Option<Vec<String>>,
    /// At most `max_version`.
    pub min_version: TlsVersion,
    /// The newest that is offered.
    pub max_version: TlsVersion,
    /// By the names that Go gives them; empty: all that are offered.
    pub cipher_suites: Vec<&'static str>,
    /// Whether the server's order of suites counts, not the client's.
    pub prefer_server_cipher_suites: bool,
    /// By the names that Go gives them, the preferred first; empty: the library's own.
    pub curve_preferences: Vec<&'static str>,
}

/// What is to be PEM; its comments may be in any encoding.
#[derive(Clone, Debug)]
pub struct Pem {
    /// The key in the file that it came by.
    pub key: &'static str,
    /// As read.
    pub text: SecretSlice<u8>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// What is asked of a client: `client_auth_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// No certificate.
    NoClientCert,
    /// A certificate may come; any will do.
    RequestClientCert,
    /// A certificate must come; any will do.
    RequireAnyClientCert,
    /// A certificate may come, and must then be of a known authority.
    VerifyClientCertIfGiven,
    /// A certificate of a known authority must come.
    RequireAndVerifyClientCert,
}

impl ClientAuth {
    /// Whether a client without a certificate is refused.
    pub fn is_mandatory(self) -> bool {
        matches!(self, Self::RequireAnyClientCert | Self::RequireAndVerifyClientCert)
    }

    /// Whether a certificate must be of a known authority.
    pub fn is_verified(self) -> bool {
        matches!(self, Self::VerifyClientCertIfGiven | Self::RequireAndVerifyClientCert)
    }
}

const CLIENT_AUTH: [(&str, ClientAuth); 6] = [
    ("NoClientCert", ClientAuth::NoClientCert),
    ("RequestClientCert", ClientAuth::RequestClientCert),
    ("RequireAnyClientCert", ClientAuth::RequireAnyClientCert),
    ("VerifyClientCertIfGiven", ClientAuth::VerifyClientCertIfGiven),
    ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerifyClientCert),
    // The toolkit keeps this name for old files.
    ("RequireClientCert", ClientAuth::RequireAnyClientCert),
];

/// `None` where it asks for no TLS, as in the toolkit: without a certificate, a key, or anything about clients.
pub(super) fn read(mut section: Section<'_>, directory: &Path) -> Option<TlsServer> {
    section.only(&KEYS);
    let cert = pem(&mut section, "cert_file", "cert", directory);
    let key = pem(&mut section, "key_file", "key", directory);
    let client_ca = pem(&mut section, "client_ca_file", "client_ca", directory);
    let client_auth = section.read_filled("client_auth_type", |text| one_of(text, &CLIENT_AUTH));
    let versions = versions(&mut section);
    let cipher_suites = section.list("cipher_suites", cipher_suite).unwrap_or_default();
    let curve_preferences = section.list("curve_preferences", curve).unwrap_or_default();
    let client_allowed_sans = section.list("client_allowed_sans", |name| Ok(name.to_owned()));
    let prefer_server_cipher_suites =
        section.read_plain("prefer_server_cipher_suites", section::truth).unwrap_or(true);
    let is_enabled = cert.is_some() || key.is_some() || client_ca.is_some() || client_auth.is_some();
    if !is_enabled {
        return None;
    }
    for (pem, file, inline) in [(&cert, "cert_file", "cert"), (&key, "key_file", "key")] {
        if pem.is_none() && !section.has_failed(file) {
            section.fail(file, format!("missing; give {file} or {inline}"));
        }
    }
    let client_auth = client_auth.unwrap_or(ClientAuth::NoClientCert);
    check_clients(&mut section, client_auth, client_ca.is_some(), client_allowed_sans.is_some());
    let suites_of_tls12 = cipher_suites.iter().any(|suite| suite.contains("_WITH_"));
    if versions.1 == TlsVersion::Tls12 && !cipher_suites.is_empty() && !suites_of_tls12 {
        section.fail("cipher_suites", "no suite of TLS 1.2 is among them, and max_version is TLS12");
    }
    Some(TlsServer {
        cert: cert?,
        key: key?,
        client_ca,
        client_auth,
        client_allowed_sans,
        min_version: versions.0,
        max_version: versions.1,
        cipher_suites,
        prefer_server_cipher_suites,
        curve_preferences,
    })
}

fn check_clients(section: &mut Section<'_>, auth: ClientAuth, has_ca: bool, has_names: bool) {
    if section.has_failed("client_") {
        return;
    }
    if has_ca && auth == ClientAuth::NoClientCert {
        section.fail(
            "client_auth_type",
            "client certificates are not asked for, though their authorities are given; \
             set RequireAndVerifyClientCert, or leave client_ca_file out",
        );
    }
    if !has_ca && auth.is_verified() {
        section.fail(
            "client_ca_file",
            "missing; without it, whoever has a certificate of any public authority would be let in",
        );
    }
    if has_names && !auth.is_mandatory() {
        section.fail(
            "client_allowed_sans",
            "it needs a client_auth_type that requires a certificate: \
             RequireAndVerifyClientCert or RequireAnyClientCert",
        );
    }
}

/// The oldest and the newest.
fn versions(section: &mut Section<'_>) -> (TlsVersion, TlsVersion) {
    let version = |text: &str| match text {
        "TLS13" => Ok(TlsVersion::Tls13),
        "TLS12" => Ok(TlsVersion::Tls12),
        "TLS11" | "TLS10" => Err("TLS 1.0 and 1.1 are broken, and not offered here; set TLS12".to_owned()),
        _ => Err("expected TLS12 or TLS13".to_owned()),
    };
    let oldest = section.read("min_version", version).unwrap_or(TlsVersion::Tls12);
    let newest = section.read("max_version", version).unwrap_or(TlsVersion::Tls13);
    if oldest > newest {
        section.fail("max_version", "older than min_version; no client could connect");
    }
    (oldest, newest)
}

/// From the file that one key names, else from the text at the other.
fn pem(section: &mut Section<'_>, file: &'static str, inline: &'static str, directory: &Path) -> Option<Pem> {
    let read = section.read_filled(file, |path| files::read_bytes(&directory.join(path)));
    match read {
        Some(text) => Some(Pem { key: file, text: text.into() }),
        None if section.has_failed(file) => None,
        None => section
            .read_filled(inline, |text| Ok(text.as_bytes().to_vec()))
            .map(|text| Pem { key: inline, text: text.into() }),
    }
}

fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("expected one of {}", words.join(", "))
    })
}

fn cipher_suite(text: &str) -> Result<&'static str, String> {
    CIPHER_SUITES.into_iter().find(|suite| *suite == text).ok_or_else(|| {
        let old = if text.contains("_CBC_") || text.starts_with("TLS_RSA_") {
            "suites with CBC or without forward secrecy are not offered here; leave it out, or "
        } else {
            ""
        };
        format!("{old}expected one of {}", CIPHER_SUITES.join(", "))
    })
}

fn curve(text: &str) -> Result<&'static str, String> {
    CURVES.into_iter().find(|curve| *curve == text).ok_or_else(|| {
        let not_offered = if text == "CurveP521" { "this curve is not offered here; " } else { "" };
        format!("{not_offered}expected one of {}", CURVES.join(", "))
    })
}
