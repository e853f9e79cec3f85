//! The address to listen on.

use std::io;

use tokio::net::TcpListener;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Something else is there.
    #[error("{address}: the port is taken; stop what listens there, or choose another address with {flag}")]
    Taken {
        /// As configured.
        address: String,
        /// The flag that sets it.
        flag: &'static str,
    },
    /// It is not an address of this machine, not to be resolved, or not permitted.
    #[error("{address}: {source}; choose an address of this machine with {flag}")]
    Unusable {
        /// As configured.
        address: String,
        /// The flag that sets it.
        flag: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// Listens on `host:port`; an empty host means all addresses. `flag` is named in errors.
///
/// # Errors
/// Where the port is taken, or the address cannot be used.
pub async fn bind(address: &str, flag: &'static str) -> Result<TcpListener, BindError> {
    let candidates = match address.strip_prefix(':') {
        // A dual-stack socket where the machine has IPv6, else IPv4.
        Some(port) => vec![format!("[::]:{port}"), format!("0.0.0.0:{port}")],
        None => vec![address.to_owned()],
    };
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for candidate in &candidates {
        match TcpListener::bind(candidate).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(BindError::Taken { address: address.to_owned(), flag });
            }
            Err(error) => failure = error,
        }
    }
    Err(BindError::Unusable { address: address.to_owned(), flag, source: failure })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_and_a_foreign_address_are_told_apart() {
        let first = bind("127.0.0.1:0", "--web.listen-address").await.unwrap();
        let address = first.local_addr().unwrap().to_string();
        let taken = bind(&address, "--web.listen-address").await.unwrap_err();
        assert_eq!(
            taken.to_string(),
            format!(
                "{address}: the port is taken; stop what listens there, or choose another address with \
                 --web.listen-address"
            )
        );
        let foreign = bind("192.0.2.1:80", "--web.listen-address").await.unwrap_err();
        assert!(matches!(foreign, BindError::Unusable { .. }), "{foreign}");
        bind(":0", "--web.listen-address").await.unwrap();
    }
}
