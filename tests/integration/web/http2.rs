//! HTTP/2, by a client of bare frames where it is to behave as none does.

use std::time::Duration;

use reqwest::{Method, Version};

use super::frames::{ACK, Frames, HEADERS, PING};
use super::{Doors, TLS, block_on, cuts, scrape};
use crate::harness::{Daemon, wait_for};

#[test]
fn head_gets_the_head_of_get_on_every_path_by_both_protocols() {
    let doors = Doors::new();
    let daemon = doors.settings(TLS).start();
    let url = |path: &str| format!("https://localhost:{}{path}", daemon.address.port());
    block_on(async {
        for (version, client) in
            [(Version::HTTP_2, doors.client()), (Version::HTTP_11, doors.client().http1_only())]
        {
            let client = client.resolve("localhost", daemon.address).no_gzip().build().unwrap();
            for (path, status, is_fixed) in [
                ("/", 200, false),
                ("/metrics", 200, false),
                ("/-/healthy", 200, true),
                ("/-/ready", 0, false),
                ("/-/icon.svg", 200, true),
                ("/-/docs/", 200, true),
                ("/-/docs/web", 200, true),
                ("/api/v1/status", 200, false),
                ("/api/v1/series", 400, true),
                ("/-/reload", 405, true),
                ("/nowhere", 404, true),
            ] {
                let what = format!("{path} {version:?}");
                let ask = async |method| {
                    let answer = client.request(method, url(path)).send().await;
                    let answer = answer.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                    assert_eq!(answer.version(), version, "{what}");
                    let length = answer.headers()["content-length"].to_str().unwrap().parse::<usize>();
                    (answer.status().as_u16(), length.unwrap(), answer.bytes().await.unwrap().len())
                };
                let (head, length, body) = ask(Method::HEAD).await;
                assert_eq!(body, 0, "{what}");
                assert!(length > 0 && (head == status || status == 0), "{what}: {head}, {length} bytes");
                if is_fixed {
                    assert_eq!(ask(Method::GET).await, (head, length, length), "{what}");
                }
            }
        }
    });
    daemon.stop();
}

/// Does this again and again until the connection is closed, which it must be some time.
async fn until_closed(mut act: impl AsyncFnMut() -> std::io::Result<()>) {
    let acting = async {
        while act().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), acting).await.expect("it is not closed");
}

fn until_idle_is_counted(doors: &Doors, daemon: &Daemon) {
    wait_for("the count", || match cuts(&scrape(doors.client(), daemon), "idle") {
        0.0 => Err("none".to_owned()),
        _ => Ok(()),
    });
}

#[test]
fn pings_keep_no_connection_open() {
    let doors = Doors::new();
    let daemon = doors.settings(TLS).set("web.idle_timeout", "2s").start();
    block_on(async {
        let mut frames = Frames::open(&doors, daemon.address, 65_535).await;
        frames.get(1, "/-/healthy").await;
        let mut answered = 0;
        until_closed(async || {
            frames.send(PING, 0, 0, b"12345678").await?;
            while let Some(frame) = frames.next().await {
                if frame.kind == PING && frame.flags == ACK {
                    answered += 1;
                    return Ok(());
                }
            }
            Err(std::io::ErrorKind::UnexpectedEof.into())
        })
        .await;
        assert!(answered > 0);
    });
    until_idle_is_counted(&doors, &daemon);
    daemon.stop();
}

#[test]
fn a_head_that_never_ends_is_silence() {
    let doors = Doors::new();
    let daemon = doors.settings(TLS).set("web.idle_timeout", "2s").start();
    block_on(async {
        let mut frames = Frames::open(&doors, daemon.address, 65_535).await;
        // Of 1000 bytes, one by one.
        frames.bytes(&[0, 3, 0xe8, HEADERS, 0, 0, 0, 0, 1]).await.unwrap();
        until_closed(async || frames.bytes(&[0x82]).await).await;
    });
    until_idle_is_counted(&doors, &daemon);
    daemon.stop();
}
