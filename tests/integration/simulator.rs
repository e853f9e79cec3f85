//! The simulator as its users see it: on the wire, without a signature.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use emr_serverless_spark_exporter::clock::Clock;
use emr_serverless_spark_exporter::model::Usage;
use emr_serverless_spark_exporter::sim::{
    AccessKey, ClusterState, FigureGrowth, HistoryOrder, LastToken, Operation, Options, RunningEnd,
    Simulator, ThrottleForm, World, WorldConfig,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const START: i64 = 1_768_213_240_000;

/// A simulator and a plain client of it.
pub(crate) struct Api {
    pub(crate) sim: Simulator,
    pub(crate) client: reqwest::Client,
}

impl Api {
    /// A world that stands still, without signatures.
    pub(crate) async fn start(config: WorldConfig, options: Options) -> Self {
        let config = WorldConfig { start: START, speed: 0.0, ..config };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sim = Simulator::start(listener, World::new(config), options).unwrap();
        Self { sim, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    pub(crate) async fn of(config: WorldConfig) -> Self {
        Self::start(config, Options { check_signatures: false, ..Options::default() }).await
    }

    pub(crate) async fn send(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        self.client.get(format!("{}{path}", self.sim.url())).send().await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.send(path).await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = self.client.post(format!("{}{path}", self.sim.url())).json(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub(crate) fn workspace(&self) -> String {
        self.sim.world().workspace_ids().remove(0)
    }

    pub(crate) fn gateway(&self) -> String {
        self.sim.world().gateways(&self.workspace()).remove(0).id
    }

    pub(crate) fn sessions_path(&self) -> String {
        format!("/api/v1/workspaces/{}/livycompute/{}/session", self.workspace(), self.gateway())
    }

    pub(crate) fn clusters_path(&self) -> String {
        format!("/api/v1/workspaces/{}/sessionClusters", self.workspace())
    }

    async fn page(&self, number: u64) -> Vec<Value> {
        let (status, page) =
            self.get(&format!("{}?pageNum={number}&pageSize=100", self.sessions_path())).await;
        assert_eq!(status, 200);
        page["sessions"].as_array().unwrap().clone()
    }

    async fn ids(&self, number: u64) -> Vec<String> {
        self.page(number).await.iter().map(|row| text(row, "sessionId")).collect()
    }

    /// Every listed session of the first gateway.
    async fn sweep(&self) -> Vec<Value> {
        let mut rows = Vec::new();
        for number in 1.. {
            let page = self.page(number).await;
            let last = page.len() < 100;
            rows.extend(page);
            if last {
                break;
            }
        }
        rows
    }
}

fn text(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap().to_owned()
}

/// Reads the decimals of `cuHours` without a float.
fn nano(number: &Value) -> i64 {
    let text = number.to_string();
    let (whole, decimals) = text.split_once('.').unwrap();
    assert!(decimals.len() <= 9, "{text}");
    format!("{whole}{decimals:0<9}").parse().unwrap()
}

fn usage(row: &Value) -> Usage {
    Usage {
        nano_cu_hours: nano(&row["cuHours"]),
        vcore_seconds: row["vcoreSeconds"].as_i64().unwrap(),
        mb_seconds: row["mbSeconds"].as_i64().unwrap(),
    }
}

/// A reader that keeps the highest figures and the last state of every session.
#[derive(Default)]
struct Reader(BTreeMap<String, (String, Usage, String)>);

impl Reader {
    fn read(&mut self, rows: &[Value]) {
        for row in rows {
            let seen = self.0.entry(text(row, "sessionId")).or_default();
            *seen = (text(row, "queue"), seen.1.highest(usage(row)), text(row, "state"));
        }
    }

    fn agrees_with(&self, api: &Api) {
        let mut queues: BTreeMap<&str, (Usage, u64, BTreeMap<&str, u64>)> = BTreeMap::new();
        for (queue, usage, state) in self.0.values() {
            let sum = queues.entry(queue).or_default();
            sum.0 = sum.0.checked_add(*usage).unwrap();
            sum.1 += 1;
            *sum.2.entry(state).or_default() += 1;
        }
        let truth = api.sim.world().truth(&api.workspace(), &api.gateway());
        assert_eq!(truth.len(), queues.len());
        for (queue, truth) in truth {
            let (usage, created, states) = &queues[queue.as_str()];
            assert_eq!((*usage, *created), (truth.usage, truth.created), "{queue}");
            for (state, count) in truth.ended {
                assert_eq!(states.get(state).copied().unwrap_or(0), count, "{queue} {state}");
            }
        }
    }
}

#[tokio::test]
async fn truth_is_the_sum_over_all_pages_in_any_order_at_any_time() {
    for order in [HistoryOrder::NewestFirst, HistoryOrder::OldestFirst, HistoryOrder::Shuffled] {
        for growth in [FigureGrowth::WhileRunning, FigureGrowth::AtEnd] {
            let config =
                WorldConfig { order, growth, history: 350, late_growth_share: 0.2, ..WorldConfig::default() };
            let api = Api::of(config).await;
            for minutes in [0, 7, 61, 600] {
                api.sim.world().clock().advance(Duration::from_secs(minutes * 60));
                let mut reader = Reader::default();
                reader.read(&api.sweep().await);
                reader.agrees_with(&api);
            }
            api.sim.world().add_queue(&api.gateway(), "late_queue", api.sim.world().clock().now());
            api.sim.world().clock().advance(Duration::from_secs(3_600));
            let mut reader = Reader::default();
            reader.read(&api.sweep().await);
            reader.agrees_with(&api);
            assert!(reader.0.values().any(|(queue, _, _)| queue == "late_queue"));
        }
    }
}

#[tokio::test]
async fn truth_keeps_what_revisions_and_retention_take_away() {
    let api = Api::of(WorldConfig {
        history: 0,
        births_per_hour: 300,
        downward_share: 0.5,
        run_max: Duration::from_secs(900),
        retention: Some(Duration::from_secs(3_600)),
        ..WorldConfig::default()
    })
    .await;
    let mut reader = Reader::default();
    let mut fell = false;
    for _ in 0..30 {
        api.sim.world().clock().advance(Duration::from_secs(300));
        let rows = api.sweep().await;
        fell |= rows.iter().any(|row| {
            reader
                .0
                .get(&text(row, "sessionId"))
                .is_some_and(|seen| usage(row).vcore_seconds < seen.1.vcore_seconds)
        });
        reader.read(&rows);
        reader.agrees_with(&api);
    }
    let facts = api.sim.world().gateways(&api.workspace()).remove(0);
    assert!(fell && facts.listed < facts.born, "{facts:?}");
}

#[tokio::test]
async fn a_seed_makes_a_world() {
    let bodies = async |seed| {
        let api = Api::of(WorldConfig { seed, ..WorldConfig::default() }).await;
        let mut bodies = vec![api.get("/api/v1/workspaces").await];
        for path in [api.clusters_path(), api.sessions_path()] {
            bodies.push(api.get(&path).await);
        }
        bodies
    };
    let first = bodies(3).await;
    assert_eq!(first, bodies(3).await);
    assert_ne!(first[2], bodies(4).await[2]);
}

#[tokio::test]
async fn a_deep_page_of_a_million_sessions_is_the_right_one() {
    let million =
        |order| WorldConfig { order, history: 1_000_000, births_per_hour: 0, ..WorldConfig::default() };
    let newest = Api::of(million(HistoryOrder::NewestFirst)).await;
    let oldest = Api::of(million(HistoryOrder::OldestFirst)).await;
    let mut deep = newest.ids(9_999).await;
    deep.reverse();
    assert_eq!((deep.len(), deep), (100, oldest.ids(2).await));
    let shuffled = Api::of(million(HistoryOrder::Shuffled)).await;
    let deep = shuffled.ids(9_999).await;
    assert_eq!(deep, shuffled.ids(9_999).await);
    let mut seen: BTreeSet<String> = deep.into_iter().collect();
    for number in [1, 2, 5_000, 10_000] {
        seen.extend(shuffled.ids(number).await);
    }
    assert_eq!(seen.len(), 500);
    assert_eq!(shuffled.page(10_001).await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_session_that_runs_says_its_end_in_the_chosen_way() {
    for (running_end, expected) in [
        (RunningEnd::Null, Some(Value::Null)),
        (RunningEnd::Absent, None),
        (RunningEnd::Zero, Some(json!(0))),
        (RunningEnd::Now, Some(json!(START))),
    ] {
        let api = Api::of(WorldConfig { running_end, ..WorldConfig::default() }).await;
        let rows = api.sweep().await;
        let running: Vec<&Value> = rows.iter().filter(|row| row["state"] == "running").collect();
        assert!(!running.is_empty());
        assert!(running.iter().all(|row| row.get("endTime") == expected.as_ref()), "{running_end:?}");
        let over = rows.iter().filter(|row| row["state"] == "terminated");
        assert!(
            over.into_iter()
                .all(|row| row["endTime"].as_i64().unwrap() > row["createTime"].as_i64().unwrap())
        );
    }
}

#[tokio::test]
async fn a_token_paged_list_ends_in_the_chosen_way() {
    for (last_token, expected) in
        [(LastToken::Absent, None), (LastToken::Null, Some(Value::Null)), (LastToken::Empty, Some(json!("")))]
    {
        let options = Options { check_signatures: false, last_token, ..Options::default() };
        let api = Api::start(WorldConfig::default(), options).await;
        let (_, page) = api.get(&api.clusters_path()).await;
        assert_eq!(page.get("nextToken"), expected.as_ref());
    }
}

#[tokio::test]
async fn the_world_changes_when_it_is_told_to() {
    let api = Api::of(WorldConfig::default()).await;
    let world = api.sim.world();
    let workspace = api.workspace();
    let cluster = world.clusters(&workspace).remove(2);
    let path = format!("{}/{}", api.clusters_path(), cluster.id);
    assert!(world.set_cluster_state(&cluster.id, ClusterState::Error, "DriverLost"));
    let (_, got) = api.get(&path).await;
    assert_eq!(got["sessionCluster"]["state"], "Error");
    assert_eq!(got["sessionCluster"]["stateChangeReason"]["code"], "DriverLost");
    assert!(world.remove_cluster(&cluster.id) && !world.remove_cluster(&cluster.id));
    let (status, error) = api.get(&path).await;
    assert_eq!((status, &error["Code"]), (404, &json!("SessionCluster.NotFound")));
    for field in ["Message", "RequestId", "HostId", "Recommend"] {
        assert!(error[field].is_string(), "{error}");
    }
    let (_, page) = api.get(&api.clusters_path()).await;
    assert_eq!(page["totalCount"], 5);

    let gateway = world.add_gateway(&workspace).unwrap();
    let added = || world.gateways(&workspace).into_iter().find(|g| g.id == gateway).unwrap();
    assert_eq!(added().born, 0);
    world.clock().advance(Duration::from_secs(7_200));
    assert!((119..=121).contains(&added().born), "{:?}", added());
    assert!(world.remove_gateway(&gateway));
    let other = world.add_workspace();
    assert_eq!(world.gateways(&other).iter().map(|g| g.born).max(), Some(0));
    assert_eq!(world.clusters(&other).len(), 6);
    assert_eq!(api.get("/api/v1/workspaces").await.1["totalCount"], 3);
}

#[tokio::test]
async fn wrong_paths_and_methods_are_told_apart() {
    let api = Api::of(WorldConfig::default()).await;
    let (status, error) = api.get("/api/v1/workspace").await;
    assert_eq!((status, &error["Code"]), (404, &json!("InvalidAction.NotFound")));
    let (status, error) = api.post("/api/v1/workspaces", &json!({})).await;
    assert_eq!((status, &error["Code"]), (405, &json!("UnsupportedHTTPMethod")));
    let stats = api.sim.stats();
    assert_eq!(stats.requests[&(None, Some(404))], 1);
}

/// One of the vectors that the official SDK's own functions computed, sent as it is.
#[tokio::test]
async fn signatures_nonces_and_dates_are_judged_on_the_wire() {
    let vectors: Value = serde_json::from_str(include_str!("../data/signature-vectors.json")).unwrap();
    let vector =
        vectors["vectors"].as_array().unwrap().iter().find(|v| v["name"] == "list-workspaces-plain").unwrap();
    let field = |name: &str| vector[name].as_str().unwrap();
    let date: jiff::Timestamp = vector["headers"]["x-acs-date"].as_str().unwrap().parse().unwrap();
    let clock = Clock::manual(date.as_millisecond());
    let options = Options {
        keys: vec![AccessKey::new(field("access_key_id"), field("access_key_secret"))],
        clock: clock.clone(),
        ..Options::default()
    };
    let api = Api::start(WorldConfig::default(), options).await;
    let send = async |authorization: &str| {
        let mut request = api.client.get(format!("{}{}", api.sim.url(), field("path")));
        for (name, value) in vector["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        let response = request.header("authorization", authorization).send().await.unwrap();
        assert!(response.headers().contains_key("date"));
        let answer: Value = response.json().await.unwrap();
        answer["Code"].as_str().unwrap_or_default().to_owned()
    };
    let authorization = field("authorization");
    assert_eq!(send(&authorization.replace("Signature=8", "Signature=9")).await, "SignatureDoesNotMatch");
    assert_eq!(send(authorization).await, "");
    assert_eq!(send(authorization).await, "SignatureNonceUsed");
    clock.advance(Duration::from_secs(15 * 60 + 1));
    assert_eq!(send(authorization).await, "InvalidTimeStamp.Expired");
    assert_eq!(api.get("/api/v1/workspaces").await.1["Code"], "IncompleteSignature");
}

#[tokio::test]
async fn more_requests_than_the_rate_are_throttled_in_the_chosen_form() {
    for (form, status, code) in [
        (ThrottleForm::too_many_requests(Duration::from_millis(1_500)), 429, "Throttling.User"),
        (ThrottleForm::bad_request(), 400, "Throttling.Api"),
        (ThrottleForm::unavailable(Duration::from_millis(1_500)), 503, "Throttling"),
    ] {
        let options = Options {
            check_signatures: false,
            requests_per_second: Some(0.01),
            throttle_form: form.clone(),
            ..Options::default()
        };
        let api = Api::start(WorldConfig::default(), options).await;
        assert_eq!(api.get("/api/v1/workspaces").await.0, 200);
        let throttled = api.send("/api/v1/workspaces").await.unwrap();
        assert_eq!(throttled.status(), status);
        let header = |name| throttled.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(header("x-acs-retry-after"), form.acs_retry_after.map(|_| "1500".to_owned()));
        assert_eq!(header("retry-after"), form.retry_after.map(|_| "2".to_owned()));
        let body: Value = throttled.json().await.unwrap();
        assert_eq!(body["Code"], code);
    }
}

#[tokio::test]
async fn requests_are_counted_and_delayed() {
    let api = Api::of(WorldConfig::default()).await;
    api.sim.set_latency(Duration::from_millis(100));
    let begun = std::time::Instant::now();
    tokio::join!(
        api.get("/api/v1/workspaces"),
        api.get("/api/v1/workspaces"),
        api.get("/api/v1/workspaces?maxResults=0")
    );
    assert!(begun.elapsed() >= Duration::from_millis(100));
    let stats = api.sim.stats();
    assert_eq!(stats.in_flight_max, 3);
    assert_eq!(stats.count(Operation::ListWorkspaces), 3);
    assert_eq!(stats.requests[&(Some(Operation::ListWorkspaces), Some(200))], 2);
    assert_eq!(stats.requests[&(Some(Operation::ListWorkspaces), Some(400))], 1);
}
