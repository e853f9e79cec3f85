//! A simulated world in the test's process, and the program as a process that watches it.
//!
//! The world's clock stands still and is moved by the tests, so that the truth holds still, too, and nothing depends on
//! how fast the machine is: a test waits until the exporter shows the truth, and asserts on the way what must never be.

mod page;
mod truth;

pub use page::{PREFIX, Page, Series, metric};
pub use truth::{Truth, counters};

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use emr_serverless_spark_exporter::clock::{Clock, UnixMillis};
use emr_serverless_spark_exporter::sim::{Options, Simulator, World, WorldConfig};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_emr-serverless-spark-exporter");
/// How long anything may take that the exporter does within a few seconds: for machines that are busy otherwise.
const PATIENCE: Duration = Duration::from_secs(60);
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
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let simulator = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
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
        let file = self.directory.path().join("exporter.yaml");
        let yaml = format!(
            "accounts:\n  \
               - name: test\n    \
                 credentials: {{type: static, access_key_id: sim-access-key-id, access_key_secret: sim-access-key-secret}}\n    \
                 regions: [{region}]\n    \
                 endpoint: {url}\n\
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
            region = self.world().config().region,
            url = self.simulator.url(),
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

    /// Sets a variable of the environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The command, with nothing of this process's environment.
    pub fn command(&self) -> Command {
        let mut command = tied(PROGRAM);
        command.env_clear().envs(&self.environment).arg("--config.file").arg(&self.file);
        command
    }

    /// Starts the program and waits until it listens.
    pub fn start(&self) -> Daemon {
        Daemon::start(self.command())
    }

    /// Runs the program where it must end by itself, at once.
    pub fn refused(&self) -> Ended {
        Running::start(self.command()).end(PATIENCE)
    }
}

/// Runs the program with these arguments to its end: exit code, standard output and standard error.
pub fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = assert_cmd::Command::new(PROGRAM);
    let output = command.env_clear().args(arguments).timeout(PATIENCE).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A command that the system kills when the test's thread is gone, however that came about. Linux alone can.
pub fn tied(program: &str) -> Command {
    const SETPRIV: &str = "/usr/bin/setpriv";
    if !Path::new(SETPRIV).exists() {
        return Command::new(program);
    }
    let mut command = Command::new(SETPRIV);
    command.args(["--pdeathsig", "KILL", program]);
    command
}

/// A process that is killed when this is dropped.
pub struct Running {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

/// How a process ended.
pub struct Ended {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub log: String,
    pub took: Duration,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, shared) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        let reader = thread::spawn(move || {
            for line in lines.split(b'\n').map_while(Result::ok) {
                let mut log = shared.lock().unwrap();
                log.push_str(&String::from_utf8_lossy(&line));
                log.push('\n');
            }
        });
        Self { child, log, reader: Some(reader) }
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id();
        let sent = Command::new("sh").args(["-c", &format!("kill -s {name} {pid}")]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self, bound: Duration) -> Ended {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let took = started.elapsed();
                // All of its output is there once the pipe is closed.
                self.reader.take().unwrap().join().unwrap();
                return Ended { code: status.code(), log: self.log(), took };
            }
            assert!(started.elapsed() < bound, "still running after {bound:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
            if thread::panicking() {
                eprintln!("--- log of process {}:\n{}---", self.child.id(), self.log());
            }
        }
    }
}

/// The address in the log line that tells it, as text or as JSON.
fn listening(line: &str) -> Option<SocketAddr> {
    let is_it = line.contains(": listening address=") || line.contains("\"message\":\"listening\"");
    let rest = line.split("address").nth(1).filter(|_| is_it)?;
    let rest = rest.trim_start_matches(['=', '"', ':']);
    rest.split([' ', '"']).next()?.parse().ok()
}

/// A running exporter.
pub struct Daemon {
    process: Running,
    pub address: SocketAddr,
}

impl Daemon {
    fn start(command: Command) -> Self {
        let mut process = Running::start(command);
        let address = wait_for("the exporter to listen", || {
            let log = process.log();
            if let Some(address) = log.lines().find_map(listening) {
                return Ok(address);
            }
            assert!(!process.has_ended(), "it ended: {log}");
            Err(log)
        });
        Self { process, address }
    }

    /// Status and body of an answer.
    pub fn get(&self, path: &str) -> (u16, String) {
        http_get(self.address, path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn scrape(&self) -> Page {
        let (status, body) = self.get("/metrics");
        assert_eq!(status, 200);
        Page::parse(body)
    }

    /// Waits until a page passes; gives that page.
    #[track_caller]
    pub fn until(&self, what: &str, mut passes: impl FnMut(&Page) -> Result<(), String>) -> Page {
        wait_for(what, || {
            let page = self.scrape();
            passes(&page).map(|()| page)
        })
    }

    /// Waits until one sample matches with this value; gives the page.
    #[track_caller]
    pub fn until_is(&self, what: &Matcher, value: f64) -> Page {
        self.until(&format!("{what:?} = {value}"), |page| match what.value_in(page) {
            Some(found) if found == value => Ok(()),
            found => Err(format!("{found:?}")),
        })
    }

    /// Waits until this many more sweeps of a kind of target have ended, well or not; gives the page.
    #[track_caller]
    pub fn sweeps(&self, kind: &str, more: f64) -> Page {
        let ended = metric("exporter_sweep_duration_seconds_count").label("target", kind);
        let goal = ended.sum_in(&self.scrape()) + more;
        self.until("more sweeps", |page| match ended.sum_in(page) {
            count if count >= goal => Ok(()),
            count => Err(format!("{count} of {goal} {kind}")),
        })
    }

    /// When the latest sweep of a gateway or workspace that ended well began.
    #[expect(clippy::cast_possible_truncation, reason = "a time in this century")]
    pub fn began(&self, page: &Page, kind: &str, id: &str) -> Option<UnixMillis> {
        let label = if kind == "livy_sessions" { "livy_compute_id" } else { "workspace_id" };
        let of = |name: &str| metric(name).label("target", kind).label(label, id).value_in(page);
        of("exporter_sweep_success").filter(|success| *success == 1.0)?;
        let ended = of("exporter_sweep_last_success_timestamp_seconds")?;
        let took = of("exporter_sweep_last_duration_seconds")?;
        Some(((ended - took) * 1_000.0) as UnixMillis)
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Sends a signal and waits for the end.
    #[track_caller]
    pub fn end(self, signal: &str) -> Ended {
        self.process.signal(signal);
        self.process.end(PATIENCE)
    }

    /// SIGKILL, at once.
    pub fn kill(self) {
        let ended = self.end("KILL");
        assert_eq!(ended.code, None);
    }
}

pub use page::Matcher;

/// Looks until there is something; panics with the latest reason why not.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) => assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}: {why}"),
        }
        thread::sleep(LOOK);
    }
}

/// A GET by HTTP/1.0: status and body.
pub fn http_get(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
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
