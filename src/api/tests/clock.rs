//! Dates of requests where this machine's clock is wrong.

use super::stub::{Reply, Stub, error, json};
use super::*;

const EXPIRED: &str = r#"{"Code":"InvalidTimeStamp.Expired","Message":"no","RequestId":"R-1"}"#;
const GOOD: &str = r#"{"requestId":"r","workspaces":[]}"#;
/// Twenty minutes after the clock of these tests.
const AHEAD: &str = "date: Mon, 12 Jan 2026 10:40:40 GMT\r\n";
/// Twenty minutes before it.
const BEHIND: &str = "date: Mon, 12 Jan 2026 10:00:40 GMT\r\n";

#[tokio::test]
async fn an_expired_date_is_corrected_and_sent_once_more_beside_the_retries() {
    for (header, corrected, date) in
        [(AHEAD, 1_200, "2026-01-12T10:40:40Z"), (BEHIND, -1_199, "2026-01-12T10:00:40Z")]
    {
        let script = move |n| match n {
            0 => Reply::Answer(400, header, EXPIRED.into()),
            _ => Reply::Answer(200, header, GOOD.into()),
        };
        let (stub, notes) = (Stub::start(script).await, Arc::new(Notes::default()));
        let limits = Api { retries: 0, ..limits() };
        let client = client_to(&stub.authority, &limits, &long_lived(), notes.clone());
        for _ in 0..3 {
            client.list_workspaces(None, 1).await.unwrap();
        }
        let dates: Vec<String> =
            stub.seen().iter().map(|seen| seen.header("x-acs-date").to_owned()).collect();
        assert_eq!(dates, ["2026-01-12T10:20:40Z", date, date, date]);
        assert_eq!(*notes.corrections.lock().unwrap(), [corrected], "told once");
    }
}

#[tokio::test]
async fn a_date_that_stays_refused_is_not_sent_again_and_again() {
    let stub = Stub::start(|_| Reply::Answer(400, AHEAD, EXPIRED.into())).await;
    let failed = client(&stub).list_workspaces(None, 1).await.unwrap_err();
    assert_eq!((failed.reason(), failed.attempts()), (FailureReason::ClockSkew, 2));
    let stub = Stub::start(|_| error(400, "InvalidTimeStamp.Expired")).await;
    let failed = client(&stub).list_workspaces(None, 1).await.unwrap_err();
    assert_eq!((failed.attempts(), stub.seen().len()), (1, 1), "no Date, nothing to correct");
}

#[tokio::test]
async fn a_date_from_something_on_the_way_is_not_believed() {
    let stub = Stub::start(|n| match n {
        0 => Reply::Answer(502, AHEAD, b"<html></html>".to_vec()),
        _ => json(GOOD),
    })
    .await;
    client(&stub).list_workspaces(None, 1).await.unwrap();
    assert_eq!(stub.seen()[1].header("x-acs-date"), "2026-01-12T10:20:40Z");
}

#[tokio::test]
async fn a_moment_to_come_back_is_by_the_clock_that_names_it() {
    const LATER: &str =
        "date: Mon, 12 Jan 2026 10:40:40 GMT\r\nretry-after: Mon, 12 Jan 2026 10:40:41 GMT\r\n";
    let stub = Stub::start(|n| if n == 0 { Reply::Answer(429, LATER, b"{}".to_vec()) } else { json(GOOD) });
    let stub = stub.await;
    client(&stub).list_workspaces(None, 1).await.unwrap();
    let seen = stub.seen();
    let waited = (seen[1].at - seen[0].at).as_secs();
    assert!((1..30).contains(&waited), "{waited} s");
}
