//! A client of HTTP/2 that sends bare frames, for what no other client does.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Doors;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;

/// Of SETTINGS and PING.
pub const ACK: u8 = 1;
/// Of DATA and HEADERS.
pub const END_STREAM: u8 = 1;
/// Of HEADERS.
pub const END_HEADERS: u8 = 4;

/// `:status: 200`, as the first field of a head.
pub const STATUS_200: u8 = 0x88;

pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub payload: Vec<u8>,
}

/// A connection, its preface sent.
pub struct Frames(TlsStream<TcpStream>);

impl Frames {
    /// Each of its streams takes so many bytes until it takes more.
    pub async fn open(doors: &Doors, address: SocketAddr, window: u32) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(doors.authority.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut frames = Self(stream);
        let window = [&4_u16.to_be_bytes()[..], &window.to_be_bytes()].concat();
        frames.send(SETTINGS, 0, 0, &window).await.unwrap();
        frames
    }

    /// Sends a frame of that stream; 0 is the connection.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.bytes(&[&head, payload].concat()).await
    }

    /// Sends these bytes, whatever they are.
    pub async fn bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// Asks for a path.
    pub async fn get(&mut self, stream: u32, path: &str) {
        // GET, https, and two literals of fields that are known by number.
        let mut head = vec![0x82, 0x87];
        for (field, value) in [(0x01, "localhost"), (0x04, path)] {
            head.extend([field, u8::try_from(value.len()).unwrap()]);
            head.extend(value.as_bytes());
        }
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &head).await.unwrap();
    }

    /// The next frame, if one comes; what asks for a receipt gets it.
    pub async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        if flags & ACK == 0 && (kind == SETTINGS || kind == PING) {
            let receipt = if kind == PING { payload.as_slice() } else { &[] };
            // Where it is over, the next frame shows it.
            let _ = self.send(kind, ACK, 0, receipt).await;
        }
        Some(Frame { kind, flags, payload })
    }
}
