//! Every fault of the simulator, by what it does on the wire.

use std::time::{Duration, Instant};

use emr_serverless_spark_exporter::clock::Clock;
use emr_serverless_spark_exporter::sim::{Fault, Operation, Options, Scope, ThrottleForm, WorldConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::simulator::{Api, START};

const PATH: &str = "/api/v1/workspaces";

async fn api() -> Api {
    Api::of(WorldConfig { workspaces: 5, history: 50, ..WorldConfig::default() }).await
}

/// What comes back on a raw connection until it ends.
async fn raw(api: &Api, path: &str) -> (Vec<u8>, std::io::Result<usize>) {
    let mut stream = TcpStream::connect(api.sim.addr()).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut received)).await.unwrap();
    (received, end)
}

#[tokio::test]
async fn a_reset_is_a_reset_and_only_for_its_scope() {
    let api = api().await;
    api.sim.faults().next(1, Fault::Reset, Scope::of(Operation::ListWorkspaces));
    assert_eq!(api.get(&api.clusters_path()).await.0, 200);
    let (received, end) = raw(&api, PATH).await;
    assert_eq!(received, b"");
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(api.get(PATH).await.0, 200);
    assert_eq!(api.sim.stats().requests[&(Some(Operation::ListWorkspaces), None)], 1);
}

#[tokio::test]
async fn a_cut_body_is_shorter_than_it_says() {
    let api = api().await;
    api.sim.faults().next(2, Fault::Cut, Scope::any());
    let (received, end) = raw(&api, PATH).await;
    end.unwrap();
    let text = String::from_utf8(received).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let announced = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let announced: usize = announced.parse().unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && body.len() == announced / 2, "{} of {announced}", body.len());
    assert!(api.send(PATH).await.unwrap().bytes().await.is_err());
}

#[tokio::test]
async fn a_hang_lasts_until_the_faults_are_cleared_or_the_simulator_stops() {
    let api = api().await;
    api.sim.faults().always(Fault::Hang, Scope::any());
    let quick = tokio::time::timeout(Duration::from_millis(200), api.send(PATH)).await;
    assert!(quick.is_err());
    let (answer, ()) = tokio::join!(api.send(PATH), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        api.sim.faults().clear();
    });
    assert!(answer.is_err());
    assert_eq!(api.get(PATH).await.0, 200);

    api.sim.faults().always(Fault::Hang, Scope::any());
    let (client, url) = (api.client.clone(), format!("{}{PATH}", api.sim.url()));
    let hanging = tokio::spawn(async move { client.get(url).send().await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (addr, begun) = (api.sim.addr(), Instant::now());
    api.sim.stop().await;
    assert!(hanging.await.unwrap().is_err());
    assert!(begun.elapsed() < Duration::from_secs(2), "idle connections end at once");
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn a_slow_body_comes_whole_and_late() {
    let api = api().await;
    api.sim.faults().next(1, Fault::SlowBody(Duration::from_millis(30)), Scope::any());
    let begun = Instant::now();
    let (_, slow) = api.get(PATH).await;
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(slow["workspaces"], api.get(PATH).await.1["workspaces"]);
}

#[tokio::test]
async fn error_answers_have_their_status_code_and_headers() {
    let api = api().await;
    let form = ThrottleForm::too_many_requests(Duration::from_millis(1_500));
    for (fault, status, code) in [
        (Fault::Throttle(form), 429, "Throttling.User"),
        (Fault::Throttle(ThrottleForm::bad_request()), 400, "Throttling.Api"),
        (Fault::Throttle(ThrottleForm::unavailable(Duration::from_secs(1))), 503, "Throttling"),
        (Fault::ServerError(500), 500, "InternalError"),
        (Fault::ServerError(503), 503, "ServiceUnavailable"),
        (Fault::Denied("Forbidden.RAM"), 403, "Forbidden.RAM"),
        (Fault::Denied("NoPermission"), 403, "NoPermission"),
        (Fault::InvalidKey, 404, "InvalidAccessKeyId.NotFound"),
    ] {
        api.sim.faults().next(1, fault.clone(), Scope::any());
        let (got, body) = api.get(PATH).await;
        assert_eq!((got, &body["Code"]), (status, &json!(code)), "{fault:?}");
        assert_eq!(body.get("AccessDeniedDetail").is_some(), status == 403);
    }
    assert_eq!(api.get(PATH).await.0, 200);
}

#[tokio::test]
async fn a_skewed_clock_dates_the_answers() {
    let api = api().await;
    let ahead = async || {
        let response = api.send(PATH).await.unwrap();
        let date = response.headers()["date"].to_str().unwrap();
        let theirs = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).unwrap();
        (theirs.as_millisecond() - Clock::System.now()).div_euclid(60_000)
    };
    assert!((-1..=0).contains(&ahead().await));
    for (seconds, minutes) in [(1_200, 19..=20), (-1_200, -21..=-20)] {
        let body = json!({"fault": "clock_skew", "seconds": seconds, "next": 1});
        assert_eq!(api.post("/sim/v1/faults", &body).await.0, 200);
        let ahead = ahead().await;
        assert!(minutes.contains(&ahead), "{seconds}: {ahead}");
    }
}

#[tokio::test]
async fn bodies_that_are_not_the_json_expected() {
    let api = api().await;
    for status in [200, 502] {
        api.sim.faults().next(1, Fault::Html(status), Scope::any());
        let response = api.send(PATH).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (status, &"text/html".parse().unwrap())
        );
        assert!(response.text().await.unwrap().starts_with("<html>"));
    }
    api.sim.faults().next(1, Fault::BadJson, Scope::any());
    let response = api.send(PATH).await.unwrap();
    assert_eq!(response.status(), 200);
    let text = response.text().await.unwrap();
    assert!(text.starts_with('{') && serde_json::from_str::<Value>(&text).is_err());
    api.sim.faults().next(1, Fault::BusinessError, Scope::of(Operation::ListLivyCompute));
    let path = format!("/api/interactive/v1/workspace/{}/livycompute", api.workspace());
    let (status, envelope) = api.get(&path).await;
    assert_eq!((status, &envelope["data"]), (200, &Value::Null));
    assert_ne!(envelope["code"], "1000000");
    assert_eq!(api.get(&path).await.1["code"], "1000000");
}

#[tokio::test]
async fn tokens_that_lead_astray() {
    let api = api().await;
    let page = async |token: &str| {
        let token = token.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let (status, page) = api.get(&format!("{PATH}?maxResults=2&nextToken={token}")).await;
        assert_eq!(status, 200, "{page}");
        (
            page["workspaces"].as_array().unwrap().len(),
            page["nextToken"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let (rows, second) = page("").await;
    let (_, third) = page(&second).await;
    assert_eq!((rows, page(&third).await), (2, (1, String::new())));

    api.sim.faults().next(2, Fault::RepeatedToken, Scope::any());
    assert_eq!(page("").await, (2, second.clone()));
    assert_eq!(page(&second).await, (2, second.clone()));

    api.sim.faults().next(2, Fault::EmptyPageWithToken, Scope::any());
    assert_eq!(page("").await, (0, second));
    let (rows, token) = page(&third).await;
    assert!(rows == 0 && !token.is_empty());
}

#[tokio::test]
async fn totals_and_pages_that_move() {
    let api = api().await;
    let page = async |number: u32| {
        let (_, page) = api.get(&format!("{}?pageNum={number}&pageSize=10", api.sessions_path())).await;
        let ids = page["sessions"].as_array().unwrap().iter().map(|row| row["sessionId"].clone()).collect();
        (page["totalCount"].as_i64().unwrap(), ids)
    };
    type Page = (i64, Vec<Value>);
    let (total, first): Page = page(1).await;
    let (_, second): Page = page(2).await;
    let (_, third): Page = page(3).await;

    api.sim.faults().next(1, Fault::WrongTotal(-7), Scope::any());
    assert_eq!(page(1).await, (total - 7, first.clone()));

    api.sim.faults().next(1, Fault::PageShift(3), Scope::any());
    assert_eq!(page(1).await, (total, first.clone()), "the first page is as it was");
    let shifted: Page = page(2).await;
    assert_eq!(shifted, (total + 3, [&first[7..], &second[..7]].concat()));

    api.sim.faults().next(1, Fault::PageShift(-3), Scope::any());
    let shifted: Page = page(2).await;
    assert_eq!(shifted, (total - 3, [&second[3..], &third[..3]].concat()));
    assert_eq!(page(2).await, (total, second));
}

#[tokio::test]
async fn rows_that_are_not_as_documented() {
    let api = api().await;
    let rows = async |fault: Option<Fault>| {
        if let Some(fault) = fault {
            api.sim.faults().next(1, fault, Scope::any());
        }
        api.get(&api.sessions_path()).await.1["sessions"].as_array().unwrap().clone()
    };
    let good = rows(None).await;
    let differing = |bad: &[Value]| good.iter().zip(bad).filter(|(a, b)| a != b).count();

    let bad = rows(Some(Fault::MalformedRow)).await;
    assert_eq!((differing(&bad), bad.iter().filter(|row| row.is_string()).count()), (1, 1));
    let bad = rows(Some(Fault::MistypedRow)).await;
    let odd = bad.iter().find(|row| !row["sessionId"].is_string()).unwrap();
    assert!(differing(&bad) == 1 && odd["vcoreSeconds"].is_array());

    let bad = rows(Some(Fault::NumbersAsStrings)).await;
    assert_eq!(bad[3]["vcoreSeconds"], json!(good[3]["vcoreSeconds"].to_string()));
    assert_eq!(bad[3]["cuHours"], json!(good[3]["cuHours"].to_string()));
    let bad = rows(Some(Fault::Nulls)).await;
    assert_eq!((&bad[3]["sessionId"], &bad[3]["cuHours"]), (&good[3]["sessionId"], &Value::Null));
    let bad = rows(Some(Fault::UnknownState)).await;
    assert!(bad.iter().all(|row| row["state"] == "Hibernating"));
    let bad = rows(Some(Fault::DatesAsText)).await;
    let created = jiff::Timestamp::from_millisecond(good[0]["createTime"].as_i64().unwrap()).unwrap();
    let local = created.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(8)));
    assert_eq!(bad[0]["createTime"], json!(local.strftime("%F %T").to_string()));
    assert_eq!(rows(None).await, good);
}

#[tokio::test]
async fn the_side_door_arms_faults_moves_the_clock_and_can_be_shut() {
    let api = api().await;
    let (status, armed) =
        api.post("/sim/v1/faults", &json!({"fault": "html", "next": 1, "operation": "ListWorkspaces"})).await;
    assert_eq!((status, armed), (200, json!({"armed": 1})));
    assert_eq!(api.send(PATH).await.unwrap().status(), 502);
    for (path, body) in [
        ("faults", json!({"fault": "no_such"})),
        ("faults", json!({"fault": "html", "operation": "NoSuch"})),
        ("faults", json!({"fault": "html", "nxt": 1})),
        ("clock", json!({"advance_seconds": -1})),
    ] {
        let (status, answer) = api.post(&format!("/sim/v1/{path}"), &body).await;
        assert!(status == 400 && answer["error"].is_string(), "{body}: {answer}");
    }
    let (_, clock) = api.post("/sim/v1/clock", &json!({"advance_seconds": 60})).await;
    assert_eq!(clock, json!({"now": START + 60_000, "speed": 0.0}));
    assert_eq!(api.get("/sim/v1/truth").await.1["now"], START + 60_000);
    assert_eq!(api.get("/sim/v1/none").await.0, 404);

    let options = Options { check_signatures: false, control: false, ..Options::default() };
    let shut = Api::start(WorldConfig::default(), options).await;
    assert_eq!(shut.get("/sim/v1/truth").await.1["Code"], "InvalidAction.NotFound");
}
