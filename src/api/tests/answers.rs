//! What comes back, good and bad.

use std::io::Write;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::stub::{Reply, Stub, error, json};
use super::*;
use crate::model::FailureReason;

/// One attempt at the session history, answered by `reply`: the reason of its failure and its text.
async fn failure(reply: fn() -> Reply) -> (&'static str, String) {
    let stub = Stub::start(move |_| reply()).await;
    let limits = Api { retries: 0, timeout: Duration::from_millis(500), ..limits() };
    let client = client_to(&stub.authority, &limits, &long_lived(), Arc::default());
    let failed = client.list_livy_compute_sessions("w-1", "lc-1", 1, 100).await.unwrap_err();
    (failed.reason().as_str(), failed.to_string())
}

#[tokio::test]
async fn a_page_has_rows_total_and_date() {
    let stub = Stub::start(|_| {
        let body =
            br#"{"requestId":"8FAA","totalCount":"10","sessions":[{"sessionId":"livy-1","cuHours":322.5}]}"#;
        Reply::Answer(200, "Date: Mon, 12 Jan 2026 10:20:41 GMT\r\n", body.to_vec())
    })
    .await;
    let page = client(&stub).list_livy_compute_sessions("w-1", "lc-1", 1, 100).await.unwrap();
    assert_eq!((page.total_count, page.row_count, page.malformed_rows), (Some(10), 1, 0));
    assert_eq!((page.next_token, page.request_id.as_deref()), (None, Some("8FAA")));
    assert_eq!(page.server_date, Some(NOW + 1000));
    assert_eq!(page.rows[0].nano_cu_hours, Some(322_500_000_000));
}

#[tokio::test]
async fn a_list_ends_without_a_token_in_any_spelling() {
    for (token, expected) in [("", None), (r#","nextToken":null"#, None), (r#","nextToken":"""#, None)]
        .into_iter()
        .chain([(r#","nextToken":"1""#, Some("1")), (r#","nextToken":20"#, Some("20"))])
    {
        let body = format!(r#"{{"requestId":"r","sessionClusters":[{{"sessionClusterId":"s"}}]{token}}}"#);
        let stub = Stub::start(move |_| json(&body)).await;
        let page = client(&stub).list_session_clusters("w-1", None, 100).await.unwrap();
        assert_eq!(page.next_token.as_deref(), expected, "{token}");
    }
}

#[tokio::test]
async fn bodies_that_are_no_answer_are_named() {
    type Case = (fn() -> Reply, &'static str, &'static str);
    let table: [Case; 14] = [
        (
            || Reply::Answer(200, "", b"<html>busy</html>".to_vec()),
            "malformed",
            "HTTP 200: an HTML page instead of",
        ),
        (
            || Reply::Answer(502, "", b"<html>".to_vec()),
            "server_error",
            "HTTP 502: an HTML page instead of JSON",
        ),
        (|| Reply::Answer(200, "", Vec::new()), "malformed", "HTTP 200: an empty body"),
        (|| json(" \n"), "malformed", "an empty body"),
        (
            || json(r#"{"sessions":[{"sessionId":"a"#),
            "malformed",
            "a JSON body that ends early, at line 1, column",
        ),
        (|| json(r#"{"sessions":[}"#), "malformed", "a body that is not a JSON object, at line 1, column 14"),
        (|| json("[1]"), "malformed", "a body that is not a JSON object"),
        (|| json(r#"{"sessions":[]} x"#), "malformed", "a body that is not a JSON object"),
        (
            || Reply::Answer(200, "content-type: text/plain\r\n", b"ok".to_vec()),
            "malformed",
            "content type text/plain instead of JSON",
        ),
        (|| json("{}"), "malformed", "`sessions` is missing"),
        (|| json(r#"{"requestId":"r","totalCount":3}"#), "malformed", "`sessions` is missing, request id r"),
        (|| json(r#"{"requestId":"r","sessions":{}}"#), "malformed", "`sessions` is of another type"),
        (
            || Reply::Answer(302, "location: /\r\n", Vec::new()),
            "malformed",
            "HTTP 302: a redirect, which is not",
        ),
        (
            || Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"sessions\":".to_vec()),
            "malformed",
            "the connection was cut within the answer",
        ),
    ];
    for (reply, reason, text) in table {
        let (got, message) = failure(reply).await;
        assert_eq!(got, reason, "{message}");
        assert!(message.starts_with("ListLivyComputeSessions w-1 lc-1: "), "{message}");
        assert!(message.contains(text), "{message} should contain {text}");
    }
}

#[tokio::test]
async fn connections_that_fail_are_named() {
    let (reason, text) = failure(|| Reply::Reset).await;
    assert_eq!(reason, "unreachable", "{text}");
    let started = Instant::now();
    let (reason, text) = failure(|| Reply::Stall(b"")).await;
    assert_eq!(reason, "timeout", "{text}");
    assert!(started.elapsed() < Duration::from_secs(4));
    // The head came, the body does not.
    let (reason, text) = failure(|| Reply::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{")).await;
    assert_eq!(reason, "timeout", "{text}");
}

#[tokio::test]
async fn an_empty_page_may_leave_the_list_out() {
    for body in [
        r#"{"requestId":"r","totalCount":0,"sessions":null}"#,
        r#"{"requestId":"r","totalCount":0}"#,
        r#"{"requestId":"r","sessions":null}"#,
        r#"{"sessions":[]}"#,
    ] {
        let stub = Stub::start(move |_| json(body)).await;
        let page = client(&stub).list_livy_compute_sessions("w-1", "lc-1", 1, 100).await.unwrap();
        assert_eq!((page.rows.len(), page.row_count), (0, 0), "{body}");
    }
}

#[tokio::test]
async fn the_envelope_succeeds_by_its_code_alone() {
    let ask = |body: &'static str| async move {
        let stub = Stub::start(move |_| json(body)).await;
        client(&stub).list_livy_compute("w-1").await
    };
    for code in [r#""1000000""#, "1000000"] {
        let body = format!(
            r#"{{"code":{code},"requestId":"r","data":{{"livyComputes":[{{"computeId":"lc-1"}}]}}}}"#
        );
        let page = ask(Box::leak(body.into_boxed_str())).await.unwrap();
        assert_eq!(page.rows[0].compute_id.as_deref(), Some("lc-1"));
    }
    let empty = ask(r#"{"code":"1000000","requestId":"r","data":null}"#).await.unwrap();
    assert_eq!(empty.row_count, 0);

    let failed =
        ask(r#"{"code":"1020001","message":"workspace is gone","requestId":"r"}"#).await.unwrap_err();
    assert_eq!(failed.to_string(), "ListLivyCompute w-1: HTTP 200 1020001: workspace is gone, request id r");
    assert_eq!((failed.reason(), failed.code()), (FailureReason::Rejected, Some("1020001")));
    let failed = ask(r#"{"requestId":"r","data":{"livyComputes":[]}}"#).await.unwrap_err();
    assert!(failed.to_string().contains("the envelope has no `code`"), "{failed}");
    let failed = ask(r#"{"code":"1000000","data":[]}"#).await.unwrap_err();
    assert!(failed.to_string().contains("`livyComputes` is of another type"), "{failed}");
    // Elsewhere a code counts where the rows are missing.
    let stub = Stub::start(|_| json(r#"{"code":"Throttling.User","requestId":"r"}"#)).await;
    let failed = client(&stub).list_workspaces(None, 1).await.unwrap_err();
    assert_eq!(failed.reason(), FailureReason::Throttled);
}

#[tokio::test]
async fn a_session_cluster_is_found_or_not_found() {
    let body =
        r#"{"sessionCluster":{"sessionClusterId":"s","state":"Running","gmtCreate":0},"requestId":"r"}"#;
    let stub =
        Stub::start(move |n| if n == 0 { json(body) } else { error(404, "SessionCluster.NotFound") }).await;
    let client = client(&stub);
    let cluster = client.get_session_cluster("w-1", "s").await.unwrap();
    assert_eq!((cluster.state.as_deref(), cluster.created), (Some("Running"), None));
    let failed = client.get_session_cluster("w-1", "s").await.unwrap_err();
    assert_eq!((failed.reason(), failed.attempts()), (FailureReason::NotFound, 1));
    assert_eq!(
        (failed.status(), failed.message(), failed.request_id()),
        (Some(404), Some("no"), Some("R-1"))
    );
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit_gzipped_or_not() {
    let body = |blanks: usize| [br#"{"requestId":"r","sessions":[]}"#.to_vec(), vec![b' '; blanks]].concat();
    let gzip = |body: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    };
    let limit = limits().body_bytes_max;
    let fitting = limit - body(0).len();
    for (reply, fits) in [
        (Reply::Answer(200, "", body(fitting)), true),
        (Reply::Answer(200, "", body(fitting + 1)), false),
        (Reply::Answer(200, "content-encoding: gzip\r\n", gzip(&body(fitting))), true),
        (Reply::Answer(200, "content-encoding: gzip\r\n", gzip(&body(8 * limit))), false),
    ] {
        let reply = Mutex::new(Some(reply));
        let stub = Stub::start(move |_| reply.lock().unwrap().take().unwrap()).await;
        let answer = client(&stub).list_livy_compute_sessions("w-1", "lc-1", 1, 100).await;
        assert_eq!(answer.is_ok(), fits);
        if let Err(failed) = answer {
            assert_eq!(failed.reason(), FailureReason::Malformed);
            assert!(
                failed.to_string().contains("larger than 65536 bytes (`api.body_bytes_max`)"),
                "{failed}"
            );
        }
    }
}
