//! The HTTP server's doors: TLS, passwords, limits, sockets, start and end.

mod config_files;
mod descriptors;
mod frames;
mod healthcheck;
mod http2;
mod lifecycle;
mod limits;
mod passwords;
mod reading_again;
mod requests;
mod sockets;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;

use reqwest::{Certificate, Client, ClientBuilder, Response, StatusCode};

use crate::harness::{Authority, Daemon, Lab, Page, Settings, metric, world};

/// Passes as the password of the hash that `bcrypt` makes of it at this cost.
fn hash(password: &str, cost: u32) -> String {
    bcrypt::hash(password, cost).unwrap()
}

/// A world, an authority, and a directory with a web configuration file.
struct Doors {
    lab: Lab,
    authority: Authority,
}

impl Doors {
    fn new() -> Self {
        let doors = Self { lab: Lab::new(world()), authority: Authority::new("house") };
        doors.authority.identity(&["localhost"]).write(doors.lab.directory.path(), "server");
        std::fs::write(doors.path("ca.crt"), doors.authority.pem()).unwrap();
        doors
    }

    fn path(&self, name: &str) -> PathBuf {
        self.lab.directory.path().join(name)
    }

    fn write(&self, yaml: &str) {
        std::fs::write(self.path("web.yml"), yaml).unwrap();
    }

    /// Settings with this web configuration.
    fn settings(&self, yaml: &str) -> Settings {
        self.write(yaml);
        self.lab.settings().set("web.config_file", &self.path("web.yml").display().to_string())
    }

    /// A client that trusts the authority.
    fn client(&self) -> ClientBuilder {
        let root = Certificate::from_pem(self.authority.pem().as_bytes()).unwrap();
        Client::builder().tls_certs_only([root]).no_proxy()
    }
}

const TLS: &str = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n";

/// Runs a future to its end.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Asks by TLS.
async fn ask(client: ClientBuilder, address: SocketAddr, path: &str) -> reqwest::Result<Response> {
    let url = format!("https://localhost:{}{path}", address.port());
    client.resolve("localhost", address).build().unwrap().get(url).send().await
}

/// The metrics page, by TLS.
fn scrape(client: ClientBuilder, daemon: &Daemon) -> Page {
    block_on(async {
        let answer = ask(client, daemon.address, "/metrics").await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        Page::parse(answer.text().await.unwrap())
    })
}

/// How much was refused or cut for this reason.
fn cuts(page: &Page, reason: &str) -> f64 {
    metric("exporter_http_rejections_total").label("reason", reason).sum_in(page)
}
