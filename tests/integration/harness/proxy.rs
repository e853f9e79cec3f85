//! A proxy for CONNECT, which leads to one address whatever the name that is asked for.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The user that the proxy knows.
const USER: &str = "proxy-user";

/// See the module.
pub struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    let_through: Vec<String>,
    refused: usize,
}

impl Proxy {
    /// Starts a proxy that wants this password.
    pub fn start(password: &str, to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let (seen, authorization) = (Arc::clone(&proxy.seen), authorization(password));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, authorization) = (Arc::clone(&seen), authorization.clone());
                // It ends with its connection, which the exporter's end closes.
                thread::spawn(move || serve(&stream, to, &authorization, &seen));
            }
        });
        proxy
    }

    /// Its URL, with a password for its user.
    pub fn url(&self, password: &str) -> String {
        format!("http://{USER}:{password}@{}", self.address)
    }

    /// What was asked for and let through, `host:port`, in order.
    pub fn let_through(&self) -> Vec<String> {
        self.seen.lock().unwrap().let_through.clone()
    }

    /// How many were refused for their password.
    pub fn refused(&self) -> usize {
        self.seen.lock().unwrap().refused
    }
}

/// What the header says for a password.
pub fn authorization(password: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"))
}

fn serve(client: &TcpStream, to: SocketAddr, authorization: &str, seen: &Mutex<Seen>) -> io::Result<()> {
    let mut lines = Vec::new();
    let mut reader = BufReader::new(client.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let mut answer = client.try_clone()?;
    let expected = format!("Basic {authorization}");
    let is_known = lines
        .iter()
        .filter_map(|line| line.split_once(": "))
        .any(|(name, value)| name.eq_ignore_ascii_case("proxy-authorization") && value == expected);
    if !is_known {
        seen.lock().unwrap().refused += 1;
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";
        return answer.write_all(refusal);
    }
    let target = lines.first().and_then(|line| line.strip_prefix("CONNECT ")?.split(' ').next());
    let Some(target) = target else { return Ok(()) };
    let server = TcpStream::connect(to)?;
    seen.lock().unwrap().let_through.push(target.to_owned());
    answer.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut back, mut from_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let copied = io::copy(&mut reader, &mut &server);
    let _ = server.shutdown(Shutdown::Both);
    copied.map(drop)
}
