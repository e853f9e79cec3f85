//! Every section but the accounts, and what must hold between their keys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::reader::Reader;
use super::types::{
    AccountApi, Api, Baseline, Collector, Collectors, Exposition, Ledger, ListenAddress, LivySessions, Log,
    LogFormat, LogLevel, Web, WebLimits, WebPlace,
};
use super::units::{self, Span};
use super::{files, schema};

const SWEEP: Span =
    Span { min: Duration::from_secs(1), max: Duration::from_secs(24 * 3600), words: "from 1s to 24h" };
const REQUEST: Span =
    Span { min: Duration::from_millis(100), max: Duration::from_secs(300), words: "from 100ms to 5m" };
const FULL_SWEEP: Span =
    Span { min: Duration::from_secs(60), max: Duration::from_secs(7 * 86_400), words: "from 1m to 7days" };
const SETTLE: Span =
    Span { min: Duration::ZERO, max: Duration::from_secs(7 * 86_400), words: "from 0s to 7days" };
const HOLD: Span = Span { min: Duration::ZERO, max: Duration::from_secs(3600), words: "from 0s to 1h" };
const RETENTION: Span = Span {
    min: Duration::from_secs(86_400),
    max: Duration::from_secs(10 * 31_557_600),
    words: "from 1day to 10years",
};
const BACKUP: Span = Span {
    min: Duration::from_secs(60),
    max: Duration::from_secs(30 * 86_400),
    words: "from 1m to 30days, or 0s for none",
};
const CLIENT: Span =
    Span { min: Duration::from_secs(1), max: Duration::from_secs(3600), words: "from 1s to 1h" };
const DRAIN: Span = Span { min: Duration::ZERO, max: Duration::from_secs(300), words: "from 0s to 5m" };
const STALE: Span =
    Span { min: Duration::from_secs(10), max: Duration::from_secs(7 * 86_400), words: "from 10s to 7days" };

/// The levels, by name.
pub const LOG_LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

/// The formats, by name.
pub const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

pub(super) fn collectors(reader: &mut Reader) -> Option<Collectors> {
    let workspaces = collector(reader, "collectors.workspaces");
    let session_clusters = switched(reader, "collectors.session_clusters", collector);
    let livy_gateways = switched(reader, "collectors.livy_gateways", collector);
    let livy_sessions = switched(reader, "collectors.livy_sessions", |reader, path| {
        let collector = collector(reader, path);
        let series_limit =
            reader.read(&format!("{path}.series_limit"), |text| units::whole(text, &(0..=100_000)));
        let full_sweep_interval =
            reader.read(&format!("{path}.full_sweep_interval"), |text| units::duration(text, &FULL_SWEEP));
        let settle = reader.read(&format!("{path}.settle"), |text| units::duration(text, &SETTLE));
        Some(LivySessions {
            collector: collector?,
            full_sweep_interval: full_sweep_interval?,
            settle: settle?,
            series_limit: series_limit?,
        })
    });
    if let (Some(None), Some(Some(_))) = (livy_gateways, livy_sessions) {
        let message =
            "sessions are found through their gateways; enable livy_gateways, or disable livy_sessions, too";
        reader.fail("collectors.livy_gateways.enabled", message);
    }
    Some(Collectors {
        workspaces: workspaces?,
        session_clusters: session_clusters?,
        livy_gateways: livy_gateways?,
        livy_sessions: livy_sessions?,
    })
}

/// A collector with a switch: read in any case, so that its errors show, and `Some(None)` where it is off.
fn switched<T>(
    reader: &mut Reader,
    path: &str,
    read: impl Fn(&mut Reader, &str) -> Option<T>,
) -> Option<Option<T>> {
    let enabled = reader.read(&format!("{path}.enabled"), units::truth);
    let collector = read(reader, path);
    Some(enabled?.then_some(collector?))
}

fn collector(reader: &mut Reader, path: &str) -> Option<Collector> {
    let interval = reader.read(&format!("{path}.interval"), |text| units::duration(text, &SWEEP));
    let deadline = reader.read(&format!("{path}.deadline"), |text| units::duration(text, &SWEEP));
    let page_size_path = format!("{path}.page_size");
    let page_size = match schema::key(&page_size_path) {
        Some(_) => reader.read(&page_size_path, |text| units::whole(text, &(1..=100))),
        None => Some(100), // an operation without paging
    };
    Some(Collector { interval: interval?, deadline: deadline?, page_size: page_size? })
}

pub(super) fn api(reader: &mut Reader) -> Option<Api> {
    let requests_per_second = reader.read("api.requests_per_second", requests_per_second);
    let max_in_flight = reader.read("api.max_in_flight", max_in_flight);
    let connect_timeout = reader.read("api.connect_timeout", |text| units::duration(text, &REQUEST));
    let timeout = reader.read("api.timeout", |text| units::duration(text, &REQUEST));
    if let (Some(connect), Some(whole)) = (connect_timeout, timeout)
        && connect > whole
    {
        let (connect, whole) = (humantime::format_duration(connect), humantime::format_duration(whole));
        let why = "which covers the connection, too";
        let message = format!("api.connect_timeout ({connect}) is longer than api.timeout ({whole}), {why}");
        reader.fail_either(["api.connect_timeout", "api.timeout"], &message);
    }
    let retries = reader.read("api.retries", |text| units::whole(text, &(0..=10)));
    let body_bytes_max = reader.read("api.body_bytes_max", units::body_bytes);
    let pages_max = reader.read("api.pages_max", |text| units::whole(text, &(1..=1_000_000)));
    let ca_file = reader.optional("api.ca_file", |text| ca_file(text).map(Some));
    let proxy = reader.optional("api.proxy", |text| proxy(text).map(Some));
    Some(Api {
        requests_per_second: requests_per_second?,
        max_in_flight: max_in_flight?,
        connect_timeout: connect_timeout?,
        timeout: timeout?,
        retries: retries?,
        body_bytes_max: body_bytes_max?,
        pages_max: pages_max?,
        ca_file: ca_file?,
        proxy: proxy?,
    })
}

/// What one account has in the place of keys of `api`.
pub(super) fn account_api(reader: &mut Reader, path: &str) -> Option<AccountApi> {
    let at = |key: &str| format!("{path}.{key}");
    let requests_per_second =
        reader.optional(&at("requests_per_second"), |text| requests_per_second(text).map(Some));
    let max_in_flight = reader.optional(&at("max_in_flight"), |text| max_in_flight(text).map(Some));
    let ca_file = reader.optional(&at("ca_file"), |text| ca_file(text).map(Some));
    let proxy = reader.optional(&at("proxy"), |text| proxy(text).map(Some));
    Some(AccountApi {
        requests_per_second: requests_per_second?,
        max_in_flight: max_in_flight?,
        ca_file: ca_file?,
        proxy: proxy?,
    })
}

fn requests_per_second(text: &str) -> Result<f64, String> {
    units::number(text, &(0.1..=1000.0), "a number")
}

fn max_in_flight(text: &str) -> Result<usize, String> {
    units::whole(text, &(1..=64))
}

fn proxy(text: &str) -> Result<SecretString, String> {
    units::proxy(text).map(SecretString::from)
}

/// Read at once, so that `check-config` finds what the client would stumble over.
fn ca_file(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    let pem =
        files::read_bytes(path).map_err(|why| format!("expected a PEM file with certificates: {why}"))?;
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    if pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
        return Ok(path.to_path_buf());
    }
    Err("expected a PEM file with certificates: there is no `BEGIN CERTIFICATE` in it".to_owned())
}

pub(super) fn ledger(reader: &mut Reader) -> Option<Ledger> {
    let path = reader.read("ledger.path", |text| match text {
        "" => Err("expected the path of a file, such as data/ledger.db".to_owned()),
        text if text.ends_with('/') => Err("expected the path of a file, not of a directory".to_owned()),
        text => Ok(PathBuf::from(text)),
    });
    let words = [("include", Baseline::Include), ("exclude", Baseline::Exclude)];
    let baseline = reader.read("ledger.baseline", |text| units::word(text, &words));
    let retention = reader.read("ledger.retention", |text| units::duration(text, &RETENTION));
    let backup_interval = reader.read("ledger.backup_interval", |text| match text {
        "0s" => Ok(None),
        text => units::duration(text, &BACKUP).map(Some),
    });
    Some(Ledger {
        path: path?,
        baseline: baseline?,
        retention: retention?,
        backup_interval: backup_interval?,
    })
}

pub(super) fn exposition(reader: &mut Reader) -> Option<Exposition> {
    let zero_hold = reader.read("exposition.zero_hold", |text| units::duration(text, &HOLD));
    let stale_after = reader.read("exposition.stale_after", |text| units::duration(text, &STALE));
    let created_timestamps = reader.read("exposition.created_timestamps", units::truth);
    Some(Exposition {
        zero_hold: zero_hold?,
        stale_after: stale_after?,
        created_timestamps: created_timestamps?,
    })
}

pub(super) fn web(reader: &mut Reader) -> Option<Web> {
    let listen_addresses = reader.list("web.listen_address", units::listen_address);
    if let Some(addresses) = &listen_addresses {
        check_addresses(reader, addresses);
    }
    let systemd_socket = reader.read("web.systemd_socket", units::truth);
    let telemetry_path = reader.read("web.telemetry_path", units::telemetry_path);
    let config_file = reader.optional("web.config_file", config_file);
    let limits = web_limits(reader);
    let drain_delay = reader.read("web.drain_delay", |text| units::duration(text, &DRAIN));
    let drain_timeout = reader.read("web.drain_timeout", |text| units::duration(text, &DRAIN));
    let enable_lifecycle = reader.read("web.enable_lifecycle", units::truth);
    Some(Web {
        listen_addresses: listen_addresses?,
        systemd_socket: systemd_socket?,
        telemetry_path: telemetry_path?,
        config_file: config_file?,
        limits: limits?,
        drain_delay: drain_delay?,
        drain_timeout: drain_timeout?,
        enable_lifecycle: enable_lifecycle?,
    })
}

/// An empty name is none, as in the toolkit.
fn config_file(text: &str) -> Result<Option<PathBuf>, String> {
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

/// Where the server is, as far as that can be told of settings that are wrong otherwise.
pub(super) fn web_place(reader: &mut Reader) -> WebPlace {
    let defaults = schema::key("web.listen_address").and_then(|key| key.default).unwrap_or_default();
    let listen_addresses = reader.list("web.listen_address", units::listen_address);
    let listen_addresses =
        listen_addresses.unwrap_or_else(|| units::listen_address(defaults).into_iter().collect());
    let config_file = reader.optional("web.config_file", config_file).flatten();
    WebPlace { listen_addresses, config_file }
}

fn check_addresses(reader: &mut Reader, addresses: &[ListenAddress]) {
    if addresses.is_empty() {
        reader.fail("web.listen_address", "expected at least one address, such as 0.0.0.0:10990");
    }
    for (index, address) in addresses.iter().enumerate() {
        // Port 0 is another port each time.
        let is_any = matches!(address, ListenAddress::Tcp(text) if text.ends_with(":0"));
        if addresses[..index].contains(address) && !is_any {
            reader.fail(
                &format!("web.listen_address[{index}]"),
                "the same address a second time; leave it out",
            );
        }
    }
}

fn web_limits(reader: &mut Reader) -> Option<WebLimits> {
    let max_connections = reader.read("web.max_connections", |text| units::whole(text, &(1..=65_536)));
    let head_bytes_max = reader
        .read("web.head_bytes_max", |text| units::bytes(text, &((8 << 10)..=(1 << 20)), "from 8KiB to 1MiB"));
    let uri_bytes_max = reader
        .read("web.uri_bytes_max", |text| units::bytes(text, &(256..=(64 << 10)), "from 256B to 64KiB"));
    let head_timeout = reader.read("web.head_timeout", |text| units::duration(text, &REQUEST));
    let idle_timeout = reader.read("web.idle_timeout", |text| units::duration(text, &CLIENT));
    let write_timeout = reader.read("web.write_timeout", |text| units::duration(text, &CLIENT));
    if let (Some(head), Some(uri)) = (head_bytes_max, uri_bytes_max)
        && uri > head
    {
        let message = "web.uri_bytes_max is more than web.head_bytes_max, which holds it";
        reader.fail_either(["web.uri_bytes_max", "web.head_bytes_max"], message);
    }
    Some(WebLimits {
        max_connections: max_connections?,
        head_bytes_max: head_bytes_max?,
        uri_bytes_max: uri_bytes_max?,
        head_timeout: head_timeout?,
        idle_timeout: idle_timeout?,
        write_timeout: write_timeout?,
    })
}

pub(super) fn log(reader: &mut Reader) -> Option<Log> {
    let level = reader.read("log.level", |text| units::word(text, &LOG_LEVELS));
    let format = reader.read("log.format", |text| units::word(text, &LOG_FORMATS));
    Some(Log { level: level?, format: format? })
}

/// Gauges are renewed at the end of a sweep, and a sweep may take up to an interval in passing: less than two intervals
/// would withdraw the gauges of a target that is well, and bring them back, over and over.
pub(super) fn check_staleness(reader: &mut Reader, collectors: &Collectors, exposition: Exposition) {
    let intervals = [
        ("workspaces", Some(collectors.workspaces.interval)),
        ("session_clusters", collectors.session_clusters.map(|c| c.interval)),
        ("livy_gateways", collectors.livy_gateways.map(|c| c.interval)),
        ("livy_sessions", collectors.livy_sessions.map(|c| c.collector.interval)),
    ];
    for (name, interval) in intervals {
        let Some(interval) = interval.filter(|interval| exposition.stale_after < *interval * 2) else {
            continue;
        };
        let path = format!("collectors.{name}.interval");
        let stale_after = humantime::format_duration(exposition.stale_after);
        let interval = humantime::format_duration(interval);
        let message = format!(
            "{path} ({interval}) is more than half of exposition.stale_after ({stale_after}): gauges would come and go"
        );
        reader.fail_either([&path, "exposition.stale_after"], &message);
    }
}
