//! Processes: what this one used, and others that are started and ended.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{Outcome, children};

/// The program under test, as it is shipped.
pub const EXPORTER: &str = env!("CARGO_BIN_EXE_emr-serverless-spark-exporter");
/// Between the births of two sessions: a million of them in thirty days.
pub const BIRTH_GAP: Duration = Duration::from_millis(2_592);
/// Jiffies a second in `/proc`, on every architecture that Linux has today.
const TICKS_PER_SECOND: f64 = 100.0;
/// The longest that a figure is waited for.
const POLL_MAX: Duration = Duration::from_secs(600);

/// CPU seconds that this process has used so far, in user and kernel, ended threads included.
pub fn cpu_seconds() -> Outcome<f64> {
    cpu_seconds_in("/proc/self/stat")
}

/// The same of another process, and of its children that run.
pub fn cpu_seconds_of(pid: u32) -> Outcome<f64> {
    let mut seconds = cpu_seconds_in(&format!("/proc/{pid}/stat"))?;
    for child in std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?.split_whitespace() {
        seconds += cpu_seconds_in(&format!("/proc/{child}/stat"))?;
    }
    Ok(seconds)
}

fn cpu_seconds_in(file: &str) -> Outcome<f64> {
    let stat = std::fs::read_to_string(file)?;
    // The name in parentheses can hold blanks; the times are the 14th and 15th field.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let mut ticks = 0_u32;
    for field in fields {
        ticks += field.parse::<u32>()?;
    }
    Ok(f64::from(ticks) / TICKS_PER_SECOND)
}

/// The most memory that this process has held at a time, in MiB.
pub fn rss_peak_mib() -> Outcome<f64> {
    memory_mib(std::process::id(), "VmHWM")
}

/// A figure of `/proc/PID/status`, in MiB: `VmRSS` for now, `VmHWM` for the most.
pub fn memory_mib(pid: u32, name: &str) -> Outcome<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such figure in /proc")?;
    let kib: f64 = line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

/// An address on loopback that nothing listens on now.
pub fn free_address() -> Outcome<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Runs this program again in a role of [`children`] and returns what it reports.
pub fn measured(role: &str, arguments: &[&str]) -> Outcome<Value> {
    let output = Command::new(std::env::current_exe()?)
        .args([children::FLAG, role])
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the child {role} failed: {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A number of a child's report.
pub fn number(report: &Value, name: &str) -> Outcome<f64> {
    Ok(report[name].as_f64().ok_or_else(|| format!("no number {name} in {report}"))?)
}

/// A process that is killed when it is no longer needed.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process of this benchmark that stands still for as long as this lives.
pub struct Paused(Pid);

impl Paused {
    /// Stops it where it is.
    pub fn new(pid: u32) -> Outcome<Self> {
        let pid = Pid::from_raw(i32::try_from(pid)?).ok_or("no process has the id 0")?;
        kill_process(pid, Signal::STOP)?;
        Ok(Self(pid))
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// A simulator in a process of its own.
pub struct Simulator {
    process: Running,
    /// Its URL.
    pub url: String,
}

impl Simulator {
    /// Starts it on a free port, with so many sessions, so long between the births of two of them, and so long an answer.
    pub fn start(sessions: u32, gap: Duration, latency: Duration) -> Outcome<Self> {
        Self::spawn("simulator", &[sessions.into(), gap.as_millis(), latency.as_millis()])
    }

    /// Starts it with so many gateways, in each of which 500 sessions run; their order may be one that proves nothing.
    pub fn crowd(gateways: u32, shuffled: bool) -> Outcome<Self> {
        Self::spawn("crowd", &[gateways.into(), shuffled.into()])
    }

    fn spawn(role: &str, numbers: &[u128]) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([children::FLAG, role])
            .args(numbers.iter().map(u128::to_string))
            .stdout(Stdio::piped())
            .spawn()?;
        let pipe = child.stdout.take().ok_or("no pipe")?;
        let process = Running(child);
        let mut url = String::new();
        BufReader::new(pipe).read_line(&mut url)?;
        if url.is_empty() {
            return Err("the simulator did not start".into());
        }
        Ok(Self { process, url: url.trim().to_owned() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

/// The body of an answer with status 200; `None` where there is none yet.
pub fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

/// Asks again after each `gap` until the answer is 200 and holds `text`; returns its body.
pub fn poll(address: &str, path: &str, text: &str, gap: Duration) -> Outcome<String> {
    let started = Instant::now();
    while started.elapsed() < POLL_MAX {
        if let Some(body) = get(address, path).filter(|body| body.contains(text)) {
            return Ok(body);
        }
        std::thread::sleep(gap);
    }
    Err(format!("no {text:?} at http://{address}{path} after {POLL_MAX:?}").into())
}

/// The value of the first sample whose line begins so.
pub fn sample(page: &str, series: &str) -> Outcome<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(series));
    let value = line.and_then(|rest| rest.split_whitespace().last());
    Ok(value.ok_or_else(|| format!("no {series}"))?.parse()?)
}
