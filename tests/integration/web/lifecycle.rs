//! From the start to the end: readiness, answers under way, and what systemd is told.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::frames::{DATA, END_STREAM, Frames, GOAWAY, HEADERS, RST_STREAM, STATUS_200, WINDOW_UPDATE};
use super::limits::ask_for_much;
use super::{Doors, TLS, block_on, cuts};
use emr_serverless_spark_exporter::sim::WorldConfig;

use crate::harness::{Lab, http_get, metric, run, wait_for, world};

/// The answers in a stream, each with its length stated: whole ones, and the bytes of one that is not.
fn answers(mut bytes: &[u8]) -> (usize, usize) {
    let mut whole = 0;
    while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let length = end + 4 + length.unwrap();
        if bytes.len() < length {
            break;
        }
        whole += 1;
        bytes = &bytes[length..];
    }
    (whole, bytes.len())
}

#[test]
fn a_drain_turns_readiness_first_lets_answers_end_and_takes_no_more() {
    // Some megabytes more than the buffers of the system hold.
    let lab = Lab::new(WorldConfig { session_clusters: 4_000, ..world() });
    let settings = lab.settings().set("collectors.session_clusters.page_size", "100");
    let daemon = settings.set("web.drain_delay", "2s").set("web.drain_timeout", "1m").start();
    lab.settle(&daemon);
    wait_for("readiness", || match daemon.get("/-/ready") {
        (200, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let mut slow = TcpStream::connect(daemon.address).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(slow.peek(&mut [0]).unwrap() > 0, "it has begun");
    daemon.signal("TERM");
    // It still answers, and says that it is about to end.
    wait_for("readiness to turn", || match daemon.get("/-/ready") {
        (503, text) if text.contains("about to end") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(daemon.get("/metrics").0, 200);
    wait_for("new connections to be refused", || match http_get(daemon.address, "/-/healthy") {
        Err(_) => Ok(()),
        Ok(answer) => Err(format!("{answer:?}")),
    });
    // The scrape that is under way comes to its end, whole.
    let mut bytes = Vec::new();
    slow.read_to_end(&mut bytes).unwrap();
    let (whole, cut) = answers(&bytes);
    assert_eq!((whole, cut), (1, 0));
    assert!(bytes.len() > 8_000_000, "{}", bytes.len());
    let ended = daemon.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(!ended.log.contains("drain_timeout"), "{}", ended.log);
}

#[test]
fn a_drain_by_http2_says_goodbye_and_lets_the_answer_end() {
    let doors = Doors::new();
    let daemon = doors.settings(TLS).set("web.drain_timeout", "5m").start();
    block_on(async {
        // An answer of which nothing more is taken before the goodbye.
        let mut frames = Frames::open(&doors, daemon.address, 1_000).await;
        frames.get(1, "/metrics").await;
        let (mut page, mut is_told, mut has_ended) = (Vec::new(), false, false);
        while let Some(frame) = frames.next().await {
            match frame.kind {
                HEADERS => assert_eq!(frame.payload[0], STATUS_200),
                DATA => {
                    if page.is_empty() {
                        daemon.signal("TERM");
                    }
                    page.extend(frame.payload);
                    has_ended = frame.flags & END_STREAM != 0;
                }
                GOAWAY if !is_told => {
                    is_told = true;
                    assert!(!has_ended && page.len() <= 1_000, "{} bytes", page.len());
                    // No error.
                    assert_eq!(frame.payload[4..8], [0; 4]);
                    for stream in [0, 1] {
                        frames.send(WINDOW_UPDATE, 0, stream, &100_000_000_u32.to_be_bytes()).await.unwrap();
                    }
                }
                RST_STREAM => panic!("the answer was cut after {} bytes", page.len()),
                _ => {}
            }
        }
        assert!(is_told && has_ended);
        let page = String::from_utf8(page).unwrap();
        assert!(page.len() > 1_000 && page.contains("process_start_time_seconds ") && page.ends_with('\n'));
    });
    let ended = daemon.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(!ended.log.contains("drain_timeout"), "{}", ended.log);
}

#[test]
fn connections_outlive_settings_that_are_read_again() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    let loaded = metric("exporter_config_last_reload_success_timestamp_seconds");
    let start = loaded.value_in(&daemon.scrape()).unwrap();
    let mut kept = TcpStream::connect(daemon.address).unwrap();
    let mut ask = || {
        kept.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nhealthy\n") {
            let mut part = [0; 1_024];
            let length = kept.read(&mut part).unwrap();
            assert!(length > 0, "it was closed");
            answer.extend(&part[..length]);
        }
    };
    ask();
    daemon.signal("HUP");
    daemon.until("the settings to be read", |page| match loaded.value_in(page) {
        Some(at) if at > start => Ok(()),
        at => Err(format!("{at:?}")),
    });
    ask();
    daemon.stop();
}

#[test]
fn an_answer_that_does_not_end_is_cut_after_its_time() {
    let lab = Lab::new(world());
    let daemon = lab.settings().set("web.drain_timeout", "500ms").start();
    lab.settle(&daemon);
    let mut slow = TcpStream::connect(daemon.address).unwrap();
    ask_for_much(&mut slow);
    let mut before = 0;
    wait_for("answers that nobody takes", || {
        // The same twice: the daemon cannot send more.
        std::thread::sleep(Duration::from_millis(500));
        let waiting = rustix::io::ioctl_fionread(&slow).unwrap();
        let is_stuck = waiting > 0 && waiting == std::mem::replace(&mut before, waiting);
        if is_stuck { Ok(()) } else { Err(format!("{waiting} bytes")) }
    });
    let ended = daemon.end("TERM");
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.log.contains("web.drain_timeout"), "{}", ended.log);
    assert!(ended.log.contains("a connection was cut reason=\"drain\""), "{}", ended.log);
}

#[test]
fn systemd_is_told_of_the_start_the_life_and_the_end() {
    let lab = Lab::new(world());
    let path = lab.directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let daemon = lab
        .settings()
        .variable("NOTIFY_SOCKET", path.to_str().unwrap())
        .variable("WATCHDOG_USEC", "200000")
        .start();
    let next = |wanted: &str| {
        let mut buffer = [0; 1024];
        loop {
            let length = socket.recv(&mut buffer).unwrap();
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if message.lines().any(|line| line == wanted) {
                return message;
            }
        }
    };
    assert!(next("READY=1").contains("STATUS="));
    for _ in 0..3 {
        next("WATCHDOG=1");
    }
    daemon.signal("TERM");
    next("STOPPING=1");
    assert_eq!(daemon.ended().code, Some(0));
}

#[test]
fn without_a_watchdog_none_is_fed() {
    let lab = Lab::new(world());
    let path = lab.directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    // Meant for another process.
    let daemon = lab
        .settings()
        .variable("NOTIFY_SOCKET", path.to_str().unwrap())
        .variable("WATCHDOG_USEC", "1000")
        .variable("WATCHDOG_PID", "1")
        .start();
    lab.settle(&daemon);
    daemon.stop();
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 1024];
    while let Ok(length) = socket.recv(&mut buffer) {
        assert!(!String::from_utf8_lossy(&buffer[..length]).contains("WATCHDOG"));
    }
}

#[test]
fn a_bad_web_configuration_ends_the_start_with_78() {
    let doors = Doors::new();
    let refused = doors.settings("tls_server_config: {cert_file: none, key_file: server.key}").refused();
    assert_eq!(refused.code, Some(78));
    assert!(
        refused.log.contains(
            "web.yml: 1 configuration error\n  line 1: tls_server_config.cert_file: there is no such file"
        ),
        "{}",
        refused.log
    );
    assert!(!doors.lab.ledger().exists(), "nothing was begun");
    let (_, help, _) = run(&["--help"]);
    assert!(help.contains("Exit codes: 0 after SIGTERM or SIGINT, 1 "), "{help}");
}

#[test]
fn a_scrape_by_http2_that_is_not_taken_is_cut_too() {
    let doors = Doors::new();
    let daemon = doors.settings(TLS).set("web.write_timeout", "1s").start();
    block_on(async {
        // A window smaller than a page, of which nothing is read.
        let client = doors
            .client()
            .http2_initial_stream_window_size(1_024)
            .http2_initial_connection_window_size(1_024)
            .http2_prior_knowledge();
        let answer = super::ask(client, daemon.address, "/metrics").await.unwrap();
        assert_eq!(answer.status(), 200);
        let page = || async {
            let page = super::ask(doors.client(), daemon.address, "/metrics").await.unwrap();
            crate::harness::Page::parse(page.text().await.unwrap())
        };
        while cuts(&page().await, "slow_reader") == 0.0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(answer.text().await.is_err());
    });
    daemon.stop();
}
