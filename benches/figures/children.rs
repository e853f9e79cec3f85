//! The roles that this program plays as a child: each does one job and reports what that took.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use emr_serverless_spark_exporter::api::credentials::{ProviderOptions, provider};
use emr_serverless_spark_exporter::api::{Client, ClientOptions, Transport};
use emr_serverless_spark_exporter::app::{Exporter, Handed, ServingThreads};
use emr_serverless_spark_exporter::clock::Clock;
use emr_serverless_spark_exporter::config::{self, Config, LoadRequest};
use emr_serverless_spark_exporter::priority;
use emr_serverless_spark_exporter::sim::{HistoryOrder, Options, Simulator, World, WorldConfig};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::process::{cpu_seconds, poll, rss_peak_mib, sample};
use crate::{Outcome, peers, render, writes};

/// The argument that makes a child of this program.
pub const FLAG: &str = "--child";
/// Rows of a page.
pub const PAGE: u32 = 100;
const PREFIX: &str = "emr_serverless_spark_";

/// Plays a role; reports as one line of JSON on standard output.
pub fn run(arguments: &[String]) -> Outcome<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let report = match arguments.as_slice() {
        ["simulator", sessions, gap_ms, latency_ms] => {
            let gap = Duration::from_millis(gap_ms.parse()?);
            simulator(sessions.parse()?, gap, Duration::from_millis(latency_ms.parse()?))?
        }
        ["crowd", gateways, shuffled] => crowd(gateways.parse()?, *shuffled == "1")?,
        ["render"] => render::render()?,
        ["finished-bytes", plain, gzip] => peers::finished_bytes(plain, gzip)?,
        ["text-encoder", page] => peers::text_encoder(page)?,
        ["poll", url, ledger, polls] => poll_often(url, ledger, polls.parse()?)?,
        ["sweep", url, ledger, max_in_flight] => sweep(url, ledger, max_in_flight)?,
        ["fetch", url, pages, max_in_flight] => fetch(url, pages.parse()?, max_in_flight)?,
        ["ledger", ledger, sessions] => writes::ledger(ledger, sessions.parse()?)?,
        ["sqlite", file, sessions] => writes::sqlite(file, sessions.parse()?)?,
        other => return Err(format!("no such role: {other:?}").into()),
    };
    serde_json::to_writer(std::io::stdout(), &report)?;
    Ok(())
}

/// Serves one gateway whose history stands still, until it is killed. However long the history, a `gap` lies between two
/// births, so that as many sessions run or have ended a short while ago.
fn simulator(sessions: u32, gap: Duration, latency: Duration) -> Outcome<Value> {
    let world = World::new(WorldConfig {
        speed: 0.0,
        workspaces: 1,
        session_clusters: 0,
        gateways: 1,
        history: sessions.into(),
        history_span: gap * sessions,
        births_per_hour: 0,
        ..WorldConfig::default()
    });
    serve(world, latency)
}

/// Serves gateways in each of which 500 sessions run, until it is killed.
fn crowd(gateways: u32, shuffled: bool) -> Outcome<Value> {
    let order = if shuffled { HistoryOrder::Shuffled } else { WorldConfig::default().order };
    let world = World::new(WorldConfig {
        speed: 0.0,
        workspaces: 1,
        session_clusters: 0,
        gateways,
        history: 500,
        history_span: Duration::from_secs(600),
        births_per_hour: 0,
        run_min: Duration::from_secs(36_000),
        run_max: Duration::from_secs(72_000),
        order,
        ..WorldConfig::default()
    });
    serve(world, Duration::ZERO)
}

fn serve(world: World, latency: Duration) -> Outcome<Value> {
    // What it stands for works elsewhere: here it has the turn of the exporter's threads that poll it, not of those that serve.
    priority::give_way();
    Runtime::new()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let simulator = Simulator::start(listener, world, Options::default())?;
        simulator.set_latency(latency);
        writeln!(std::io::stdout(), "{}", simulator.url())?;
        std::future::pending().await
    })
}

/// Settings that watch a simulator: the defaults, but no limit of the rate and one sweep of each target.
pub fn settings(url: &str, ledger: &str, max_in_flight: &str) -> Outcome<Config> {
    let settings = [
        ("accounts[0].name", "bench"),
        ("accounts[0].regions", "cn-hangzhou"),
        ("accounts[0].endpoint", url),
        ("accounts[0].credentials.type", "static"),
        ("accounts[0].credentials.access_key_id", "sim-access-key-id"),
        ("accounts[0].credentials.access_key_secret", "sim-access-key-secret"),
        ("collectors.workspaces.interval", "1h"),
        ("collectors.livy_gateways.interval", "1h"),
        ("collectors.livy_sessions.interval", "1h"),
        ("api.max_in_flight", max_in_flight),
        ("exposition.stale_after", "1d"),
        ("web.listen_address", "127.0.0.1:0"),
        ("ledger.path", ledger),
    ];
    let overrides = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let environment: [(String, String); 0] = [];
    let mut config = config::load(LoadRequest { file: None, environment, overrides })?;
    config.api.requests_per_second = 1e6;
    // It would begin while the figures are read.
    config.ledger.backup_interval = None;
    Ok(config)
}

/// The whole exporter, once it is ready, and where it listens.
fn ready(runtime: &Runtime, config: Config) -> Outcome<(Exporter, String)> {
    let serving = ServingThreads::start()?;
    let exporter = runtime.block_on(Exporter::start(config, Vec::new(), serving, Handed::none(), None))?;
    let address = exporter.addresses()[0].to_string();
    poll(&address, "/-/ready", "", Duration::from_millis(50))?;
    Ok((exporter, address))
}

/// The whole exporter, from its start until every target was swept once.
fn sweep(url: &str, ledger: &str, max_in_flight: &str) -> Outcome<Value> {
    let config = settings(url, ledger, max_in_flight)?;
    let runtime = Runtime::new()?;
    let (exporter, address) = ready(&runtime, config)?;
    let (cpu, rss) = (cpu_seconds()?, rss_peak_mib()?);
    let page = poll(&address, "/metrics", "livy_cu_seconds_total{", Duration::from_millis(50))?;
    let report = json!({
        "cpu_seconds": cpu,
        "rss_mib": rss,
        "sessions": sample(&page, &format!("{PREFIX}exporter_ledger_sessions "))?,
        "sweep_seconds": sample(&page, &format!("{PREFIX}exporter_sweep_duration_seconds_sum{{target=\"livy_sessions\"}}"))?,
    });
    runtime.block_on(exporter.stop());
    Ok(report)
}

/// The whole exporter after its first sweep: what one poll of the history costs, everything that goes with it included.
fn poll_often(url: &str, ledger: &str, polls: u32) -> Outcome<Value> {
    let mut config = settings(url, ledger, "4")?;
    if let Some(sessions) = &mut config.collectors.livy_sessions {
        sessions.collector.interval = Duration::from_secs(1);
    }
    let runtime = Runtime::new()?;
    let (exporter, address) = ready(&runtime, config)?;
    let sweep_cpu = cpu_seconds()?;
    let look = || -> Outcome<(f64, f64, f64, String)> {
        let page = poll(&address, "/metrics", "livy_cu_seconds_total{", Duration::from_millis(50))?;
        let own = |series: &str| sample(&page, &format!("{PREFIX}exporter_{series}"));
        let polls = own("sweep_duration_seconds_count{target=\"livy_sessions\"}")?;
        let pages = own("sweep_pages_total{target=\"livy_sessions\"}")?;
        Ok((polls, pages, cpu_seconds()?, page))
    };
    // The first poll after the sweep settles what that has left open.
    std::thread::sleep(Duration::from_secs(3));
    let (polls_before, pages_before, cpu_before, _) = look()?;
    std::thread::sleep(Duration::from_secs(1) * polls);
    let (polls_after, pages_after, cpu_after, page) = look()?;
    let made = polls_after - polls_before;
    let running: f64 = page
        .lines()
        .filter(|line| line.starts_with(&format!("{PREFIX}livy_sessions{{")) && line.contains("\"running\""))
        .filter_map(|line| line.split(' ').next_back()?.parse::<f64>().ok())
        .sum();
    runtime.block_on(exporter.stop());
    Ok(json!({
        "sweep_cpu_seconds": sweep_cpu,
        "poll_cpu_seconds": (cpu_after - cpu_before) / made,
        "requests": (pages_after - pages_before) / made,
        "polls": made,
        "running": running,
    }))
}

/// Only fetches and parses the pages of the one gateway, as many at a time as the exporter does.
fn fetch(url: &str, pages: u64, max_in_flight: &str) -> Outcome<Value> {
    let config = settings(url, "unused", max_in_flight)?;
    let account = config.accounts.first().ok_or("no account")?;
    let work = async {
        let credentials = provider(ProviderOptions {
            account,
            limits: Arc::new(ArcSwap::from_pointee(config.api.clone())),
            env: Box::new(|_| None),
            clock: Clock::System,
            observer: Arc::new(()),
        });
        let client = Client::new(ClientOptions {
            region: "cn-hangzhou",
            transport: Transport::new(
                "cn-hangzhou",
                account.network,
                account.endpoint.as_ref(),
                &config.api,
            )?,
            limits: &config.api,
            credentials,
            clock: Clock::System,
            observer: Arc::new(()),
        });
        let workspaces = client.list_workspaces(None, PAGE).await?;
        let workspace = workspaces.rows.first().and_then(|row| row.workspace_id.clone()).unwrap_or_default();
        let gateways = client.list_livy_compute(&workspace).await?;
        let gateway = gateways.rows.first().and_then(|row| row.compute_id.clone()).unwrap_or_default();
        let started = Instant::now();
        let mut numbers = 1..=pages;
        let mut under_way = FuturesUnordered::new();
        let mut sessions = 0;
        loop {
            while under_way.len() < config.api.max_in_flight {
                let Some(number) = numbers.next() else { break };
                under_way.push(client.list_livy_compute_sessions(&workspace, &gateway, number, PAGE));
            }
            let Some(page) = under_way.next().await else { break };
            sessions += page?.rows.len();
        }
        Ok::<_, Box<dyn std::error::Error>>((sessions, started.elapsed()))
    };
    let (sessions, took) = Runtime::new()?.block_on(work)?;
    let (cpu, rss) = (cpu_seconds()?, rss_peak_mib()?);
    Ok(json!({"cpu_seconds": cpu, "rss_mib": rss, "sessions": sessions, "seconds": took.as_secs_f64()}))
}
