//! What an operator does with the ledger, on the command line.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use emr_serverless_spark_exporter::ledger;
use emr_serverless_spark_exporter::sim::WorldConfig;

use super::crash::{Daemon, PROGRAM, Scene};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Command::new(PROGRAM).args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

async fn scene() -> Scene {
    let config = WorldConfig {
        speed: 0.0,
        workspaces: 1,
        history: 200,
        births_per_hour: 600,
        ..WorldConfig::default()
    };
    Scene::new(config).await
}

/// The counters of usage, each with its value as text.
fn usage_samples(page: &str) -> BTreeMap<String, String> {
    let counters = page
        .lines()
        .filter(|line| line.starts_with("emr_serverless_spark_livy_") && line.contains("_total{"));
    counters.map(|line| line.rsplit_once(' ').unwrap()).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// The counters of usage, once the page shows what the ledger holds.
async fn counters(daemon: &Daemon, scene: &Scene) -> BTreeMap<String, String> {
    let begun = Instant::now();
    loop {
        let samples = usage_samples(&daemon.scrape().await);
        let created = samples.iter().filter(|(series, _)| series.contains("livy_sessions_created_total"));
        let created: u64 = created.map(|(_, value)| value.parse::<u64>().unwrap()).sum();
        if created == scene.truth().values().map(|(_, created, ..)| created).sum::<u64>() {
            // The last sweep found nothing new, so that what is rendered now is all of it.
            tokio::time::sleep(Duration::from_millis(500)).await;
            return usage_samples(&daemon.scrape().await);
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{samples:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_ledger_is_inspected_verified_and_copied() {
    let scene = scene().await;
    let (path, copy) = (scene.ledger(), scene.directory.path().join("copy.db"));
    let daemon = scene.daemon();
    scene.settled().await;
    let flag = format!("--ledger.path={}", path.display());

    let (code, table, _) = run(&["ledger", "inspect", &flag]);
    assert_eq!(code, Some(0));
    let truth = scene.truth();
    for (gateway, queue) in truth.keys() {
        assert!(
            table.contains(&format!("\n  {gateway}")) && table.contains(&format!("\n    {queue}")),
            "{table}"
        );
    }
    let (_, json, _) = run(&["ledger", "inspect", "--format=json", "--config.file", text(&scene.config())]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let gateways = json["gateways"].as_array().unwrap();
    for ((gateway, queue), (usage, created, terminated, error)) in &truth {
        let gateway = gateways.iter().find(|row| row["livy_compute_id"] == **gateway).unwrap();
        let row = gateway["queues"].as_array().unwrap().iter().find(|row| row["queue"] == **queue).unwrap();
        assert_eq!(row["usage"]["nano_cu_hours"], usage.nano_cu_hours);
        assert_eq!(row["usage"]["mb_seconds"], usage.mb_seconds);
        assert_eq!((&row["created"], &row["ended"]["error"]), (&(*created).into(), &(*error).into()));
        assert_eq!(row["ended"]["terminated"], *terminated);
    }

    let (code, verified, _) = run(&["ledger", "verify", &flag]);
    assert!(
        code == Some(0) && verified.contains(": sound\n") && verified.contains("none missing"),
        "{verified}"
    );
    let (code, _, error) = run(&["ledger", "backup", &flag, text(&copy)]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let (code, _, error) = run(&["ledger", "backup", &flag, text(&copy)]);
    assert!(code == Some(1) && error.contains("nothing is overwritten"), "{error}");
    assert_eq!(
        ledger::inspect(&copy).unwrap().totals.sessions,
        ledger::inspect(&path).unwrap().totals.sessions
    );
    let (code, _, error) = run(&["ledger", "restore", &flag, text(&copy)]);
    assert!(code == Some(1) && error.contains("another exporter is using it"), "{error}");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_ledger_is_refused_and_restored_without_a_falling_counter() {
    let scene = scene().await;
    let path = scene.ledger();
    let flag = format!("--ledger.path={}", path.display());
    let daemon = scene.daemon();
    scene.settled().await;
    // The automatic backup comes after the first pass, and again an interval later.
    let backup = ledger::backup_path(&path);
    let begun = Instant::now();
    while daemon.sample("exporter_ledger_last_backup_timestamp_seconds").await == 0.0 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    daemon.stop();
    assert_eq!(
        ledger::inspect(&backup).unwrap().totals.gateways.len(),
        2,
        "the copy came before the first pass"
    );
    fs::remove_file(&backup).unwrap();
    assert_eq!(run(&["ledger", "backup", &flag, text(&backup)]).0, Some(0));

    // Usage that the copy does not have.
    scene.sim.world().clock().advance(Duration::from_secs(1_800));
    let daemon = scene.daemon();
    scene.settled().await;
    let shown = counters(&daemon, &scene).await;
    daemon.stop();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 3_000].fill(0x55);
    fs::write(&path, &bytes).unwrap();

    for arguments in [vec!["--config.file", text(&scene.config())], vec!["ledger", "verify", &flag]] {
        let (code, _, error) = run(&arguments);
        assert_eq!(code, Some(1));
        for part in
            [text(&path), "failed: ", "`ledger verify`", "`ledger restore`", text(&backup), "new ledger"]
        {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }
    let (code, told, error) = run(&["ledger", "restore", &flag]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let names = fs::read_dir(scene.directory.path()).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let kept = names.find(|name| name.starts_with("ledger.db.damaged-") && name.ends_with('Z')).unwrap();
    assert!(told.contains(&kept), "{told}");
    assert_eq!(fs::read(scene.directory.path().join(kept)).unwrap(), bytes);

    // Not shown before the history has been read again, and then at what was shown before.
    scene.sim.set_latency(Duration::from_millis(150));
    let daemon = scene.daemon();
    let begun = Instant::now();
    let mut absences = 0;
    loop {
        let now = usage_samples(&daemon.scrape().await);
        absences += u32::from(now.is_empty());
        assert!(now.iter().all(|(series, value)| shown[series] == *value), "{now:#?} after {shown:#?}");
        if now == shown {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{now:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(absences > 0);
    daemon.stop();
    assert_eq!(run(&["ledger", "verify", &flag]).0, Some(0));
}

#[test]
fn what_cannot_be_done_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.db");
    let flag = format!("--ledger.path={}", path.display());
    for command in [vec!["inspect"], vec!["verify"], vec!["backup", "copy.db"], vec!["restore"]] {
        let mut arguments = vec!["ledger"];
        arguments.extend(command);
        arguments.push(&flag);
        let (code, _, error) = run(&arguments);
        assert!(code == Some(1) && error.contains("there is no such file"), "{arguments:?}: {error}");
    }
    assert!(!path.exists() && !Path::new("copy.db").exists());
    let (code, _, error) = run(&["ledger", "verify", "--config.file", "none.yaml"]);
    assert!(code == Some(78) && error.contains("there is no such file"), "{error}");
    assert_eq!(run(&["ledger", "nonsense"]).0, Some(64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_fails_is_counted_and_one_that_is_switched_off_is_not_made() {
    let scene = scene().await;
    let backup = ledger::backup_path(&scene.ledger());
    scene.configure("  backup_interval: 0s\n");
    let daemon = scene.daemon();
    scene.settled().await;
    daemon.stop();
    assert!(!backup.exists());
    // In the place of the backup stands what cannot be replaced.
    fs::create_dir_all(backup.join("directory")).unwrap();
    scene.configure("  backup_interval: 1m\n");
    let daemon = scene.daemon();
    let begun = Instant::now();
    while daemon.sample("exporter_ledger_backup_failures_total").await == 0.0 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(daemon.sample("exporter_ledger_last_backup_timestamp_seconds").await, 0.0);
    daemon.stop();
}
