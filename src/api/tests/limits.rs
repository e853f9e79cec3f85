//! Retries, rate, requests in flight, cancellation.

use std::time::Instant;

use futures_util::future::join_all;

use super::stub::{Reply, Stub, error, json};
use super::*;

const GOOD: &str = r#"{"requestId":"r","workspaces":[]}"#;

#[tokio::test]
async fn what_can_heal_is_retried_and_every_attempt_is_observed() {
    let stub = Stub::start(|n| match n {
        0 => error(503, "ServiceUnavailable"),
        1 => Reply::Reset,
        2 => Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()),
        3 => error(400, "Throttling.User"),
        _ => json(GOOD),
    })
    .await;
    let notes = Arc::new(Notes::default());
    let client = client_to(&stub.authority, &Api { retries: 4, ..limits() }, &long_lived(), notes.clone());
    let started = Instant::now();
    client.list_workspaces(None, 1).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(200 + 400 + 800 + 1600));
    let outcomes = notes.outcomes.lock().unwrap().clone();
    assert_eq!(outcomes, ["server_error", "unreachable", "malformed", "throttled", "success"]);
}

#[tokio::test]
async fn what_cannot_heal_is_not_retried() {
    for (status, code) in [
        (403, "Forbidden.RAM"),
        (404, "SessionCluster.NotFound"),
        (400, "InvalidParameter"),
        (400, "SignatureDoesNotMatch"),
        (400, "SignatureNonceUsed"),
        (403, "InvalidSecurityToken.Expired"),
        (404, "InvalidAccessKeyId.NotFound"),
    ] {
        let stub = Stub::start(move |_| error(status, code)).await;
        let failed = client(&stub).list_workspaces(None, 1).await.unwrap_err();
        assert_eq!((stub.seen().len(), failed.attempts()), (1, 1), "{code}");
        assert!(!failed.is_retryable());
    }
    let stub = Stub::start(|_| json(r#"{"workspaces":"#)).await;
    client(&stub).list_workspaces(None, 1).await.unwrap_err();
    assert_eq!(stub.seen().len(), 1, "a whole answer that is wrong stays wrong");
}

#[tokio::test]
async fn the_wait_that_the_service_asks_for_is_kept() {
    for (header, least, most) in [
        ("x-acs-retry-after: 700\r\n", 700, 2_000),
        ("retry-after: 1\r\n", 1_000, 3_000),
        // A second from now, by the client's clock.
        ("retry-after: Mon, 12 Jan 2026 10:20:41 GMT\r\n", 1_000, 3_000),
        ("x-acs-retry-after: 20\r\nretry-after: 50\r\n", 20, 190),
    ] {
        let script = move |n| if n == 0 { Reply::Answer(429, header, b"{}".to_vec()) } else { json(GOOD) };
        let stub = Stub::start(script).await;
        client(&stub).list_workspaces(None, 1).await.unwrap();
        let seen = stub.seen();
        let waited = (seen[1].at - seen[0].at).as_millis();
        assert!((least..most).contains(&waited), "{header}: {waited} ms");
    }
    // The header alone says throttled, whatever the status.
    let stub = Stub::start(|_| Reply::Answer(403, "x-acs-retry-after: 1\r\n", Vec::new())).await;
    let failed = client(&stub).list_workspaces(None, 1).await.unwrap_err();
    assert_eq!((failed.reason().as_str(), failed.attempts()), ("throttled", 3));
    assert_eq!(failed.retry_after(), Some(Duration::from_millis(1)));
}

#[tokio::test]
async fn one_throttled_answer_slows_the_whole_client_down_and_good_ones_bring_it_back() {
    let script = |n| match n {
        0 => Reply::Answer(400, "x-acs-retry-after: 600\r\n", br#"{"Code":"Any"}"#.to_vec()),
        _ => json(GOOD),
    };
    let (stub, notes) = (Stub::start(script).await, Arc::new(Notes::default()));
    let limits = Api { requests_per_second: 20.0, retries: 0, ..limits() };
    let client = client_to(&stub.authority, &limits, &long_lived(), notes.clone());
    client.list_workspaces(None, 1).await.unwrap_err();
    let all = join_all((0..6).map(|_| client.list_workspaces(None, 1))).await;
    assert!(all.iter().all(Result::is_ok));
    let seen = stub.seen();
    let waited: Vec<_> = seen[1..].iter().map(|later| (later.at - seen[0].at).as_millis()).collect();
    assert!(waited[0] >= 600, "others wait, too: {waited:?}");
    assert!(waited[5] >= 600 + 450, "five more, one by one at half the rate: {waited:?}");
    let rates = notes.rates.lock().unwrap().clone();
    assert_eq!(rates[..2], [20.0, 10.0]);
    assert!(rates[1..].windows(2).all(|pair| pair[1] > pair[0]), "{rates:?}");
}

#[tokio::test]
async fn a_good_answer_can_ask_to_slow_down_too() {
    let stub = Stub::start(|_| Reply::Answer(200, "x-acs-retry-after: 300\r\n", GOOD.into())).await;
    let client = client(&stub);
    for _ in 0..2 {
        client.list_workspaces(None, 1).await.unwrap();
    }
    let seen = stub.seen();
    assert!((seen[1].at - seen[0].at).as_millis() >= 300);
}

#[tokio::test]
async fn nothing_is_begun_that_cannot_end_before_the_deadline() {
    // A wait that is longer than what is left ends at once, with the reason.
    let stub = Stub::start(|_| Reply::Answer(429, "x-acs-retry-after: 50000\r\n", b"{}".to_vec())).await;
    let client = client(&stub);
    let (begun, in_time) = (Instant::now(), Duration::from_secs(40));
    let hurried = client.until(tokio::time::Instant::now() + in_time);
    for attempts in [1, 1] {
        let failed = hurried.list_workspaces(None, 1).await.unwrap_err();
        assert_eq!((failed.reason().as_str(), failed.attempts()), ("throttled", attempts));
    }
    assert_eq!(stub.seen().len(), 1, "the second was not even sent");
    // One that would take as long as the attempt before is not begun.
    let stub = Stub::start(|_| Reply::Stall(b"")).await;
    let limits = Api { timeout: Duration::from_millis(600), retries: 5, ..limits() };
    let client = client_to(&stub.authority, &limits, &long_lived(), Arc::default());
    let hurried = client.until(tokio::time::Instant::now() + Duration::from_secs(1));
    let failed = hurried.list_workspaces(None, 1).await.unwrap_err();
    assert_eq!((failed.reason().as_str(), failed.attempts()), ("timeout", 1));
    assert!(begun.elapsed() < in_time);
}

#[tokio::test]
async fn no_more_requests_are_in_flight_than_allowed() {
    let stub = Stub::start(|_| Reply::Slow(Duration::from_millis(40), GOOD.into())).await;
    let limits = Api { max_in_flight: 3, ..limits() };
    let client = client_to(&stub.authority, &limits, &long_lived(), Arc::default());
    let all = join_all((0..12).map(|_| client.list_workspaces(None, 1))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(stub.open_max(), 3);
}

#[tokio::test]
async fn requests_start_no_faster_than_allowed() {
    let stub = Stub::start(|_| json(GOOD)).await;
    let limits = Api { requests_per_second: 20.0, max_in_flight: 2, ..limits() };
    let client = client_to(&stub.authority, &limits, &long_lived(), Arc::default());
    let started = Instant::now();
    let all = join_all((0..10).map(|_| client.list_workspaces(None, 1))).await;
    assert!(all.iter().all(Result::is_ok));
    // Two at once, then eight at 50 ms each.
    assert!(started.elapsed() >= Duration::from_millis(380), "{:?}", started.elapsed());
}

#[tokio::test]
async fn dropping_the_future_ends_the_request_and_frees_its_place() {
    let stub = Stub::start(|n| if n == 0 { Reply::Stall(b"") } else { json(GOOD) }).await;
    let limits = Api { max_in_flight: 1, ..limits() };
    let client = client_to(&stub.authority, &limits, &long_lived(), Arc::default());
    let hung = tokio::time::timeout(Duration::from_millis(200), client.list_workspaces(None, 1)).await;
    assert!(hung.is_err());
    client.list_workspaces(None, 1).await.unwrap();
    for _ in 0..100 {
        if stub.open() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the connection is still open");
}

#[test]
fn the_futures_can_be_spawned() {
    fn spawnable<T: Send + 'static>(_: impl Fn(Client) -> T) {}
    spawnable(|client| async move {
        client.get_session_cluster("w", "s").await.map(|_| ())?;
        client.list_livy_compute_sessions("w", "l", 1, 1).await.map(|_| ())
    });
}
