//! The program as a process: started, looked at, ended. Invariant: none outlives the test that started it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use emr_serverless_spark_exporter::clock::UnixMillis;

use super::{Matcher, PATIENCE, PROGRAM, Page, http, http_get, metric, wait_for, wait_looking_every};

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
    pub fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    /// With something on its standard input.
    pub fn start_with(mut command: Command, stdin: Stdio) -> Self {
        let mut child = command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
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

    /// SIGKILL, at once. That it had not ended by itself is asserted.
    #[track_caller]
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        let ended = self.end(PATIENCE);
        assert_eq!(ended.code, None, "it ended before it was killed: {}", ended.log);
    }

    /// Sets what the system allows it from now on: `fsize=BYTES:unlimited` for the largest file that it may write,
    /// `nofile=COUNT:` for how many it may have open.
    pub fn limit(&self, limit: &str) {
        let limited = Command::new("prlimit")
            .args(["--pid", &self.child.id().to_string(), &format!("--{limit}")])
            .status()
            .expect("prlimit is missing: apt-get install util-linux");
        assert!(limited.success());
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
    pub(super) fn start(command: Command, stdin: Stdio) -> Self {
        let mut process = Running::start_with(command, stdin);
        // What a test does at once should find the program as it begins to listen.
        let soon = Duration::from_millis(5);
        let address = wait_looking_every(soon, "the exporter to listen", || {
            let log = process.log();
            if let Some(address) = log.lines().find_map(listening) {
                return Ok(address);
            }
            assert!(!process.has_ended(), "it ended: {log}");
            Err(log)
        });
        Self { process, address }
    }

    /// Its threads: the name of each, and its scheduling policy.
    pub fn threads(&self) -> Vec<(String, i32)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.child.id())).unwrap();
        // One may end meanwhile.
        let stats = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
        let thread = |stat: String| {
            let (head, fields) = stat.rsplit_once(") ").unwrap();
            let policy = fields.split(' ').nth(41 - 3).unwrap().parse().unwrap();
            (head.split_once('(').unwrap().1.to_owned(), policy)
        };
        stats.map(thread).collect()
    }

    /// Status and body of an answer.
    pub fn get(&self, path: &str) -> (u16, String) {
        http_get(self.address, path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Status and body of an answer to a request that is no GET.
    pub fn request(&self, method: &str, path: &str) -> (u16, String) {
        http(self.address, method, path).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
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

    /// Sends it a signal by name.
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(self) -> Ended {
        self.process.end(PATIENCE)
    }

    /// SIGTERM, and a good end.
    #[track_caller]
    pub fn stop(self) {
        let ended = self.end("TERM");
        assert_eq!(ended.code, Some(0), "{}", ended.log);
    }

    /// SIGKILL, at once.
    #[track_caller]
    pub fn kill(self) {
        self.process.kill();
    }

    /// See [`Running::limit`].
    pub fn limit(&self, limit: &str) {
        self.process.limit(limit);
    }
}
