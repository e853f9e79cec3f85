//! The daemon as it is shipped, watching a simulator.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::process::{EXPORTER, Running, free_address, poll};
use crate::scrape::Ask;

/// A running daemon.
pub struct Daemon {
    /// `host:port`
    pub address: String,
    process: Running,
}

impl Daemon {
    /// Starts it with a directory of its own, which is made, and waits until all was swept once and is on the page.
    pub fn start(url: &str, directory: &Path, sessions_interval: &str) -> Outcome<Self> {
        Self::start_program(Path::new(EXPORTER), url, directory, sessions_interval)
    }

    /// The same of another build.
    pub fn start_program(
        program: &Path,
        url: &str,
        directory: &Path,
        sessions_interval: &str,
    ) -> Outcome<Self> {
        fs::create_dir(directory)?;
        let (address, ledger) = (free_address()?, directory.join("ledger.db"));
        let config = format!(
            "accounts:\n  - name: bench\n    regions: [cn-hangzhou]\n    endpoint: {url}\n    credentials: {{type: static, \
             access_key_id: sim-access-key-id, access_key_secret: sim-access-key-secret}}\n\
             collectors:\n  workspaces: {{interval: 1h}}\n  session_clusters: {{interval: 1h}}\n  \
             livy_gateways: {{interval: 1h}}\n  livy_sessions: {{interval: {sessions_interval}}}\n\
             api: {{requests_per_second: 1000}}\nexposition: {{stale_after: 1day}}\n\
             ledger: {{path: {}, backup_interval: 0s}}\nweb: {{listen_address: \"{address}\"}}\nlog: {{level: warn}}\n",
            ledger.display()
        );
        fs::write(directory.join("exporter.yaml"), config)?;
        fs::write(directory.join("address"), &address)?;
        let process = spawn(program, directory)?;
        poll(&address, "/-/ready", "", Duration::from_millis(50))?;
        std::thread::sleep(Duration::from_secs(1));
        Ok(Self { address, process })
    }

    /// Starts it again where it was, and ends it: seconds until its page was there.
    pub fn start_on(directory: &Path) -> Outcome<f64> {
        let address = fs::read_to_string(directory.join("address"))?;
        let started = Instant::now();
        let process = spawn(Path::new(EXPORTER), directory)?;
        poll(&address, "/metrics", "livy_cu_seconds_total{", Duration::from_millis(1))?;
        let took = started.elapsed().as_secs_f64();
        drop(process);
        Ok(took)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// To be scraped.
    pub fn ask(&self, gzip: bool) -> Ask<'_> {
        Ask { address: &self.address, pid: self.pid(), gzip }
    }
}

fn spawn(program: &Path, directory: &Path) -> Outcome<Running> {
    let mut command = Command::new(program);
    Ok(Running(command.args(["serve", "--config.file"]).arg(directory.join("exporter.yaml")).spawn()?))
}
