//! A server of one's own making on loopback: every connection is asked once and answered from a script.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How the server answers.
pub(super) enum Reply {
    /// Status, extra header lines, body; with its content length.
    Answer(u16, &'static str, Vec<u8>),
    /// The same after a while.
    Slow(Duration, Vec<u8>),
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// The connection is reset without an answer.
    Reset,
    /// These bytes, then nothing for as long as the client stays.
    Stall(&'static [u8]),
}

/// A good answer.
pub(super) fn json(body: &str) -> Reply {
    Reply::Answer(200, "content-type: application/json\r\n", body.into())
}

/// An error as the service writes it.
pub(super) fn error(status: u16, code: &str) -> Reply {
    let body = format!(r#"{{"Code":"{code}","Message":"no","RequestId":"R-1","HostId":"h"}}"#);
    Reply::Answer(status, "content-type: application/json\r\n", body.into())
}

#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) method: String,
    /// Path and query as they came.
    pub(super) target: String,
    /// Names in lower case, in their order.
    pub(super) headers: Vec<(String, String)>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    open: AtomicUsize,
    open_max: AtomicUsize,
}

pub(super) struct Stub {
    pub(super) authority: String,
    state: Arc<State>,
    server: JoinHandle<()>,
}

impl Stub {
    /// `script` gets the number of the request, from 0.
    pub(super) async fn start(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let (state, script) = (Arc::new(State::default()), Arc::new(script));
        let shared = state.clone();
        let server = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(socket, shared.clone(), script.clone()));
            }
        });
        Self { authority, state, server }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// The most requests that were open at a time.
    pub(super) fn open_max(&self) -> usize {
        self.state.open_max.load(Ordering::SeqCst)
    }

    /// Requests that are open now.
    pub(super) fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(mut socket: TcpStream, state: Arc<State>, script: Arc<impl Fn(usize) -> Reply>) {
    let Some(seen) = read_head(&mut socket).await else { return };
    let number = {
        let mut all = state.seen.lock().unwrap();
        all.push(seen);
        all.len() - 1
    };
    let open = state.open.fetch_add(1, Ordering::SeqCst) + 1;
    state.open_max.fetch_max(open, Ordering::SeqCst);
    match script(number) {
        Reply::Answer(status, headers, body) => answer(&mut socket, &state, status, headers, &body).await,
        Reply::Slow(delay, body) => {
            tokio::time::sleep(delay).await;
            answer(&mut socket, &state, 200, "", &body).await;
        }
        Reply::Raw(bytes) => {
            socket.write_all(&bytes).await.unwrap();
            state.open.fetch_sub(1, Ordering::SeqCst);
        }
        Reply::Reset => {
            socket.set_zero_linger().unwrap();
            state.open.fetch_sub(1, Ordering::SeqCst);
        }
        Reply::Stall(bytes) => {
            socket.write_all(bytes).await.unwrap();
            let _ = socket.read(&mut [0]).await;
            state.open.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

async fn answer(socket: &mut TcpStream, state: &State, status: u16, headers: &str, body: &[u8]) {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
    // Before the client can know, so that its next request never meets this one.
    state.open.fetch_sub(1, Ordering::SeqCst);
    let _ = socket.write_all(&[head.as_bytes(), body].concat()).await;
}

async fn read_head(socket: &mut TcpStream) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let header = |line: &str| line.split_once(": ").map(|(n, v)| (n.to_lowercase(), v.to_owned())).unwrap();
    Some(Seen { at: Instant::now(), method, target, headers: lines.map(header).collect() })
}
