//! What an operator does with the ledger, on the command line.

use std::fs;
use std::path::Path;
use std::time::Duration;

use emr_serverless_spark_exporter::ledger;
use emr_serverless_spark_exporter::sim::WorldConfig;

use crate::harness::{Lab, counters, metric, run, wait_looking_every};

fn lab() -> Lab {
    Lab::new(WorldConfig {
        speed: 0.0,
        workspaces: 1,
        history: 200,
        births_per_hour: 600,
        ..WorldConfig::default()
    })
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_running_ledger_is_inspected_verified_and_copied() {
    let lab = lab();
    let (path, copy) = (lab.ledger(), lab.directory.path().join("copy.db"));
    let daemon = lab.start();
    lab.settle_both(&daemon);
    let flag = format!("--ledger.path={}", path.display());

    let (code, table, _) = run(&["ledger", "inspect", &flag]);
    assert_eq!(code, Some(0));
    let truth = lab.truth();
    for ([_, gateway, queue], _) in truth.queues() {
        assert!(
            table.contains(&format!("\n  {gateway}")) && table.contains(&format!("\n    {queue}")),
            "{table}"
        );
    }
    let (_, json, _) =
        run(&["ledger", "inspect", "--format=json", "--config.file", text(&lab.settings().file)]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let gateways = json["gateways"].as_array().unwrap();
    for ([_, gateway, queue], truth) in truth.queues() {
        let ended = |state| truth.ended.get(state).copied().unwrap_or(0);
        let gateway = gateways.iter().find(|row| row["livy_compute_id"] == **gateway).unwrap();
        let row = gateway["queues"].as_array().unwrap().iter().find(|row| row["queue"] == **queue).unwrap();
        assert_eq!(row["usage"]["nano_cu_hours"], truth.usage.nano_cu_hours);
        assert_eq!(row["usage"]["mb_seconds"], truth.usage.mb_seconds);
        assert_eq!(
            (&row["created"], &row["ended"]["error"]),
            (&truth.created.into(), &ended("error").into())
        );
        assert_eq!(row["ended"]["terminated"], ended("terminated"));
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

#[test]
fn a_damaged_ledger_is_refused_and_restored_without_a_falling_counter() {
    let lab = lab();
    let path = lab.ledger();
    let flag = format!("--ledger.path={}", path.display());
    let daemon = lab.start();
    lab.settle_both(&daemon);
    // The automatic backup comes after the first pass, and again an interval later.
    let backup = ledger::backup_path(&path);
    let last = metric("exporter_ledger_last_backup_timestamp_seconds");
    daemon.until("a backup", |page| match last.sum_in(page) {
        0.0 => Err("none yet".to_owned()),
        _ => Ok(()),
    });
    daemon.stop();
    assert_eq!(
        ledger::inspect(&backup).unwrap().totals.gateways.len(),
        2,
        "the copy came before the first pass"
    );
    fs::remove_file(&backup).unwrap();
    assert_eq!(run(&["ledger", "backup", &flag, text(&backup)]).0, Some(0));

    // Usage that the copy does not have.
    lab.advance(Duration::from_secs(1_800));
    let daemon = lab.start();
    let shown = counters(&lab.settle_both(&daemon));
    daemon.stop();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 3_000].fill(0x55);
    fs::write(&path, &bytes).unwrap();

    for arguments in [vec!["--config.file", text(&lab.settings().file)], vec!["ledger", "verify", &flag]] {
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
    let names = fs::read_dir(lab.directory.path()).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let kept = names.find(|name| name.starts_with("ledger.db.damaged-") && name.ends_with('Z')).unwrap();
    assert!(told.contains(&kept), "{told}");
    assert_eq!(fs::read(lab.directory.path().join(kept)).unwrap(), bytes);

    // Not shown before the history has been read again, and then at what was shown before.
    lab.simulator.set_latency(Duration::from_millis(150));
    let daemon = lab.start();
    let mut absences = 0;
    wait_looking_every(Duration::from_millis(20), "what was shown before", || {
        let now = counters(&daemon.scrape());
        absences += u32::from(now.is_empty());
        assert!(now.iter().all(|(series, value)| shown[series] == *value), "{now:#?} after {shown:#?}");
        if now == shown { Ok(()) } else { Err(format!("{now:#?}")) }
    });
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

#[test]
fn a_backup_that_fails_is_counted_and_one_that_is_switched_off_is_not_made() {
    let lab = lab();
    let backup = ledger::backup_path(&lab.ledger());
    let daemon = lab.settings().set("ledger.backup_interval", "0s").start();
    lab.settle_both(&daemon);
    daemon.stop();
    assert!(!backup.exists());
    // In the place of the backup stands what cannot be replaced.
    fs::create_dir_all(backup.join("directory")).unwrap();
    let daemon = lab.settings().set("ledger.backup_interval", "1m").start();
    let page = daemon.until("a failure", |page| {
        match metric("exporter_ledger_backup_failures_total").sum_in(page) {
            0.0 => Err("none yet".to_owned()),
            _ => Ok(()),
        }
    });
    metric("exporter_ledger_last_backup_timestamp_seconds").assert_in(&page, 0.0);
    // Since when and why, for people and for programs.
    let status: serde_json::Value = serde_json::from_str(&daemon.get("/api/v1/status").1).unwrap();
    let told = &status["ledger"];
    assert!(told["backups_failing_since"].is_string() && told["backups_enabled"] == true, "{told}");
    let why = told["backup_error"].as_str().unwrap();
    assert!(why.contains("ledger.db.backup") || why.contains("backup"), "{why}");
    assert!(daemon.get("/").1.contains("<small>backups fail</small>"));
    daemon.stop();
}
