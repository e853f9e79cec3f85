//! The daemon as a process that is killed, or whose disk is full, against a world that grows: in the end the totals are
//! the truth, to the last integer.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use emr_serverless_spark_exporter::ledger;
use emr_serverless_spark_exporter::model::Usage;
use emr_serverless_spark_exporter::sim::{AccessKey, Options, Simulator, World, WorldConfig};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::net::TcpListener;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_emr-serverless-spark-exporter");
/// How long anything may take that is sure to happen.
const PATIENCE: Duration = Duration::from_secs(90);

/// A simulated account and a directory for the ledger of the daemon that watches it.
pub(crate) struct Scene {
    pub(crate) sim: Simulator,
    pub(crate) directory: tempfile::TempDir,
}

/// A daemon, killed when it is dropped.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    pub(crate) url: String,
}

/// By gateway and queue: usage, sessions created, terminated and in error.
type Totals = BTreeMap<(String, String), (Usage, u64, u64, u64)>;

impl Scene {
    pub(crate) async fn new(config: WorldConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sim = Simulator::start(listener, World::new(config), Options::default()).unwrap();
        let scene = Self { sim, directory: tempfile::tempdir().unwrap() };
        scene.configure("");
        scene
    }

    /// Writes the settings: in a hurry, with small pages, and `more` lines of the section `ledger`.
    pub(crate) fn configure(&self, more: &str) {
        let key = AccessKey::defaults().remove(0);
        let text = format!(
            "accounts:
  - name: test
    regions: [{region}]
    endpoint: {endpoint}
    credentials: {{type: static, access_key_id: \"{id}\", access_key_secret: \"{secret}\"}}
collectors:
  workspaces: {{interval: 1s}}
  session_clusters: {{interval: 1s}}
  livy_gateways: {{interval: 1s}}
  livy_sessions: {{interval: 1s, page_size: 20}}
api: {{requests_per_second: 1000, max_in_flight: 8}}
exposition: {{zero_hold: 0s}}
web: {{listen_address: \"127.0.0.1:0\"}}
ledger:
  path: {ledger}
{more}",
            region = self.sim.world().config().region,
            endpoint = self.sim.url(),
            id = key.id,
            secret = key.secret,
            ledger = self.ledger().display(),
        );
        fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.directory.path().join("exporter.yaml")
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.directory.path().join("ledger.db")
    }

    /// Starts the daemon. A file that grows over a limit is an error to it, not its end.
    fn spawn(&self) -> Daemon {
        let child = Command::new("sh")
            .args([
                "-c",
                "trap '' XFSZ; exec \"$0\" \"$@\"",
                PROGRAM,
                "--log.format",
                "json",
                "--config.file",
            ])
            .arg(self.config())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Daemon { child, url: String::new() }
    }

    /// Starts the daemon and waits until it listens.
    pub(crate) fn daemon(&self) -> Daemon {
        let mut daemon = self.spawn();
        let (tell, told) = std::sync::mpsc::channel();
        let lines = BufReader::new(daemon.child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Nobody listens any more once the address is known; the pipe must not fill up.
                let _ = tell.send(line);
            }
        });
        let mut seen = Vec::new();
        loop {
            let line = told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no daemon: {seen:#?}"));
            let json: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if json["message"] == "listening" {
                daemon.url = format!("http://{}", json["address"].as_str().unwrap());
                return daemon;
            }
            seen.push(line);
        }
    }

    pub(crate) fn truth(&self) -> Totals {
        let world = self.sim.world();
        let mut totals = Totals::new();
        for workspace in world.workspace_ids() {
            for gateway in world.gateways(&workspace) {
                for (queue, truth) in world.truth(&workspace, &gateway.id) {
                    let ended = |state| truth.ended.get(state).copied().unwrap_or(0);
                    let row = (truth.usage, truth.created, ended("terminated"), ended("error"));
                    totals.insert((gateway.id.clone(), queue), row);
                }
            }
        }
        totals
    }

    /// What the ledger on disk holds.
    pub(crate) fn counted(&self) -> Totals {
        let inspection = ledger::inspect(&self.ledger()).unwrap();
        let mut totals = Totals::new();
        for (id, gateway) in &inspection.totals.gateways {
            for (queue, series) in &gateway.series {
                let row = (series.usage(), series.created, series.terminated, series.error);
                totals.insert((id.livy_compute_id.clone(), queue.clone()), row);
            }
        }
        totals
    }

    /// Waits until the ledger holds the truth of a world that stands still.
    pub(crate) async fn settled(&self) {
        let truth = self.truth();
        let begun = Instant::now();
        while self.counted() != truth {
            assert!(begun.elapsed() < PATIENCE, "counted {:#?}\nof {truth:#?}", self.counted());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Daemon {
    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and a good end.
    pub(crate) fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }

    pub(crate) async fn scrape(&self) -> String {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.get(format!("{}/metrics", self.url)).send().await.unwrap().text().await.unwrap()
    }

    /// The sum of the samples of a family.
    pub(crate) async fn sample(&self, name: &str) -> f64 {
        let name = format!("emr_serverless_spark_{name}");
        let page = self.scrape().await;
        let of_family =
            |line: &&str| line.strip_prefix(&name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        page.lines()
            .filter(of_family)
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// The largest file that it may write from now on.
    fn limit_files(&self, bytes: &str) {
        let limited = Command::new("prlimit")
            .args(["--pid", &self.child.id().to_string(), &format!("--fsize={bytes}:unlimited")])
            .status()
            .expect("prlimit is missing: apt-get install util-linux");
        assert!(limited.success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn assert_not_fallen(before: &Totals, after: &Totals) {
    for (series, (usage, created, terminated, error)) in before {
        let now = &after[series];
        assert_eq!(now.0.highest(*usage), now.0, "{series:?} fell");
        assert!(now.1 >= *created && now.2 >= *terminated && now.3 >= *error, "{series:?} fell");
    }
}

pub(crate) fn sound(ledger: &Path) -> ledger::Checked {
    ledger::verify(ledger).unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_are_exact_after_kills_at_any_moment() {
    let soak = std::env::var("SOAK").is_ok_and(|soak| soak == "1");
    let kills = if soak { 200 } else { 20 };
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u32>);
    println!("SEED={seed}, {kills} kills");
    let mut random = SmallRng::seed_from_u64(seed.into());
    let scene = Scene::new(WorldConfig {
        seed: u64::from(seed),
        speed: 240.0,
        workspaces: 1,
        history: 300,
        births_per_hour: if soak { 60 } else { 300 },
        late_growth_share: 0.1,
        ..WorldConfig::default()
    })
    .await;
    scene.sim.set_latency(Duration::from_millis(2));
    let mut before = Totals::new();
    for kill in 0..kills {
        // One in four does not come to listen: it is killed while it opens the ledger, or creates it.
        let (daemon, life) = match random.random_range(0..4) {
            0 => (scene.spawn(), random.random_range(0..60)),
            _ => (scene.daemon(), random.random_range(0..800)),
        };
        tokio::time::sleep(Duration::from_millis(life)).await;
        daemon.kill();
        if !scene.ledger().exists() && before.is_empty() {
            continue;
        }
        sound(&scene.ledger());
        let after = scene.counted();
        assert_not_fallen(&before, &after);
        before = after;
        if kill == kills / 2 {
            scene.sim.world().clock().advance(Duration::from_secs(3_600));
        }
    }
    assert!(!before.is_empty(), "no daemon lived long enough to count anything");
    scene.sim.world().clock().freeze();
    let daemon = scene.daemon();
    scene.settled().await;
    daemon.stop();
    let checked = sound(&scene.ledger());
    println!("{} commits, {} sessions", checked.commits, checked.sessions);
    assert_eq!(scene.counted(), scene.truth());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_fails_commits_and_loses_nothing() {
    let scene = Scene::new(WorldConfig {
        speed: 0.0,
        workspaces: 1,
        history: 200,
        births_per_hour: 600,
        ..WorldConfig::default()
    })
    .await;
    let daemon = scene.daemon();
    scene.settled().await;
    let before = scene.counted();
    assert_eq!(daemon.sample("exporter_ledger_commit_failures_total").await, 0.0);
    // Room for the beginning of a sweep: it is a page of sessions that finds the disk full.
    let log = fs::metadata(scene.directory.path().join("ledger.db-wal")).unwrap().len();
    daemon.limit_files(&(log + 150_000).to_string());
    scene.sim.world().clock().advance(Duration::from_secs(3_600));
    let begun = Instant::now();
    while daemon.sample("exporter_ledger_commit_failures_total").await < 5.0
        || daemon.sample("exporter_sweep_failures_total").await < 2.0
    {
        assert!(begun.elapsed() < PATIENCE, "{}", daemon.scrape().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What is shown is what is on disk: as before, or counted in a commit that still found room.
    let after = scene.counted();
    assert_not_fallen(&before, &after);
    assert_ne!(after, scene.truth());
    let cu_seconds: f64 = after.values().map(|(usage, ..)| usage.cu_seconds()).sum();
    let shown = daemon.sample("livy_cu_seconds_total").await;
    assert!((shown - cu_seconds).abs() <= 1e-9 * cu_seconds, "{shown} is shown of {cu_seconds}");
    daemon.limit_files("unlimited");
    scene.settled().await;
    daemon.stop();
    sound(&scene.ledger());
    assert_eq!(scene.counted(), scene.truth());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_left_the_list_long_ago_is_pruned_and_stays_counted() {
    const DAY: Duration = Duration::from_secs(86_400);
    let now = emr_serverless_spark_exporter::clock::Clock::System.now();
    let scene = Scene::new(WorldConfig {
        start: now - 10 * 86_400_000,
        speed: 0.0,
        workspaces: 1,
        gateways: 1,
        history: 200,
        history_span: DAY,
        births_per_hour: 0,
        retention: Some(DAY * 2),
        ..WorldConfig::default()
    })
    .await;
    scene.configure("  retention: 1day\n");
    let daemon = scene.daemon();
    scene.settled().await;
    let (before, kept) = (scene.counted(), sound(&scene.ledger()).sessions);
    scene.sim.world().clock().advance(DAY * 5);
    let begun = Instant::now();
    while daemon.sample("exporter_ledger_pruned_sessions_total").await == 0.0 {
        assert!(begun.elapsed() < PATIENCE, "{}", daemon.scrape().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    daemon.stop();
    let checked = sound(&scene.ledger());
    // Those that ran when they were last seen are kept: how they ended, nobody knows.
    assert!(checked.pruned > 150 && checked.pruned + checked.sessions == kept, "{checked:?} of {kept}");
    assert_eq!(scene.counted(), before);
}
