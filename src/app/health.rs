//! Whether the daemon answers: a request to `/-/healthy`, from the same settings. Invariant: it talks to this machine alone,
//! sends no secret, and ends within its time.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned};

use crate::config::{ConfigErrors, ListenAddress, WebFile, WebPlace};

/// For the connection, and for each piece of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Of an answer, that much is read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Why the daemon does not count as healthy.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// Its port is not known.
    #[error("{0}: a port that the system chooses cannot be asked; set web.listen_address to a fixed one")]
    UnknownPort(ListenAddress),
    /// It does not answer.
    #[error("{address}: {source}")]
    Silent {
        /// Where it was asked.
        address: ListenAddress,
        /// Why there was no answer.
        source: io::Error,
    },
    /// It answers something else.
    #[error("{address}: it answered {answer:?}, not that it is healthy; is it another program?")]
    Other {
        /// Where it was asked.
        address: ListenAddress,
        /// The first line of the answer.
        answer: String,
    },
    /// None of these, of settings that may name another place.
    #[error("{source}\nIt may be elsewhere, for these settings are refused: {settings}")]
    Misled {
        /// What there was where it was asked.
        source: Box<Self>,
        /// What is wrong with the settings.
        settings: ConfigErrors,
    },
}

/// Asks the daemon with these settings, at its first address. Settings that are refused by now leave a running daemon as it
/// was: only where it does not answer are they part of the reason.
///
/// A daemon that wants a password or a client's certificate counts as healthy when it says so: it is alive, and the
/// settings hold no password in the clear.
///
/// # Errors
/// Where it does not answer, or something else does.
pub fn health((place, settings): (WebPlace, Result<(), ConfigErrors>)) -> Result<(), HealthError> {
    let outcome = health_at(&place);
    match (outcome, settings) {
        (Err(source), Err(settings)) => Err(HealthError::Misled { source: Box::new(source), settings }),
        (outcome, _) => outcome,
    }
}

fn health_at(web: &WebPlace) -> Result<(), HealthError> {
    let Some(address) = web.listen_addresses.first() else { return Ok(()) };
    // A file that is refused by now leaves a running daemon as it was: then, either way is tried.
    let tls = match web.config_file.as_deref().map(WebFile::load) {
        None => vec![false],
        Some(Ok(file)) => vec![file.tls.is_some()],
        Some(Err(_)) => vec![true, false],
    };
    let mut outcome = Ok(());
    for tls in tls {
        outcome = ask(address, tls);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn ask(address: &ListenAddress, tls: bool) -> Result<(), HealthError> {
    let silent = |source| HealthError::Silent { address: address.clone(), source };
    let answer = match address {
        ListenAddress::Tcp(text) => {
            let targets = targets(text).map_err(silent)?;
            if targets.iter().any(|target| target.port() == 0) {
                return Err(HealthError::UnknownPort(address.clone()));
            }
            let stream = connect(&targets).map_err(silent)?;
            exchange(stream, tls)
        }
        ListenAddress::Unix(path) => UnixStream::connect(path).and_then(|stream| {
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            exchange(stream, tls)
        }),
    };
    let answer = answer.map_err(silent)?;
    let first = answer.lines().next().unwrap_or_default().to_owned();
    let status = first.split(' ').nth(1).filter(|_| first.starts_with("HTTP/1."));
    match status {
        Some("200") if answer.ends_with("\r\n\r\nhealthy\n") => Ok(()),
        // A password is wanted, or the rate is limited.
        Some("401" | "429") => Ok(()),
        _ => Err(HealthError::Other { address: address.clone(), answer: first }),
    }
}

/// Where a server that listens there is reached from this machine.
fn targets(listened: &str) -> io::Result<Vec<SocketAddr>> {
    match listened.rsplit_once(':') {
        Some(("", port)) => format!("localhost:{port}").to_socket_addrs().map(Iterator::collect),
        _ => Ok(listened
            .to_socket_addrs()?
            .map(|address| match address {
                SocketAddr::V4(any) if any.ip().is_unspecified() => ([127, 0, 0, 1], any.port()).into(),
                SocketAddr::V6(any) if any.ip().is_unspecified() => {
                    (std::net::Ipv6Addr::LOCALHOST, any.port()).into()
                }
                address => address,
            })
            .collect()),
    }
}

fn connect(targets: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for target in targets {
        match TcpStream::connect_timeout(target, TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn exchange(stream: impl Read + Write, tls: bool) -> io::Result<String> {
    if !tls {
        return request(stream);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(OwnDaemon(Arc::clone(&provider)));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let answer = request(StreamOwned::new(connection, stream));
    // It asked for a certificate, which only a daemon that is alive does.
    let wants_certificate = |error: &io::Error| {
        let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
        use rustls::AlertDescription::{BadCertificate, CertificateRequired, HandshakeFailure};
        matches!(error, Some(Error::AlertReceived(CertificateRequired | BadCertificate | HandshakeFailure)))
    };
    match answer {
        Err(error) if wants_certificate(&error) => Ok("HTTP/1.1 401 a certificate is wanted".to_owned()),
        answer => answer,
    }
}

fn request(mut stream: impl Read + Write) -> io::Result<String> {
    stream.write_all(b"GET /-/healthy HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer) {
        // A TLS connection that ends without a word: the answer says itself whether it is whole.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        other => drop(other?),
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Trusts whoever answers: this machine is asked, by an address that its certificate does not bear, and told nothing.
#[derive(Debug)]
struct OwnDaemon(Arc<CryptoProvider>);

impl ServerCertVerifier for OwnDaemon {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
