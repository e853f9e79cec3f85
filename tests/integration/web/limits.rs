//! What the server cuts, each with what counts it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::{Doors, TLS, cuts, scrape};
use crate::harness::{Daemon, Lab, http_get, wait_for, world};

pub fn connect(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(daemon.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    stream
}

/// What comes until the server closes the connection; nothing, too, where it resets it.
fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends this, and gives all that comes.
pub fn exchange(daemon: &Daemon, request: &str) -> String {
    let mut stream = connect(daemon);
    // It may be closed before it has taken all.
    let _ = stream.write_all(request.as_bytes());
    rest(stream)
}

#[track_caller]
pub fn until_cut(daemon: &Daemon, reason: &str, count: f64) {
    daemon.until(reason, |page| match cuts(page, reason) {
        found if found == count => Ok(()),
        found => Err(found.to_string()),
    });
}

#[test]
fn bodies_are_refused_unread() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    for (method, head) in [
        ("POST", "Content-Length: 1000000000000"),
        ("GET", "Content-Length: 5"),
        ("GET", "Transfer-Encoding: chunked"),
        ("PUT", "Content-Length: 3\r\nExpect: 100-continue"),
    ] {
        // Nothing of the body is sent: an answer shows that none was awaited.
        let answer = exchange(&daemon, &format!("{method} /metrics HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 413 "), "{head}: {answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    until_cut(&daemon, "body", 4.0);
    let answer = exchange(
        &daemon,
        "GET /-/healthy HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    daemon.stop();
}

#[test]
fn large_heads_and_long_paths_are_refused() {
    let lab = Lab::new(world());
    let daemon = lab.settings().set("web.head_bytes_max", "8KiB").set("web.uri_bytes_max", "1000").start();
    let get = |path: &str, header: usize| {
        let header = "x".repeat(header);
        exchange(
            &daemon,
            &format!("GET {path} HTTP/1.1\r\nHost: x\r\nX: {header}\r\nConnection: close\r\n\r\n"),
        )
    };
    let path = |length: usize| format!("/metrics?{}", "x".repeat(length - "/metrics?".len()));
    assert!(get(&path(1_000), 0).starts_with("HTTP/1.1 200 "));
    let answer = get(&path(1_001), 0);
    assert!(answer.starts_with("HTTP/1.1 414 ") && answer.contains("web.uri_bytes_max"), "{answer}");
    until_cut(&daemon, "long_uri", 1.0);
    assert!(get("/metrics", 7_000).starts_with("HTTP/1.1 200 "));
    let answer = get("/metrics", 9_000);
    assert!(answer.starts_with("HTTP/1.1 431 ") || answer.is_empty(), "{answer}");
    until_cut(&daemon, "large_head", 1.0);
    daemon.stop();
}

#[test]
fn what_is_no_request_is_counted() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    for malformed in
        ["\0\0\0\0\r\n\r\n", "GET /metrics HTTP/1.1\r\nno header\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"]
    {
        let answer = exchange(&daemon, malformed);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{malformed:?}: {answer}");
    }
    until_cut(&daemon, "malformed", 3.0);
    // Who goes away in the middle has sent nothing wrong.
    let mut half = connect(&daemon);
    half.write_all(b"GET /metrics HTT").unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(half), "");
    assert_eq!(cuts(&daemon.scrape(), "malformed"), 3.0);
    daemon.stop();
}

#[test]
fn slow_heads_silence_and_too_many_connections_are_cut() {
    let lab = Lab::new(world());
    let settings = lab.settings().set("web.head_timeout", "200ms").set("web.idle_timeout", "3s");
    let daemon = settings.set("web.max_connections", "4").start();
    let mut slow = connect(&daemon);
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHos").unwrap();
    assert_eq!(rest(slow), "");
    until_cut(&daemon, "slow_head", 1.0);

    // One that begins behind another one.
    let mut slow = connect(&daemon);
    slow.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\nGET /met").unwrap();
    assert!(rest(slow).ends_with("healthy\n"));
    until_cut(&daemon, "slow_head", 2.0);

    // A silent one from the start, and one after a request, which is no slow head.
    let silent = connect(&daemon);
    let mut kept = connect(&daemon);
    kept.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(rest(silent), "");
    until_cut(&daemon, "idle", 1.0);
    kept.write_all(b"\r\n").unwrap();
    assert!(rest(kept).ends_with("healthy\n"));
    until_cut(&daemon, "idle", 2.0);
    assert_eq!(cuts(&daemon.scrape(), "slow_head"), 2.0);

    let mut open: Vec<TcpStream> = (0..4).map(|_| connect(&daemon)).collect();
    for stream in &mut open {
        // That it is answered shows that it was accepted.
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert!(stream.read(&mut [0; 16]).unwrap() > 0);
    }
    assert!(http_get(daemon.address, "/-/healthy").is_err());
    drop(open);
    let page =
        wait_for("a free place", || http_get(daemon.address, "/metrics").map_err(|error| error.to_string()));
    assert!(cuts(&crate::harness::Page::parse(page.1), "too_many_connections") >= 1.0);
    daemon.stop();
}

/// Asks for more than the buffers of the system hold, and reads none of it.
pub fn ask_for_much(stream: &mut TcpStream) {
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.set_nonblocking(true).unwrap();
    let mut stuck = 0;
    for _ in 0..2_000 {
        match stream.write_all(request) {
            Ok(()) => stuck = 0,
            // The requests, too, fill their buffers.
            Err(_) if stuck > 20 => break,
            Err(_) => {
                stuck += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
    stream.set_nonblocking(false).unwrap();
}

#[test]
fn slow_readers_are_cut_and_disturb_nobody() {
    let lab = Lab::new(world());
    let daemon = lab.settings().set("web.write_timeout", "1s").start();
    lab.settle(&daemon);
    let mut slow = connect(&daemon);
    ask_for_much(&mut slow);
    until_cut(&daemon, "slow_reader", 1.0);
    assert_eq!(cuts(&daemon.scrape(), "idle"), 0.0);
    daemon.stop();
}

#[test]
fn a_handshake_that_does_not_come_is_cut() {
    let doors = Doors::new();
    let daemon = doors.settings(TLS).set("web.head_timeout", "2s").start();
    assert_eq!(rest(connect(&daemon)), "");
    wait_for("the count", || match cuts(&scrape(doors.client(), &daemon), "handshake") {
        1.0 => Ok(()),
        count => Err(count.to_string()),
    });
    daemon.stop();
}
