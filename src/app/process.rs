//! What the operating system tells of this process, read at each scrape: from files of `/proc` that stay open, as opening
//! and listing them would cost as much as the rest of the scrape.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::clock::Clock;
use crate::metrics::ProcessFigures;

const STAT: &str = "/proc/self/stat";
const DESCRIPTORS: &str = "/proc/self/fd";
/// More than 52 numbers of 64 bits take.
const STAT_BYTES_MAX: usize = 2048;

/// See the module.
#[derive(Debug)]
pub(super) struct Process {
    stat: Option<File>,
    descriptors: Option<File>,
    started_seconds: Option<f64>,
}

impl Process {
    /// Of a system without `/proc` little is told.
    pub(super) fn new(clock: &Clock) -> Self {
        let (stat, descriptors) = (File::open(STAT).ok(), File::open(DESCRIPTORS).ok());
        let started = read(stat.as_ref()).map(|stat| started(&stat, clock));
        Self { stat, descriptors, started_seconds: started }
    }

    /// As it is now.
    pub(super) fn figures(&self) -> ProcessFigures {
        let stat = read(self.stat.as_ref());
        let limit = getrlimit(Resource::Nofile).current;
        ProcessFigures {
            cpu_seconds: Some(elapsed(ClockId::ProcessCPUTime).as_secs_f64()),
            fds_max: Some(limit.map_or(f64::INFINITY, float)),
            fds_open: self.descriptors.as_ref().and_then(count),
            resident_bytes: stat.map(|stat| float(stat.resident_pages) * float(page_size() as u64)),
            started_seconds: self.started_seconds,
            threads: stat.map(|stat| float(stat.threads)),
            virtual_bytes: stat.map(|stat| float(stat.virtual_bytes)),
        }
    }
}

/// What is read of `/proc/self/stat` (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    threads: u64,
    /// Since the machine was started, in clock ticks.
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(text: &[u8]) -> Option<Self> {
        // The second field is a name in parentheses, which may hold blanks and parentheses.
        let name_end = text.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(&text[name_end + 1..]).ok()?;
        // The state, which comes first, is the third field.
        let mut fields = rest.split_ascii_whitespace().skip(20 - 3);
        let threads = fields.next()?.parse().ok()?;
        let mut fields = fields.skip(1).map_while(|field| field.parse().ok());
        let [start_ticks, virtual_bytes, resident_pages] = [fields.next()?, fields.next()?, fields.next()?];
        Some(Self { threads, start_ticks, virtual_bytes, resident_pages })
    }
}

fn read(file: Option<&File>) -> Option<Stat> {
    let mut text = [0; STAT_BYTES_MAX];
    let length = file?.read_at(&mut text, 0).ok()?;
    Stat::parse(&text[..length])
}

/// In Unix seconds. When the machine was started stands in `/proc/stat`, which a service may not be let see.
fn started(stat: &Stat, clock: &Clock) -> f64 {
    let age =
        elapsed(ClockId::Boottime).as_secs_f64() - float(stat.start_ticks) / float(clock_ticks_per_second());
    float(clock.now().unsigned_abs()) / 1e3 - age
}

/// How many file descriptors are open.
fn count(descriptors: &File) -> Option<f64> {
    // Linux tells it as the size of their directory, from 6.2 on.
    match descriptors.metadata().ok()?.len() {
        0 => listed(),
        told => Some(float(told)),
    }
}

fn listed() -> Option<f64> {
    // Listing them takes one more.
    Some(float(fs::read_dir(DESCRIPTORS).ok()?.count() as u64) - 1.0)
}

fn elapsed(clock: ClockId) -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    Duration::new(tv_sec.unsigned_abs(), u32::try_from(tv_nsec).unwrap_or_default())
}

#[expect(clippy::cast_precision_loss, reason = "samples are floats; what is counted here stays below 2^53")]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_whatever_name() {
        let before = "S 1 7 7 0 -1 4194304 100 0 0 0 5 6 0 0 20 0";
        let text = |name: &str| format!("7 ({name}) {before} 11 0 1234 99000 25 18446744073709551615 1 1\n");
        let expected = Stat { threads: 11, start_ticks: 1234, virtual_bytes: 99_000, resident_pages: 25 };
        for name in ["exporter", "a b", "a) S 1 (b", ""] {
            assert_eq!(Stat::parse(text(name).as_bytes()), Some(expected), "{name}");
        }
        let whole = text("exporter");
        let cut = whole.find(" 25 ").unwrap();
        for short in ["", "7 (exporter", &whole[..cut], &whole.replace("1234", "x")] {
            assert_eq!(Stat::parse(short.as_bytes()), None, "{short}");
        }
    }

    #[test]
    fn the_figures_are_those_that_the_system_lists() {
        let clock = Clock::System;
        let process = Process::new(&clock);
        let figures = process.figures();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let listed = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_ascii_whitespace().nth(1).unwrap().parse::<f64>().unwrap()
        };
        // Other tests run meanwhile in this process.
        let near = |value: Option<f64>, other: f64| (0.5..2.0).contains(&(value.unwrap() / other));
        assert!(near(figures.resident_bytes, listed("VmRSS:") * 1024.0), "{figures:?}");
        assert!(near(figures.virtual_bytes, listed("VmSize:") * 1024.0), "{figures:?}");
        assert!(near(figures.threads, listed("Threads:")), "{figures:?}");
        let limits = fs::read_to_string("/proc/self/limits").unwrap();
        let limit = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        assert_eq!(figures.fds_max.unwrap().to_string(), limit.split_ascii_whitespace().nth(3).unwrap());
        // Another reading of when the process began, to a clock tick and what passed in between.
        let stat = fs::read_to_string("/proc/stat").unwrap();
        let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")).unwrap();
        let ticks = read(process.stat.as_ref()).unwrap().start_ticks;
        let began = boot.parse::<f64>().unwrap() + float(ticks) / float(clock_ticks_per_second());
        assert!((figures.started_seconds.unwrap() - began).abs() < 2.0, "{figures:?} {began}");
        assert!(figures.started_seconds.unwrap() <= float(clock.now().unsigned_abs()) / 1e3);
    }

    #[test]
    fn descriptors_and_processor_time_are_counted() {
        let process = Process::new(&Clock::System);
        let before = process.figures();
        let open: Vec<File> = (0..100).map(|_| File::open("/dev/null").unwrap()).collect();
        // Of all threads, ended ones too.
        let spin = || (0..20_000_000_u64).map(|n| std::hint::black_box(n) % 7).sum::<u64>();
        let spin = std::thread::spawn(spin).join().unwrap();
        let after = process.figures();
        let [before_fds, after_fds] = [before, after].map(|figures| figures.fds_open.unwrap());
        let listed = listed().unwrap();
        assert!((after_fds - listed).abs() < 50.0, "{after_fds} {listed}");
        // Other tests open and close some meanwhile.
        assert!((after_fds - before_fds - 100.0).abs() < 50.0, "{before_fds} {after_fds} {}", open.len());
        let spent = after.cpu_seconds.unwrap() - before.cpu_seconds.unwrap();
        assert!(spent > 0.001 && spin > 0, "{spent}");
    }
}
