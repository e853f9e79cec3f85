//! A simulated world in the test's process, and the program as a process that watches it.
//!
//! The world's clock stands still and is moved by the tests, so that the truth holds still, too, and nothing depends on
//! how fast the machine is: a test waits until the exporter shows the truth, and asserts on the way what must never be.

mod ledger;
mod page;
mod process;
mod proxy;
mod tls;
mod truth;

pub use ledger::sound;
pub use page::{Matcher, PREFIX, Page, Series, metric};
pub use process::{Daemon, Ended, Running, run, tied};
pub use proxy::{Proxy, authorization};
pub use tls::{Authority, Identity};
pub use truth::{Truth, counters};

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use emr_serverless_spark_exporter::clock::Clock;
use emr_serverless_spark_exporter::sim::{AccessKey, Options, Simulator, World, WorldConfig};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_emr-serverless-spark-exporter");
/// How long anything may take that the exporter does within a few seconds: for machines that are busy otherwise.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(40);

/// A minute of virtual time, mostly.
pub const MINUTE: Duration = Duration::from_secs(60);
/// An hour of virtual time.
pub const HOUR: Duration = Duration::from_secs(3_600);

/// A simulator and a directory for what the program writes.
pub struct Lab {
    pub simulator: Simulator,
    /// Where the ledger is.
    pub directory: TempDir,
    _runtime: Runtime,
}

/// A world that stands still, small enough to be read in a second and large enough for many pages.
pub fn world() -> WorldConfig {
    WorldConfig { history: 150, speed: 0.0, ..WorldConfig::default() }
}

impl Lab {
    pub fn new(world: WorldConfig) -> Self {
        Self::with_options(world, Options::default())
    }

    pub fn with_options(world: WorldConfig, options: Options) -> Self {
        Self::listening("127.0.0.1:0", world, options)
    }

    /// A simulator that listens on an address of one's choice.
    pub fn listening(address: &str, world: WorldConfig, options: Options) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let simulator = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind(address).await.unwrap();
            Simulator::start(listener, World::new(world), options).unwrap()
        });
        Self { simulator, directory: tempfile::tempdir().unwrap(), _runtime: runtime }
    }

    pub fn world(&self) -> &World {
        self.simulator.world()
    }

    /// Moves the world's clock.
    pub fn advance(&self, by: Duration) {
        self.world().clock().advance(by);
    }

    pub fn truth(&self) -> Truth {
        Truth::of(self.world())
    }

    pub fn ledger(&self) -> PathBuf {
        self.directory.path().join("ledger.db")
    }

    /// Settings of an exporter that watches this world, in a hurry.
    pub fn settings(&self) -> Settings {
        self.settings_for(&[self.account("test", &AccessKey::defaults()[0], &self.simulator.url())])
    }

    /// An account's settings: this world, by way of an endpoint; an empty one leaves the service's own.
    pub fn account(&self, name: &str, key: &AccessKey, endpoint: &str) -> String {
        format!(
            "  - name: {name}\n    \
                 credentials: {{type: static, access_key_id: {id}, access_key_secret: {secret}}}\n    \
                 regions: [{region}]\n    \
                 endpoint: {endpoint}\n",
            id = key.id,
            secret = key.secret,
            region = self.world().config().region,
        )
    }

    /// Settings of an exporter that watches these accounts, in a hurry.
    pub fn settings_for(&self, accounts: &[String]) -> Settings {
        let file = self.directory.path().join("exporter.yaml");
        let yaml = format!(
            "accounts:\n{accounts}\
             collectors:\n  \
               workspaces: {{interval: 1s, page_size: 2}}\n  \
               session_clusters: {{interval: 1s, page_size: 2}}\n  \
               livy_gateways: {{interval: 1s}}\n  \
               livy_sessions: {{interval: 1s, page_size: 20}}\n\
             api: {{requests_per_second: 1000, retries: 2}}\n\
             ledger: {{path: {ledger}}}\n\
             exposition: {{zero_hold: 0s, stale_after: 1m}}\n\
             web: {{listen_address: \"127.0.0.1:0\"}}\n\
             log: {{level: debug}}\n",
            accounts = accounts.concat(),
            ledger = self.ledger().display(),
        );
        std::fs::write(&file, yaml).unwrap();
        Settings { file, environment: BTreeMap::new() }
    }

    /// Starts an exporter with the usual settings.
    pub fn start(&self) -> Daemon {
        self.settings().start()
    }

    /// Waits until a sweep of every gateway's history that began after this call has ended well and the counters equal
    /// the truth, and asserts that they were never beyond it. Gives the page.
    #[track_caller]
    pub fn settle(&self, daemon: &Daemon) -> Page {
        self.settle_at(daemon, &self.truth())
    }

    /// As [`Lab::settle`], at counters of one's own reckoning.
    #[track_caller]
    pub fn settle_at(&self, daemon: &Daemon, truth: &Truth) -> Page {
        let gateways: Vec<String> = self
            .world()
            .workspace_ids()
            .iter()
            .flat_map(|workspace| self.world().gateways(workspace))
            .map(|gateway| gateway.id)
            .collect();
        let moment = Clock::System.now();
        daemon.until("a sweep of every gateway", |page| {
            truth.assert_not_exceeded(page);
            let swept =
                |id: &String| daemon.began(page, "livy_sessions", id).is_some_and(|began| began > moment);
            if gateways.iter().all(swept) { Ok(()) } else { Err("not yet".to_owned()) }
        });
        daemon.until("the truth", |page| {
            truth.assert_not_exceeded(page);
            truth.equals(page)
        })
    }
}

/// Settings as a file, and changes to it by environment variables.
#[derive(Clone)]
pub struct Settings {
    pub file: PathBuf,
    environment: BTreeMap<String, String>,
}

impl Settings {
    /// Changes a setting, such as `api.retries`.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        let name = format!("EMR_SPARK_EXPORTER__{}", key.to_uppercase().replace('.', "__"));
        self.environment.insert(name, value.to_owned());
        self
    }

    /// Other credentials than the simulator's long-lived key, in YAML, with the simulator as STS and metadata service.
    pub fn credentials(self, yaml: &str, simulator: &str) -> Self {
        let text = std::fs::read_to_string(&self.file).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let line = lines.iter_mut().find(|line| line.starts_with("    credentials: ")).unwrap();
        *line = format!(
            "    credentials: {yaml}\n    sts_endpoint: {simulator}\n    metadata_endpoint: {simulator}"
        );
        std::fs::write(&self.file, lines.join("\n")).unwrap();
        self
    }

    /// Sets a variable of the environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The command, with nothing of this process's environment.
    pub fn command(&self) -> Command {
        self.command_after(&[])
    }

    /// Starts another command, such as one of these settings with further arguments, and waits until it listens.
    pub fn start_as(command: Command) -> Daemon {
        Daemon::start(command, Stdio::null())
    }

    /// The command as what another one starts in its own place.
    pub fn command_after(&self, line: &[&str]) -> Command {
        let line = [line, &[PROGRAM]].concat();
        let mut command = tied(line[0]);
        command.args(&line[1..]).env_clear().envs(&self.environment).arg("--config.file").arg(&self.file);
        command
    }

    /// Starts the program and waits until it listens.
    pub fn start(&self) -> Daemon {
        Self::start_as(self.command())
    }

    /// Starts the program where a file that grows over a limit is an error to it, not its end, and waits until it
    /// listens.
    pub fn start_limitable(&self) -> Daemon {
        Self::start_as(self.command_after(&["/bin/sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]))
    }

    /// Starts the program with a listening socket as systemd passes it, and waits until it listens.
    pub fn start_with_socket(&self, socket: OwnedFd) -> Daemon {
        Daemon::start(self.command_with_socket(), socket.into())
    }

    /// As [`Settings::start_with_socket`], without waiting.
    pub fn process_with_socket(&self, socket: OwnedFd) -> Running {
        Running::start_with(self.command_with_socket(), socket.into())
    }

    /// The command that takes a socket from its standard input and passes it on.
    fn command_with_socket(&self) -> Command {
        const PASS: &str = "export LISTEN_PID=$$ LISTEN_FDS=1; exec 3<&0; exec \"$0\" \"$@\" --web.systemd-socket </dev/null";
        self.command_after(&["/bin/sh", "-c", PASS])
    }

    /// Runs the program where it must end by itself, at once.
    pub fn refused(&self) -> Ended {
        Running::start(self.command()).end(PATIENCE)
    }
}

/// Looks until there is something; panics with the latest reason why not.
#[track_caller]
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    wait_looking_every(LOOK, what, look)
}

/// As [`wait_for`], with this much time between two looks.
#[track_caller]
pub fn wait_looking_every<T>(
    interval: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let started = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) => assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}: {why}"),
        }
        thread::sleep(interval);
    }
}

/// A GET by HTTP/1.0: status and body.
pub fn http_get(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    http(address, "GET", path)
}

/// A request without a body by HTTP/1.0: status and body.
pub fn http(address: SocketAddr, method: &str, path: &str) -> std::io::Result<(u16, String)> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    http_on(stream, method, path)
}

/// As [`http_get`], on an open connection.
pub fn http_get_on(stream: impl Read + Write, path: &str) -> std::io::Result<(u16, String)> {
    http_on(stream, "GET", path)
}

fn http_on(mut stream: impl Read + Write, method: &str, path: &str) -> std::io::Result<(u16, String)> {
    // In one piece, for servers that are told to be impatient.
    stream.write_all(format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let broken = || std::io::Error::other("not an HTTP answer");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
    Ok((status, body.to_owned()))
}

/// A port that nothing listens on now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
