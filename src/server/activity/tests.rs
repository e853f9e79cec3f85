//! Which limit of time applies when.

use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::advance;

use super::*;

const LIMITS: WebLimits = WebLimits {
    max_connections: 1,
    head_bytes_max: 8_192,
    uri_bytes_max: 8_192,
    head_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(100),
    write_timeout: Duration::from_secs(60),
};

/// When the connection is cut, from now on, and why.
async fn cut_after(activity: &Activity) -> (u64, Cut) {
    let started = Instant::now();
    let cut = activity.overdue(&LIMITS).await;
    (started.elapsed().as_secs(), cut)
}

#[tokio::test(start_paused = true)]
async fn silence_heads_and_answers_have_their_own_time() {
    let activity = Activity::new();
    let (mut client, server) = tokio::io::duplex(1_024);
    let mut noted = Noted::new(server, activity.clone(), true);
    assert_eq!(cut_after(&activity).await, (10, Cut::Idle), "nothing was asked yet");

    client.write_all(b"GET").await.unwrap();
    noted.read_exact(&mut [0; 3]).await.unwrap();
    advance(Duration::from_secs(4)).await;
    // Further bytes give it no more time.
    client.write_all(b" /").await.unwrap();
    noted.read_exact(&mut [0; 2]).await.unwrap();
    assert_eq!(cut_after(&activity).await, (6, Cut::SlowHead));

    client.write_all(b" HTTP/1.1\r\nA: b\r\n\r\n").await.unwrap();
    noted.read_exact(&mut [0; 19]).await.unwrap();
    let answering = activity.request();
    assert!(activity.is_answering());
    assert_eq!(cut_after(&activity).await, (60, Cut::SlowReader));
    drop(answering);
    assert!(!activity.is_answering());
    assert_eq!(cut_after(&activity).await, (100, Cut::Idle));
    // An empty line between two heads is no part of one.
    client.write_all(b"\r\n").await.unwrap();
    noted.read_exact(&mut [0; 2]).await.unwrap();
    assert_eq!(cut_after(&activity).await, (0, Cut::Idle));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_begins_behind_another_or_during_an_answer_has_its_time_from_the_answer_on() {
    for meanwhile in [false, true] {
        let activity = Activity::new();
        let (mut client, server) = tokio::io::duplex(1_024);
        let mut noted = Noted::new(server, activity.clone(), true);
        let (whole, begun) = (b"GET / HTTP/1.1\r\n\r\n", b"GET");
        client.write_all(whole).await.unwrap();
        if !meanwhile {
            client.write_all(begun).await.unwrap();
        }
        noted.read_buf(&mut Vec::with_capacity(100)).await.unwrap();
        let answering = activity.request();
        if meanwhile {
            client.write_all(begun).await.unwrap();
            noted.read_buf(&mut Vec::with_capacity(100)).await.unwrap();
        }
        advance(Duration::from_secs(7)).await;
        drop(answering);
        assert_eq!(cut_after(&activity).await, (10, Cut::SlowHead), "{meanwhile}");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_the_client_has_not_taken_are_an_answer_under_way() {
    let activity = Activity::new();
    let (mut client, server) = tokio::io::duplex(4);
    let mut noted = Noted::new(server, activity.clone(), true);
    assert_eq!(noted.write(b"12345678").await.unwrap(), 4);
    assert!(activity.is_answering());
    advance(Duration::from_secs(20)).await;
    assert_eq!(cut_after(&activity).await, (40, Cut::SlowReader));
    client.read_exact(&mut [0; 4]).await.unwrap();
    noted.flush().await.unwrap();
    drop(activity.request());
    assert!(!activity.is_answering());
    assert_eq!(cut_after(&activity).await, (100, Cut::Idle));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_begins_while_the_silence_is_watched_is_noticed() {
    let activity = Activity::new();
    drop(activity.request());
    let watch = tokio::spawn({
        let activity = activity.clone();
        async move { cut_after(&activity).await }
    });
    let (mut client, server) = tokio::io::duplex(1_024);
    let mut noted = Noted::new(server, activity.clone(), true);
    tokio::time::sleep(Duration::from_secs(33)).await;
    client.write_all(b"G").await.unwrap();
    noted.read_exact(&mut [0; 1]).await.unwrap();
    assert_eq!(watch.await.unwrap(), (43, Cut::SlowHead));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_of_several_answers_counts_and_http2_has_no_heads() {
    let activity = Activity::new();
    let first = activity.request();
    advance(Duration::from_secs(50)).await;
    let second = activity.request();
    drop(first);
    assert_eq!(cut_after(&activity).await, (60, Cut::SlowReader));
    drop(second);
    let (mut client, server) = tokio::io::duplex(1_024);
    let mut noted = Noted::new(server, activity.clone(), false);
    client.write_all(b"ping").await.unwrap();
    noted.read_exact(&mut [0; 4]).await.unwrap();
    assert_eq!(cut_after(&activity).await.1, Cut::Idle);
}

#[tokio::test(start_paused = true)]
async fn what_http2_writes_without_a_request_is_silence() {
    let activity = Activity::new();
    let (_client, server) = tokio::io::duplex(1_024);
    let mut noted = Noted::new(server, activity.clone(), false);
    let mut pong = async || {
        noted.write_all(b"pong").await.unwrap();
        noted.flush().await.unwrap();
    };
    advance(Duration::from_secs(7)).await;
    pong().await;
    assert_eq!(cut_after(&activity).await, (3, Cut::Idle));
    // The last bytes of an answer, which are taken later than they were made, are none.
    drop(activity.request());
    advance(Duration::from_secs(10)).await;
    pong().await;
    advance(Duration::from_secs(10)).await;
    pong().await;
    assert_eq!(cut_after(&activity).await, (90, Cut::Idle));
}

#[tokio::test]
async fn a_body_is_cut_into_parts_and_is_under_way_until_it_is_dropped() {
    let activity = Activity::new();
    let chunks = Chunks::new([Bytes::from_static(b"abcde"), Bytes::from_static(b"fg")]);
    let mut body = Watched::new(chunks, Some(2), activity.request());
    let (mut parts, mut left) = (Vec::new(), 7);
    assert_eq!(body.size_hint().exact(), Some(left));
    while let Some(frame) = body.frame().await {
        let mut part = frame.unwrap().into_data().unwrap();
        let bytes = part.copy_to_bytes(part.len());
        left -= bytes.len() as u64;
        parts.push(bytes);
        assert_eq!(body.size_hint().exact(), Some(left));
    }
    assert_eq!(parts, ["ab", "cd", "e", "f", "g"]);
    assert!(body.is_end_stream() && activity.is_answering());
    drop(body);
    assert!(!activity.is_answering());
}
