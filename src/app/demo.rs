//! The simulator alone, and with an exporter that watches it.

use std::io::Write;
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;

use super::{AppError, Exporter, ServingThreads, ended_by_signal};
use crate::cli::{DemoFlags, SimFlags};
use crate::config::{self, Config, LoadRequest};
use crate::server::{self, Handed};
use crate::sim::{AccessKey, CREDENTIALS_PATH, Options, Simulator, TlsIdentity, World, WorldConfig};

/// Runs the simulator and an exporter that watches it, until the process is told to end.
///
/// # Errors
/// Where one of the two cannot start.
pub async fn demo(flags: DemoFlags) -> Result<(), AppError> {
    let ended = ended_by_signal()?;
    let listener = server::bind(&flags.sim_listen_address, "--sim.listen-address").await?;
    let world =
        World::new(WorldConfig { seed: flags.sim_seed, speed: flags.sim_speed, ..WorldConfig::default() });
    let simulator = start(listener, world, Options::default())?;
    let scratch = Scratch::new();
    let ledger = flags.ledger_path.unwrap_or_else(|| scratch.0.join("ledger.db").display().to_string());
    let config = watching(&simulator, &flags.web_listen_address, &ledger)?;
    let mut exporter =
        Exporter::start(config, Vec::new(), ServingThreads::start()?, Handed::none(), None).await?;
    announce(&exporter, &simulator, flags.sim_speed);
    let ended = tokio::select! {
        () = ended => Ok(()),
        defect = exporter.defect() => Err(defect),
    };
    exporter.stop().await;
    simulator.stop().await;
    ended
}

/// Runs the simulator alone, until the process is told to end.
///
/// # Errors
/// Where it cannot start.
pub async fn simulate(flags: SimFlags) -> Result<(), AppError> {
    let ended = ended_by_signal()?;
    let listener = server::bind(&flags.listen_address, "--sim.listen-address").await?;
    let world = World::new(WorldConfig {
        seed: flags.seed,
        speed: flags.speed,
        workspaces: flags.workspaces,
        session_clusters: flags.session_clusters,
        gateways: flags.gateways,
        history: flags.history.into(),
        births_per_hour: flags.births_per_hour,
        ..WorldConfig::default()
    });
    let requests_per_second = Some(flags.requests_per_second).filter(|rate| *rate > 0.0);
    let tls = flags.tls_cert.zip(flags.tls_key).map(|(cert, key)| identity(&cert, &key)).transpose()?;
    let simulator = start(listener, world, Options { requests_per_second, tls, ..Options::default() })?;
    simulator.set_latency(flags.latency);
    let keys = key();
    say(&format!(
        "Simulator of the EMR Serverless Spark API at {url}, region {region}\n  \
         key id {id}, key secret {secret} (made up)\n  truth  {url}/sim/v1/truth\n  \
         STS, a metadata service of ECS, and keys at {url}{uri}\n\nCtrl-C ends it.",
        url = simulator.url(),
        region = simulator.world().config().region,
        uri = CREDENTIALS_PATH,
        id = keys.id,
        secret = keys.secret,
    ));
    ended.await;
    simulator.stop().await;
    Ok(())
}

fn identity(cert: &Path, key: &Path) -> Result<TlsIdentity, AppError> {
    let read = |path: &Path| {
        std::fs::read_to_string(path)
            .map_err(|source| AppError::SimulatorFile { path: path.to_owned(), why: source.to_string() })
    };
    TlsIdentity::from_pem(&read(cert)?, &read(key)?)
        .map_err(|error| AppError::SimulatorFile { path: cert.to_owned(), why: error.to_string() })
}

fn start(listener: TcpListener, world: World, options: Options) -> Result<Simulator, AppError> {
    Simulator::start(listener, world, options)
        .map_err(|source| AppError::System { doing: "starting the simulator", source })
}

/// The long-lived key that the simulator knows.
fn key() -> AccessKey {
    AccessKey::defaults().into_iter().next().unwrap_or_else(|| AccessKey::new("", ""))
}

/// Settings of an exporter that watches the simulator, in a hurry as its time is.
fn watching(simulator: &Simulator, listen_address: &str, ledger: &str) -> Result<Config, AppError> {
    let key = key();
    let endpoint = simulator.url();
    let settings = [
        ("accounts[0].name", "demo"),
        ("accounts[0].regions", &simulator.world().config().region),
        ("accounts[0].endpoint", &endpoint),
        ("accounts[0].credentials.type", "static"),
        ("accounts[0].credentials.access_key_id", &key.id),
        ("accounts[0].credentials.access_key_secret", &key.secret),
        ("collectors.workspaces.interval", "30s"),
        ("collectors.session_clusters.interval", "5s"),
        ("collectors.livy_gateways.interval", "15s"),
        ("collectors.livy_sessions.interval", "5s"),
        ("api.requests_per_second", "100"),
        ("exposition.zero_hold", "15s"),
        ("exposition.stale_after", "2m"),
        ("web.listen_address", listen_address),
        ("ledger.path", ledger),
    ];
    let overrides = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let environment: [(String, String); 0] = [];
    Ok(config::load(LoadRequest { file: None, environment, overrides })?)
}

fn announce(exporter: &Exporter, simulator: &Simulator, speed: f64) {
    let address = exporter.addresses().first().map_or_else(String::new, ToString::to_string);
    let (exporter, simulator) = (format!("http://{address}"), simulator.url());
    say(&format!(
        "Demo: an exporter that watches a simulated account, whose time runs {speed} times as fast\n  \
         metrics    {exporter}/metrics\n  status     {exporter}/\n  simulator  {simulator}\n\n\
         Try, in another shell:\n  \
         curl -s {exporter}/metrics | grep livy_cu_seconds_total\n  \
         curl -s {exporter}/-/ready\n  \
         curl -s {simulator}/sim/v1/truth\n\n\
         Ctrl-C ends it."
    ));
}

/// Prints to standard output, which may be closed.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A directory for a ledger that nobody keeps; removed with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("emr-serverless-spark-exporter-demo-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Absent where the ledger was put elsewhere.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
