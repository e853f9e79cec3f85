//! The official Python packages judge the simulator: every operation and every way to keys, signature check on.

use std::path::{Path, PathBuf};
use std::process::Command;

use emr_serverless_spark_exporter::sim::{HistoryOrder, Options, Simulator, World, WorldConfig};
use tokio::net::TcpListener;

/// The Python that has the SDK, and the parsers of prometheus_client.
pub fn python() -> PathBuf {
    let installed = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/sdk-venv/bin/python");
    let python = std::env::var_os("SDK_PYTHON").map_or_else(installed, PathBuf::from);
    assert!(python.exists(), "no {}: run make test, which installs it", python.display());
    python
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_sdk_agrees_with_the_simulated_world() {
    let world = World::new(WorldConfig {
        seed: 7,
        start: 1_768_213_240_000,
        speed: 0.0,
        workspaces: 3,
        queues: 4,
        session_clusters: 23,
        history: 257,
        order: HistoryOrder::Shuffled,
        error_share: 0.2,
        equal_time_share: 0.1,
        late_growth_share: 0.1,
        ..WorldConfig::default()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let simulator = Simulator::start(listener, world, Options::default()).unwrap();
    println!("{}", judge("judge.py", &simulator).await);
    simulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_credentials_package_agrees_with_each_way_to_keys() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::new(WorldConfig { history: 1, ..WorldConfig::default() });
    let simulator = Simulator::start(listener, world, Options::default()).unwrap();
    println!("{}", judge("credentials.py", &simulator).await);
    simulator.stop().await;
}

/// Runs a judge to its end; it must have passed. Gives its last line.
async fn judge(script: &str, simulator: &Simulator) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(script);
    let mut command = Command::new(python());
    command.arg(script).arg(simulator.addr().to_string());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let [said, complained] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    assert!(output.status.success(), "{complained}\nlast checks: {last:#?}");
    assert!(said.trim_end().ends_with(" checks passed"), "{last:#?}");
    last[0].to_owned()
}
