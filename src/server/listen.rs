//! Where connections come from: addresses, Unix sockets, and what systemd hands over.
//! Invariant: a socket file that somebody still listens on is never taken away.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use rustix::net::sockopt::{set_ipv6_v6only, set_tcp_congestion, socket_acceptconn};
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use crate::config::ListenAddress;

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
    /// It is one of the settings' own, by another name.
    #[error("{address}: the exporter listens there already, by {other}; name each port once with {flag}")]
    Twice {
        /// As configured.
        address: String,
        /// Where it listens.
        other: String,
        /// The flag that sets it.
        flag: &'static str,
    },
    /// Something else listens on that Unix socket.
    #[error("{address}: another process listens there; stop it, or choose another path with {flag}")]
    TakenSocket {
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
    /// The path of a Unix socket holds something else.
    #[error("unix:{}: there is a file that is no socket; remove it, or choose another path", .0.display())]
    NoSocket(PathBuf),
    /// What systemd handed over cannot be listened on.
    #[error(
        "web.systemd_socket: {0}; start the exporter by a .socket unit with ListenStream=, or switch web.systemd_socket off"
    )]
    Systemd(String),
}

/// A socket that connections come from.
#[derive(Debug)]
pub enum Listener {
    /// By IP.
    Tcp(TcpListener),
    /// By a path of this machine.
    Unix(UnixSocket),
}

/// A Unix socket; its file goes with it, if it was made here.
#[derive(Debug)]
pub struct UnixSocket {
    pub(super) listener: UnixListener,
    made: Option<(PathBuf, FileId)>,
}

/// Which file it is, whatever its path: device and inode.
type FileId = (u64, u64);

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let Some((path, made)) = &self.made else { return };
        // Somebody else may have put a socket of his own there meanwhile.
        if file_id(path).is_ok_and(|found| found == *made) {
            // Gone already: somebody else has tidied up.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn file_id(path: &Path) -> io::Result<FileId> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Listener {
    /// The address, where it is by IP.
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "{address}"),
                Err(_) => f.write_str("(unknown)"),
            },
            Self::Unix(socket) => {
                let address = socket.listener.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                write!(f, "unix:{}", path.unwrap_or(Path::new("(unnamed)")).display())
            }
        }
    }
}

/// Listens on each of these; `flag` is named in errors.
///
/// # Errors
/// Where one of them is taken or cannot be used; none is listened on then.
pub async fn bind_all(addresses: &[ListenAddress], flag: &'static str) -> Result<Vec<Listener>, BindError> {
    let mut listeners = Vec::new();
    for address in addresses {
        listeners.push(match address {
            ListenAddress::Tcp(address) => match bind(address, flag).await {
                Ok(listener) => Listener::Tcp(listener),
                Err(error) => return Err(twice(error, &listeners)),
            },
            ListenAddress::Unix(path) => Listener::Unix(bind_unix(path, flag).await?),
        });
    }
    Ok(listeners)
}

/// Tells a port that is taken by one of these from one that somebody else has.
fn twice(error: BindError, listeners: &[Listener]) -> BindError {
    let BindError::Taken { address, flag } = error else { return error };
    let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
    let is_it = |listener: &&Listener| listener.socket_address().map(|own| own.port()) == port;
    match listeners.iter().find(is_it).filter(|_| port.is_some()) {
        Some(other) => BindError::Twice { address, other: other.to_string(), flag },
        None => BindError::Taken { address, flag },
    }
}

/// The sockets that systemd, or whoever stands in for it, hands over by `LISTEN_FDS` and `LISTEN_PID`.
pub struct Handed(ListenFd);

impl Handed {
    /// Takes them, and the variables that tell of them: to be called before any thread is started.
    pub fn take() -> Self {
        Self(ListenFd::from_env())
    }

    /// None, whatever the environment says.
    pub fn none() -> Self {
        Self(ListenFd::empty())
    }

    /// Listens on all of them.
    ///
    /// # Errors
    /// Where there are none, or one is no stream socket that listens.
    pub fn listen(mut self) -> Result<Vec<Listener>, BindError> {
        match self.0.len() {
            0 => Err(BindError::Systemd("no socket was handed over".to_owned())),
            count => (0..count).map(|index| self.one(index)).collect(),
        }
    }

    fn one(&mut self, index: usize) -> Result<Listener, BindError> {
        let failed = |error: io::Error| BindError::Systemd(format!("socket {}: {error}", index + 1));
        let none = || io::Error::other("it is no stream socket");
        let listens = |socket: &dyn AsFd| match socket_acceptconn(socket.as_fd()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(failed(io::Error::other("it does not listen; Accept=yes does not go with it"))),
            Err(error) => Err(failed(error.into())),
        };
        if let Ok(Some(listener)) = self.0.take_tcp_listener(index) {
            listens(&listener)?;
            listener.set_nonblocking(true).map_err(failed)?;
            return Ok(Listener::Tcp(TcpListener::from_std(listener).map_err(failed)?));
        }
        let listener = self.0.take_unix_listener(index).ok().flatten().ok_or_else(none).map_err(failed)?;
        listens(&listener)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        Ok(Listener::Unix(UnixSocket { listener, made: None }))
    }
}

/// Listens on a path. A socket file that nobody listens on any more is what a crash left behind, and is replaced.
async fn bind_unix(path: &Path, flag: &'static str) -> Result<UnixSocket, BindError> {
    let address = format!("unix:{}", path.display());
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(BindError::NoSocket(path.to_owned())),
        Ok(_) => match tokio::net::UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                // Where it cannot be removed, listening fails and says why.
                let _ = std::fs::remove_file(path);
            }
            _ => return Err(BindError::TakenSocket { address, flag }),
        },
        Err(_) => {}
    }
    match UnixListener::bind(path) {
        Ok(listener) => {
            let made = file_id(path).ok().map(|made| (path.to_owned(), made));
            Ok(UnixSocket { listener, made })
        }
        Err(source) => Err(BindError::Unusable { address, flag, source }),
    }
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
        let bound = match candidate.parse() {
            Ok(SocketAddr::V6(any)) if any.ip().is_unspecified() => bind_both(any.into()),
            _ => TcpListener::bind(candidate).await,
        };
        match bound {
            Ok(listener) => {
                leave_unpaced(&listener);
                return Ok(listener);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(BindError::Taken { address: address.to_owned(), flag });
            }
            Err(error) => failure = error,
        }
    }
    Err(BindError::Unusable { address: address.to_owned(), flag, source: failure })
}

/// Connections that stay on this machine have nothing to congest. Where BBR is the system's choice, it has them wait for a timer
/// with every segment, which is up to half of what a scrape costs. Reno is in every kernel, and open to everybody.
fn leave_unpaced(listener: &TcpListener) {
    if listener.local_addr().is_ok_and(|address| address.ip().is_loopback()) {
        // Without it, all goes on, only slower.
        let _ = set_tcp_congestion(listener, "reno");
    }
}

/// Listens on all addresses of both families, whatever the system makes of IPv6 by itself.
fn bind_both(any: SocketAddr) -> io::Result<TcpListener> {
    /// Connections that wait to be accepted, as tokio has it.
    const BACKLOG: u32 = 1_024;
    let socket = TcpSocket::new_v6()?;
    set_ipv6_v6only(&socket, false)?;
    socket.set_reuseaddr(true)?;
    socket.bind(any)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

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
    }

    #[tokio::test]
    async fn only_what_stays_on_this_machine_is_left_unpaced() {
        use rustix::net::sockopt::tcp_congestion;
        let usual = tcp_congestion(TcpSocket::new_v4().unwrap()).unwrap();
        for (address, expected) in [("127.0.0.1:0", "reno"), ("127.0.0.2:0", "reno"), ("0.0.0.0:0", &usual)] {
            let listener = bind(address, "--web.listen-address").await.unwrap();
            let to = listener.local_addr().unwrap();
            let client = TcpStream::connect(to).await.unwrap();
            let (accepted, _) = listener.accept().await.unwrap();
            assert_eq!(tcp_congestion(&accepted).unwrap(), expected, "{address}");
            assert_eq!(tcp_congestion(&client).unwrap(), usual);
        }
    }

    #[tokio::test]
    async fn a_port_without_a_host_is_both_families_and_listened_on_once() {
        const FLAG: &str = "--web.listen-address";
        for any in [":0", "[::]:0"] {
            let listener = bind(any, FLAG).await.unwrap();
            assert_eq!(rustix::net::sockopt::ipv6_v6only(&listener), Ok(false), "{any}");
            let port = listener.local_addr().unwrap().port();
            let accepted = tokio::spawn(async move { listener.accept().await.unwrap() });
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            accepted.await.unwrap();
        }
        let free = bind(":0", FLAG).await.unwrap().local_addr().unwrap().port();
        let addresses = [format!("127.0.0.1:{free}"), format!(":{free}")];
        let twice = bind_all(&addresses.map(ListenAddress::Tcp), FLAG).await.unwrap_err();
        assert_eq!(
            twice.to_string(),
            format!(
                ":{free}: the exporter listens there already, by 127.0.0.1:{free}; name each port once with {FLAG}"
            )
        );
    }

    #[tokio::test]
    async fn a_socket_file_of_somebody_else_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let address = [ListenAddress::Unix(path.clone())];
        let first = bind_all(&address, "--web.listen-address").await.unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = bind_all(&address, "--web.listen-address").await.unwrap();
        drop(first);
        tokio::net::UnixStream::connect(&path).await.unwrap();
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_file_is_replaced_only_if_nobody_listens_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let address = [ListenAddress::Unix(path.clone())];
        let listeners = bind_all(&address, "--web.listen-address").await.unwrap();
        assert_eq!(listeners[0].to_string(), format!("unix:{}", path.display()));
        let taken = bind_all(&address, "--web.listen-address").await.unwrap_err();
        assert_eq!(
            taken.to_string(),
            format!(
                "unix:{}: another process listens there; stop it, or choose another path with --web.listen-address",
                path.display()
            )
        );
        drop(listeners);
        assert!(!path.exists());
        // What a crash leaves behind.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(bind_all(&address, "--web.listen-address").await.unwrap());
        std::fs::write(&path, "precious").unwrap();
        let refused = bind_all(&address, "--web.listen-address").await.unwrap_err();
        assert!(matches!(refused, BindError::NoSocket(_)), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
