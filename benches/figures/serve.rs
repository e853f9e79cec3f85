//! Serving 100,000 series: the daemon beside nginx with the same bytes in files, hyper with finished bytes, and those that
//! encode at each scrape.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::Outcome;
use crate::daemon::Daemon;
use crate::peers::{OPEN, Peer, TEXT};
use crate::process::{EXPORTER, Paused, Simulator, measured, memory_mib, number};
use crate::prometheus::scrape_durations;
use crate::scrape::{Ask, Load, fetch, load};
use crate::table::{Row, median};

/// Of the world: 500 sessions run in each, and each has five series.
const GATEWAYS: u32 = 40;
const GATEWAYS_SMALL: u32 = 4;
const SCRAPERS: [usize; 3] = [1, 8, 64];
const TIME: Duration = Duration::from_millis(1_500);
/// Short and many: what else the machine does changes from one second to the next.
const TURN: Duration = Duration::from_millis(700);
const TURNS: usize = 11;
/// Those that take half a second for a scrape.
const TIME_SLOW: Duration = Duration::from_secs(4);
/// The program as `make static` builds it for releases.
const RELEASED: &str = "target/x86_64-unknown-linux-musl/release/emr-serverless-spark-exporter";

/// See the module.
pub fn section() -> Outcome<Vec<Row>> {
    let directory = TempDir::new()?;
    let mut rows = small(directory.path())?;
    let simulator = Simulator::crowd(GATEWAYS, false)?;
    let daemon = Daemon::start(&simulator.url, &directory.path().join("quiet"), "1h")?;
    let files = Files::of(&daemon.address, directory.path())?;
    let nginx = Peer::nginx(&files.text, TEXT)?;
    let [plain, gzip] = ["metrics", "metrics.gz"].map(|name| files.text.join(name).display().to_string());
    let bytes = Peer::child("finished-bytes", &[&plain, &gzip])?;
    for gzip in [true, false] {
        load(daemon.ask(gzip), 1, TIME)?;
    }
    let one_mib = memory_mib(daemon.pid(), "VmHWM")?;
    for gzip in [true, false] {
        for scrapers in SCRAPERS {
            rows.extend(beside("scrape", &daemon, &nginx, &bytes, gzip, scrapers)?);
        }
    }
    rows.push(flat(&daemon, one_mib)?);
    if let Some(released) = released() {
        let place = directory.path().join("released");
        let released = Daemon::start_program(released, &simulator.url, &place, "1h")?;
        load(released.ask(true), 1, TIME)?;
        rows.extend(beside("the static program: scrape", &released, &nginx, &bytes, true, 8)?);
    }
    rows.extend(encoders(&daemon, Path::new(&plain), directory.path())?);
    let open = Peer::nginx(&files.open, OPEN)?;
    rows.push(scrape_durations(&daemon.address, &open.address, directory.path())?);
    drop((nginx, open));
    rows.push(busy(&daemon, &bytes, directory.path())?);
    drop((daemon, bytes, simulator));
    rows.extend(rendering()?);
    rows.extend(size(directory.path())?);
    Ok(rows)
}

/// The page in files, for nginx: in both formats, each plain and compressed.
struct Files {
    text: std::path::PathBuf,
    open: std::path::PathBuf,
}

impl Files {
    fn of(address: &str, directory: &Path) -> Outcome<Self> {
        let format = |name: &str, accept: &str| -> Outcome<std::path::PathBuf> {
            let place = directory.join(name);
            fs::create_dir(&place)?;
            for (file, gzip) in [("metrics", false), ("metrics.gz", true)] {
                let body = fetch(address, gzip, accept)?;
                fs::write(place.join(file), body)?;
            }
            Ok(place)
        };
        let (text, open) = (format("text", TEXT)?, format("open", OPEN)?);
        Ok(Self { text, open })
    }
}

/// One by one, in turns, so that all of them meet the same machine; they are compared turn by turn.
fn beside(
    scrape: &str,
    daemon: &Daemon,
    nginx: &Peer,
    bytes: &Peer,
    gzip: bool,
    scrapers: usize,
) -> Outcome<[Row; 2]> {
    let asks = [daemon.ask(gzip), ask(nginx, gzip), ask(bytes, gzip)];
    let mut turns: Vec<[Load; 3]> = Vec::new();
    for _ in 0..TURNS {
        let [own, nginx, bytes] = asks.map(|ask| load(ask, scrapers, TURN));
        turns.push([own?, nginx?, bytes?]);
    }
    let form = if gzip { "gzip" } else { "plain" };
    let row = |what: &str, of: fn(&Load) -> f64| {
        let millis = [0, 1, 2].map(|who| median(turns.iter().map(|turn| of(&turn[who])).collect()));
        let [by_nginx, by_bytes] =
            [1, 2].map(|who| median(turns.iter().map(|turn| of(&turn[0]) / of(&turn[who])).collect()));
        Row {
            what: format!("{scrape} of 100,000 series, {form}, {scrapers} at a time: {what}"),
            measured: format!("{:.2} ms", millis[0]),
            against: format!(
                "nginx, the same bytes: {:.2} ms; finished bytes: {:.2} ms ({by_bytes:.2} ×)",
                millis[1], millis[2]
            ),
            ratio: Some(by_nginx),
            goal: "at most nginx, and 1.2 × finished bytes".into(),
            met: Some(by_nginx <= 1.0 && by_bytes <= 1.2),
        }
    };
    Ok([row("p50", |load| load.percentile(50)), row("CPU a scrape", |load| load.cpu_millis)])
}

fn ask(peer: &Peer, gzip: bool) -> Ask<'_> {
    Ask { address: &peer.address, pid: peer.pid(), gzip }
}

/// Whether the daemon holds more for many scrapers than for one.
fn flat(daemon: &Daemon, one_mib: f64) -> Outcome<Row> {
    let many_mib = memory_mib(daemon.pid(), "VmHWM")?;
    Ok(Row {
        what: "resident memory of the daemon at its peak, 64 scrapers of each form".into(),
        measured: format!("{many_mib:.1} MiB"),
        against: format!("one scraper: {one_mib:.1} MiB"),
        ratio: Some(many_mib / one_mib),
        goal: "flat: at most 1.1 ×".into(),
        met: Some(many_mib <= 1.1 * one_mib),
    })
}

fn encoders(daemon: &Daemon, page: &Path, directory: &Path) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    let encoder = Peer::child("text-encoder", &[&page.display().to_string()])?;
    let golang = Peer::client_golang(page, directory)?;
    let peers = [
        ("the prometheus crate, at each scrape", Some(encoder), None),
        ("client_golang", golang, Some(400.0)),
    ];
    for (name, peer, times_min) in &peers {
        let Some(peer) = peer else { continue };
        for gzip in [true, false] {
            let (own, other) = (load(daemon.ask(gzip), 1, TIME)?, load(ask(peer, gzip), 1, TIME_SLOW)?);
            let ratio = other.percentile(50) / own.percentile(50);
            let times_min = times_min.filter(|_| gzip);
            rows.push(Row {
                what: format!("scrape of 100,000 series, {}: p50", if gzip { "gzip" } else { "plain" }),
                measured: format!("{:.2} ms", own.percentile(50)),
                against: format!("{name}: {:.0} ms", other.percentile(50)),
                ratio: Some(ratio),
                goal: times_min.map(|times| format!("at least {times} × as fast")).unwrap_or_default(),
                met: times_min.map(|times| ratio >= times),
            });
        }
    }
    Ok(rows)
}

/// While full sweeps follow one another without a pause, and renderings with them, in turns with a daemon at rest.
fn busy(quiet: &Daemon, bytes: &Peer, directory: &Path) -> Outcome<Row> {
    let simulator = Simulator::crowd(GATEWAYS, true)?;
    let daemon = Daemon::start(&simulator.url, &directory.join("busy"), "1s")?;
    let mut turns: Vec<[f64; 3]> = Vec::new();
    for _ in 0..TURNS {
        let paused = [Paused::new(daemon.pid())?, Paused::new(simulator.pid())?];
        let rest = load(quiet.ask(true), 1, TIME)?;
        drop(paused);
        let busy = load(daemon.ask(true), 1, TIME)?;
        // The sweeps and the simulator take the cores from a server that renders nothing, too.
        let control = load(ask(bytes, true), 1, TIME)?;
        turns.push([busy, rest, control].map(|load| load.percentile(99)));
    }
    let [busy, rest, control] = [0, 1, 2].map(|which| median(turns.iter().map(|turn| turn[which]).collect()));
    let ratio = median(turns.iter().map(|[busy, rest, _]| busy / rest).collect());
    Ok(Row {
        what: "scrape of 100,000 series, gzip, during full sweeps and renderings: p99".into(),
        measured: format!("{busy:.2} ms"),
        against: format!("at rest: {rest:.2} ms; finished bytes, meanwhile: {control:.2} ms"),
        ratio: Some(ratio),
        goal: "at most 2 ×".into(),
        met: Some(ratio <= 2.0),
    })
}

fn rendering() -> Outcome<[Row; 3]> {
    let report = measured("render", &[])?;
    let [plain, gzip] = [number(&report, "plain_millis")?, number(&report, "gzip_millis")?];
    let [labels, copies] = [number(&report, "label_millis")?, number(&report, "copy_millis")?];
    let [plain_bytes, gzip_bytes] = [number(&report, "plain_bytes")?, number(&report, "gzip_bytes")?];
    let row = |what: &str, millis: f64, bytes: f64, millis_max: f64| Row {
        what: format!("{what} 100,000 series after a change of all: CPU"),
        measured: format!("{millis:.1} ms, {:.1} MB", bytes / 1e6),
        against: String::new(),
        ratio: None,
        goal: format!("at most {millis_max} ms"),
        met: Some(millis <= millis_max),
    };
    let writing = Row {
        against: format!(
            "copying its lines: {copies:.1} ms; of the former, {labels:.1} ms are labels, for all pages of a sweep"
        ),
        ratio: Some(plain / copies),
        ..row("writing labels and both formats of", plain, plain_bytes, 10.0)
    };
    // The two bodies share what they have in common.
    let bodies = plain_bytes + number(&report, "open_bytes")? + gzip_bytes;
    let (peak, bodies) = (number(&report, "peak_mib")?, bodies / 1_048_576.0);
    let memory = Row {
        what: "memory for the page of 100,000 series while the next one is made".into(),
        measured: format!("{peak:.1} MiB over the state of the series"),
        against: format!("the bodies of both formats, and one compressed: {bodies:.1} MiB"),
        ratio: Some(peak / bodies),
        goal: "at most 2 ×".into(),
        met: Some(peak <= 2.0 * bodies),
    };
    Ok([memory, writing, row("compressing one format of", gzip, gzip_bytes, 80.0)])
}

/// With 10,000 series: memory at rest, and the time of a start on the ledger that is there.
fn small(directory: &Path) -> Outcome<Vec<Row>> {
    let simulator = Simulator::crowd(GATEWAYS_SMALL, false)?;
    let place = directory.join("small");
    let daemon = Daemon::start(&simulator.url, &place, "1h")?;
    load(daemon.ask(true), 1, TIME)?;
    let rss = memory_mib(daemon.pid(), "VmRSS")?;
    let mut took = Vec::new();
    drop(daemon);
    for _ in 0..5 {
        took.push(Daemon::start_on(&place)?);
    }
    let took = median(took) * 1e3;
    let row = |what: &str, measured: String, goal: &str, met: bool| Row {
        what: what.into(),
        measured,
        against: String::new(),
        ratio: None,
        goal: goal.into(),
        met: Some(met),
    };
    Ok(vec![
        row(
            "resident memory with 10,000 series, after scrapes",
            format!("{rss:.1} MiB"),
            "at most 32 MiB",
            rss <= 32.0,
        ),
        row(
            "start on their ledger to a served /metrics",
            format!("{took:.0} ms"),
            "at most 150 ms",
            took <= 150.0,
        ),
    ])
}

/// The program as it is released, if it was built of the same commit as this one.
fn released() -> Option<&'static Path> {
    let version = |program: &Path| {
        let told = Command::new(program).arg("version").output().ok()?;
        String::from_utf8(told.stdout).ok()?.lines().next().map(str::to_owned)
    };
    let released = Path::new(RELEASED);
    (version(released)? == version(Path::new(EXPORTER))?).then_some(released)
}

/// Of the program as it is released, beside this one.
fn size(directory: &Path) -> Outcome<Option<Row>> {
    let stripped = directory.join("stripped");
    let done = Command::new("strip").arg("-o").arg(&stripped).arg(EXPORTER).status()?;
    if !done.success() {
        return Err("strip failed".into());
    }
    #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
    let megabytes = |file: &Path| fs::metadata(file).map(|file| file.len() as f64 / 1e6);
    let Some(released) = released() else { return Ok(None) };
    let own = megabytes(released)?;
    let linked = megabytes(&stripped)?;
    Ok(Some(Row {
        what: "the program, static and stripped".into(),
        measured: format!("{own:.1} MB"),
        against: format!("with the system's C library: {linked:.1} MB"),
        ratio: Some(own / linked),
        goal: "at most 15 MB".into(),
        met: Some(own <= 15.0),
    }))
}
