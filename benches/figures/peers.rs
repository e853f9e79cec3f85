//! Who else serves the same page: nginx with files, client_golang and the `prometheus` crate that encode at each scrape,
//! and hyper with finished bytes. Each is a process of its own on loopback.

use std::convert::Infallible;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Encoder, GaugeVec, Opts, Registry, TextEncoder};
use serde_json::Value;

use crate::process::{Running, free_address};
use crate::{Outcome, children};

/// What nginx calls the page.
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// What it calls the page as Prometheus asks for it.
pub const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A server that was started.
pub struct Peer {
    /// `host:port`
    pub address: String,
    process: Running,
    /// Has children of its own, which end only if it is asked to end.
    is_asked_to_end: bool,
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.is_asked_to_end {
            let _ = Command::new("kill").args(["-s", "TERM", &self.pid().to_string()]).status();
            let _ = self.process.0.wait();
        }
    }
}

impl Peer {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// One that prints its address when it listens.
    fn announced(mut child: Child) -> Outcome<Self> {
        let pipe = child.stdout.take().ok_or("no pipe")?;
        let process = Running(child);
        let mut address = String::new();
        BufReader::new(pipe).read_line(&mut address)?;
        if address.is_empty() {
            return Err("a peer did not start".into());
        }
        Ok(Self { address: address.trim().to_owned(), process, is_asked_to_end: false })
    }

    /// A role of [`children`] that serves.
    pub fn child(role: &str, arguments: &[&str]) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([children::FLAG, role]).args(arguments).stdout(Stdio::piped());
        Self::announced(command.spawn()?)
    }

    /// nginx with the files `metrics` and `metrics.gz` of a directory, called `content_type`.
    pub fn nginx(directory: &Path, content_type: &str) -> Outcome<Self> {
        let address = free_address()?;
        let root = directory.display();
        let config = directory.join("nginx.conf");
        fs::write(
            &config,
            format!(
                "user root; daemon off; worker_processes auto; pid {root}/nginx.pid; error_log stderr crit;\n\
                 events {{ worker_connections 1024; }}\n\
                 http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n\
                 client_body_temp_path {root}/t; proxy_temp_path {root}/t; fastcgi_temp_path {root}/t;\n\
                 uwsgi_temp_path {root}/t; scgi_temp_path {root}/t; default_type \"{content_type}\";\n\
                 server {{ listen {address}; root {root}; gzip_static on; }} }}\n"
            ),
        )?;
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-p").arg(directory).arg("-c").arg(&config);
        let child = command.spawn().map_err(|error| format!("nginx: {error}; run scripts/bench-tools.sh"))?;
        let process = Running(child);
        while std::net::TcpStream::connect(&address).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Ok(Self { address, process, is_asked_to_end: true })
    }

    /// client_golang as Debian has it, with the families of a page; `None` where Debian's packages are not installed.
    pub fn client_golang(page: &Path, directory: &Path) -> Outcome<Option<Self>> {
        const GO: &str = "/usr/lib/go/bin/go";
        const SOURCES: &str = "/usr/share/gocode";
        if !Path::new(GO).exists()
            || !Path::new(SOURCES).join("src/github.com/prometheus/client_golang").exists()
        {
            return Ok(None);
        }
        let program = directory.join("client_golang");
        let built = Command::new(GO)
            .args(["build", "-o"])
            .arg(&program)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/client_golang/main.go"))
            .envs([("GO111MODULE", "off"), ("GOPATH", SOURCES), ("GOFLAGS", ""), ("GOROOT", "/usr/lib/go")])
            .env("GOCACHE", directory.join("go"))
            .status()?;
        if !built.success() {
            return Err("client_golang's program was not built".into());
        }
        Self::announced(Command::new(program).arg(page).stdout(Stdio::piped()).spawn()?).map(Some)
    }
}

/// What a server answers: compressed or not.
type Body = Arc<dyn Fn(bool) -> Bytes + Send + Sync>;

/// The child that hands out finished bytes, and nothing else.
pub fn finished_bytes(plain: &str, gzip: &str) -> Outcome<Value> {
    let (plain, gzip) = (Bytes::from(fs::read(plain)?), Bytes::from(fs::read(gzip)?));
    let body: Body = Arc::new(move |compressed| if compressed { gzip.clone() } else { plain.clone() });
    serve(&body)
}

/// The child that encodes a page's gauges with the `prometheus` crate at each scrape.
pub fn text_encoder(page: &str) -> Outcome<Value> {
    let registry = Registry::new();
    let mut vectors: std::collections::HashMap<String, GaugeVec> = std::collections::HashMap::new();
    for line in fs::read_to_string(page)?.lines().filter(|line| !line.starts_with('#')) {
        // Texts with a blank or a quote in them are not in the bench's world.
        let (series, value) = line.rsplit_once(' ').ok_or("no value")?;
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let pairs: Vec<(&str, &str)> =
            labels.trim_end_matches('}').split("\",").filter_map(|pair| pair.split_once("=\"")).collect();
        let names: Vec<&str> = pairs.iter().map(|(name, _)| *name).collect();
        if !vectors.contains_key(name) {
            let vector = GaugeVec::new(Opts::new(name, "A family of the bench."), &names)?;
            registry.register(Box::new(vector.clone()))?;
            vectors.insert(name.to_owned(), vector);
        }
        let values: Vec<&str> = pairs.iter().map(|(_, value)| value.trim_end_matches('"')).collect();
        vectors[name].with_label_values(&values).set(value.parse()?);
    }
    let body: Body = Arc::new(move |compressed| {
        let mut page = Vec::new();
        let _ = TextEncoder::new().encode(&registry.gather(), &mut page);
        let page = Bytes::from(page);
        if compressed { gzip(&page) } else { page }
    });
    serve(&body)
}

fn gzip(page: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let _ = encoder.write_all(page);
    encoder.finish().unwrap_or_default().into()
}

fn serve(body: &Body) -> Outcome<Value> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            let body = Arc::clone(body);
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let gzip = request.headers().get("accept-encoding").is_some_and(|value| value == "gzip");
                let answer = Response::new(Full::new(body(gzip)));
                async move { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    })
}
