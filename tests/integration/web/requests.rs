//! What clients do that is allowed, if rare, and what every answer has.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use emr_serverless_spark_exporter::sim::WorldConfig;

use super::limits::{connect, exchange, until_cut};
use super::{Doors, TLS, cuts, hash, scrape};
use crate::harness::{Lab, Settings, wait_for, world};

/// The body of an answer that came to its end.
#[track_caller]
fn whole_body(answer: &str) -> &str {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert_eq!(body.len(), length.parse::<usize>().unwrap(), "the answer was cut");
    body
}

#[test]
fn who_says_that_no_request_follows_gets_the_whole_answer() {
    // More than the buffers of a Unix socket hold.
    let lab = Lab::new(WorldConfig { session_clusters: 600, ..world() });
    let socket = lab.directory.path().join("s");
    let mut command = lab.settings().command();
    for address in ["127.0.0.1:0", &format!("unix:{}", socket.display())] {
        command.args(["--web.listen-address", address]);
    }
    let daemon = Settings::start_as(command);
    daemon.until("a large page", |page| match page.text.len() {
        500_000.. => Ok(()),
        bytes => Err(format!("{bytes} bytes")),
    });
    for _ in 0..3 {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // So that the server has seen the end before the answer is taken.
        std::thread::sleep(Duration::from_millis(200));
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = whole_body(&answer);
        assert!(body.len() > 500_000, "{}", body.len());
    }
    daemon.stop();
}

#[test]
fn an_answer_that_waits_for_its_reader_stays_as_it_was() {
    // As much as the buffers of a socket hold: nothing but the kernel holds on to the page.
    let lab = Lab::new(WorldConfig { session_clusters: 400, ..world() });
    // So that no machine is so slow that the readers are cut.
    let daemon = lab.settings().set("web.write_timeout", "10m").start();
    daemon.until("the whole page", |page| match page.text.len() {
        1_500_000..2_000_000 => Ok(()),
        bytes => Err(format!("{bytes} bytes")),
    });
    let ask = |_| {
        let mut stream = connect(&daemon);
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        stream.peek(&mut [0]).unwrap();
        stream
    };
    let watched = |mut stream: TcpStream| {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = whole_body(&answer);
        let lines = body.lines().filter(|line| line.contains("emr_serverless_spark_"));
        lines.filter(|line| !line.contains("spark_exporter_")).map(str::to_owned).collect::<Vec<_>>()
    };
    let [at_once, late @ ..]: [TcpStream; 6] = [0; 6].map(ask);
    let expected = watched(at_once);
    for _ in 0..5 {
        lab.advance(Duration::from_secs(60));
        daemon.sweeps("session_clusters", 1.0);
    }
    assert!(watched(ask(0)) != expected, "what is written meanwhile would not show");
    for stream in late {
        assert!(watched(stream) == expected);
    }
    daemon.stop();
}

#[test]
fn a_request_by_http11_has_one_host() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    for hosts in ["", "Host: a\r\nHost: a\r\n"] {
        let answer = exchange(&daemon, &format!("GET /-/healthy HTTP/1.1\r\n{hosts}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("one Host"), "{answer}");
    }
    until_cut(&daemon, "malformed", 2.0);
    assert!(exchange(&daemon, "GET /-/healthy HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200 "));
    daemon.stop();
}

#[test]
fn every_answer_tells_browsers_to_do_nothing_with_it() {
    let doors = Doors::new();
    let users = format!("basic_auth_users: {{a: \"{}\"}}\n", hash("b", 4));
    let framed = "http_server_config: {headers: {X-Frame-Options: sameorigin}}\n";
    let daemon = doors.settings(&format!("{users}{framed}")).set("web.uri_bytes_max", "256B").start();
    let ask = |request: &str, more: &str| {
        let answer =
            exchange(&daemon, &format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n"));
        let (head, _) = answer.split_once("\r\n\r\n").unwrap();
        head.to_lowercase()
    };
    let known = "Authorization: Basic YTpi\r\n";
    let long = format!("GET /{}", "x".repeat(300));
    for (request, more, status) in [
        ("GET /metrics", known, 200),
        ("GET /", known, 200),
        ("GET /-/healthy", known, 200),
        ("GET /favicon.ico", known, 200),
        ("GET /api/v1/series", known, 400),
        ("GET /nowhere", known, 404),
        ("POST /metrics", known, 405),
        ("GET /metrics", "Content-Length: 5\r\n", 413),
        (&long, known, 414),
        ("GET /metrics", "", 401),
    ] {
        let head = ask(request, more);
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{request}: {head}");
        for header in [
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "content-security-policy: default-src 'none'; ",
            "x-frame-options: sameorigin",
        ] {
            assert_eq!(head.matches(header).count(), 1, "{request}: {header} in {head}");
        }
    }
    daemon.stop();
}

#[test]
fn a_body_of_no_bytes_is_none_by_http2_either() {
    let doors = Doors::new();
    let daemon = doors.settings(TLS).start();
    let url = format!("https://localhost:{}/-/reload", daemon.address.port());
    let ca = doors.path("ca.crt");
    for protocol in ["--http2", "--http1.1"] {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--data", "", protocol, "--cacert"]).arg(&ca);
        curl.args(["--connect-to", &format!("::127.0.0.1:{}", daemon.address.port())]);
        curl.args(["--write-out", "%{http_code} %{http_version}"]).arg(&url);
        let output = curl.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let version = if protocol == "--http2" { "2" } else { "1.1" };
        // It is asked for what the settings do not allow.
        assert!(said.ends_with(&format!("403 {version}")), "{said} {output:?}");
    }
    daemon.stop();
}

#[test]
fn whoever_only_looks_at_a_port_with_tls_is_not_counted_and_plain_http_is_told() {
    let doors = Doors::new();
    let daemon = doors.settings(TLS).start();
    for _ in 0..3 {
        drop(connect(&daemon));
    }
    for _ in 0..2 {
        let mut plain: TcpStream = connect(&daemon);
        plain.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        // To its orderly end, with no reset.
        plain.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 400 ") && answer.contains("ask with https://"), "{answer}");
    }
    wait_for("the count", || match cuts(&scrape(doors.client(), &daemon), "handshake") {
        2.0 => Ok(()),
        count => Err(count.to_string()),
    });
    daemon.stop();
}
