//! What kept a connection from being made, and what to do about it. Invariant: the advice is of fixed words, so that nothing
//! secret is in it.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use super::resolve::Unresolved;

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

/// Looks for the obstacle among the causes of an error.
pub(super) fn obstacle(error: &reqwest::Error) -> Obstacle {
    let of_one = |error: &(dyn Error + 'static)| match error {
        error if error.is::<Unresolved>() => Some(Obstacle::Name),
        error if error.is::<rustls::Error>() => Some(Obstacle::Tls),
        _ => None,
    };
    causes(error).find_map(of_one).unwrap_or(Obstacle::Connection)
}

/// What to look at, after `; `; empty where the error says all there is to say.
pub(super) fn advice(error: &(dyn Error + 'static)) -> &'static str {
    causes(error).find_map(of_one).unwrap_or_default()
}

/// An error and what caused it, also where an I/O error holds another one, which it does not count as its cause.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| next(*error))
}

fn next<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(held) => Some(held),
        None => error.source(),
    }
}

fn of_one(error: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return of_tls(error);
    }
    if error.is::<Unresolved>() {
        return Some(
            "; the name of the host is not known: look at the region's id, `endpoint`, `network` and this machine's DNS, or \
             whether a proxy (`api.proxy`, HTTPS_PROXY) is needed",
        );
    }
    // The HTTP client's own errors can be told by their words alone; a test with the program holds these against it.
    let text = error.to_string();
    if text.contains("proxy auth") {
        return Some("; the proxy wants a user and a password, or others: see `api.proxy` or HTTPS_PROXY");
    }
    if text.contains("tunnel") {
        return Some("; the proxy (`api.proxy` or HTTPS_PROXY) is not there, or does not let this through");
    }
    None
}

fn of_tls(error: &rustls::Error) -> Option<&'static str> {
    let rustls::Error::InvalidCertificate(error) = error else {
        return Some("; no TLS with what answers there: is it the service, or plain http, or a proxy?");
    };
    match error {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Some("; the certificate is for another host: look at `endpoint`, and at proxies on the way")
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Some(
            "; the certificate is out of its time: look at this machine's clock, then at the certificate",
        ),
        _ => Some(
            "; who signed the certificate is not trusted: put the certificate authority into the file that `api.ca_file` \
             names, if you trust it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_inside_an_io_error_is_found() {
        let tls = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let error = io::Error::other(io::Error::other(tls));
        assert!(advice(&error).contains("`api.ca_file`"), "{}", advice(&error));
        let tls = rustls::Error::InvalidCertificate(CertificateError::Expired);
        assert!(advice(&io::Error::other(tls)).contains("clock"));
        let tls = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        assert!(advice(&tls).contains("plain http"));
    }

    #[test]
    fn what_says_it_all_gets_no_advice() {
        assert_eq!(advice(&io::Error::from(io::ErrorKind::ConnectionRefused)), "");
    }
}
