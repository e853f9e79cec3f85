//! How the program starts, and how it refuses to.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use emr_serverless_spark_exporter::sim::{Fault, Scope};

use crate::harness::{HOUR, Lab, PROGRAM, metric, run, wait_for, world};

/// As `/proc` has it (sched(7)).
const SCHED_IDLE: i32 = 5;

#[test]
fn what_answers_has_its_turn_before_what_polls_and_counts() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    lab.settle(&daemon);
    let threads = daemon.threads();
    // The one that has started the others does nothing from then on.
    let usual = threads[0].1;
    assert_ne!(usual, SCHED_IDLE, "the tests run as others do");
    for name in ["serving", "tokio-rt-worker", "ledger"] {
        let expected = if name == "serving" { usual } else { SCHED_IDLE };
        let mut policies = threads.iter().filter(|thread| thread.0 == name).map(|thread| thread.1).peekable();
        assert!(
            policies.peek().is_some() && policies.all(|policy| policy == expected),
            "{name}: {threads:?}"
        );
    }
    daemon.stop();
}

#[test]
fn it_is_healthy_at_once_and_ready_after_its_first_pass() {
    let lab = Lab::new(world());
    lab.simulator.set_latency(Duration::from_millis(250));
    let daemon = lab.start();
    let (status, body) = daemon.get("/-/ready");
    assert_eq!(status, 503);
    assert!(body.starts_with("not ready: ") && body.contains("without a first sweep"), "{body}");
    let mut refusals = 0;
    wait_for("readiness", || {
        let ready = daemon.get("/-/ready");
        assert_eq!(daemon.get("/-/healthy"), (200, "healthy\n".to_owned()));
        if ready.0 == 200 {
            return Ok(());
        }
        refusals += 1;
        Err(ready.1)
    });
    assert!(refusals > 5, "the first pass took time");
    // Each target of the tree was swept by then.
    // The page is renewed ten times a second.
    daemon.until("all targets", |page| match metric("exporter_sweep_success").sum_in(page) {
        9.0 => lab.truth().equals(page),
        count => Err(format!("{count} of 1 + 2 × (2 + 2)")),
    });

    // Ready is for good, whatever the cloud does.
    lab.simulator.faults().always(Fault::ServerError(500), Scope::any());
    lab.simulator.set_latency(Duration::ZERO);
    daemon.sweeps("workspaces", 2.0);
    assert_eq!((daemon.get("/-/ready").0, daemon.get("/-/healthy").0), (200, 200));
    assert_eq!(daemon.get("/nonsense").0, 404);
    assert!(daemon.get("/").1.contains("server_error"));
}

#[test]
fn a_second_exporter_on_the_same_ledger_is_refused() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    lab.settle(&daemon);
    let second = lab.settings().refused();
    assert_eq!(second.code, Some(1));
    let message = format!(
        "ledger {}: another exporter is using it; stop that one, or give this one its own ledger.path\n",
        lab.ledger().display()
    );
    assert!(second.log.ends_with(&message), "{}", second.log);
    // The first one is none the worse for it.
    lab.advance(HOUR);
    lab.settle(&daemon);
    // Nor is the ledger locked for good by a kill.
    daemon.kill();
    lab.settle(&lab.start());
}

#[test]
fn a_ledger_that_is_not_whole_is_refused_and_left_as_it_is() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    lab.settle(&daemon);
    assert_eq!(daemon.end("TERM").code, Some(0));
    let sound = fs::read(lab.ledger()).unwrap();

    let mut overwritten = sound.clone();
    // The header's page stays whole: what is wrong lies within.
    overwritten[4_096..12_288].fill(0xa5);
    // Sound for SQLite, and yet not what was counted.
    let copy = lab.directory.path().join("copy.db");
    fs::write(&copy, &sound).unwrap();
    let connection = rusqlite::Connection::open(&copy).unwrap();
    connection.execute("UPDATE series SET vcore_seconds = vcore_seconds + 1", []).unwrap();
    drop(connection);
    let damages: [(&str, Vec<u8>); 5] = [
        ("miscounted", fs::read(&copy).unwrap()),
        ("overwritten", overwritten),
        ("cut", sound[..sound.len() / 2].to_vec()),
        ("empty", Vec::new()),
        ("no ledger", b"totals: 17\n".repeat(2_000)),
    ];
    for (what, bytes) in damages {
        fs::write(lab.ledger(), &bytes).unwrap();
        let refused = lab.settings().refused();
        assert_eq!(refused.code, Some(1), "{what}: {}", refused.log);
        let start = format!("ledger {}: ", lab.ledger().display());
        let message = refused.log.lines().last().unwrap();
        assert!(message.starts_with(&start), "{what}: {message}");
        for way_out in ["Nothing was changed", "`ledger verify`", "`ledger restore`", "or move the file away"]
        {
            assert!(message.contains(way_out), "{what}: {message}");
        }
        assert!(!refused.log.contains("listening"), "{what}: nothing is served");
        assert_eq!(fs::read(lab.ledger()).unwrap(), bytes, "{what}: the file was touched");
    }
    // The copy that was put back is as good as before.
    fs::write(lab.ledger(), &sound).unwrap();
    let daemon = lab.start();
    lab.truth().equals(&daemon.scrape()).unwrap();
}

#[test]
fn a_taken_port_is_a_clear_error() {
    let lab = Lab::new(world());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = lab.settings().set("web.listen_address", &address).refused();
    assert_eq!(refused.code, Some(1), "{}", refused.log);
    let message = format!(
        "{address}: the port is taken; stop what listens there, or choose another address with --web.listen-address\n"
    );
    assert!(refused.log.ends_with(&message), "{}", refused.log);
    for command in ["demo", "sim"] {
        let (code, _, stderr) = run(&[command, "--sim.listen-address", &address]);
        assert_eq!(code, Some(1));
        assert!(stderr.contains(&address) && stderr.contains("--sim.listen-address"), "{stderr}");
    }
}

#[test]
fn bad_settings_end_with_78_and_all_of_their_errors() {
    let lab = Lab::new(world());
    let file = lab.directory.path().join("bad.yaml");
    fs::write(&file, "api: {retries: 11}\nweb: {listen_adress: x}\naccounts: [{regions: [cn-hangzhou]}]\n")
        .unwrap();
    let file = file.to_str().unwrap();
    for arguments in [vec!["--config.file", file], vec!["check-config", "--config.file", file]] {
        let (code, stdout, stderr) = run(&arguments);
        assert_eq!((code, stdout.as_str()), (Some(78), ""), "{stderr}");
        assert!(stderr.starts_with(&format!("{file}: 2 configuration errors\n")), "{stderr}");
        assert!(
            stderr.contains("api.retries") && stderr.contains("did you mean web.listen_address?"),
            "{stderr}"
        );
    }
    // Without keys the exporter starts, and says that it has none: they may come later.
    let (code, ..) = run(&["check-config"]);
    assert_eq!(code, Some(78), "no region");
}

#[test]
fn a_certificate_that_is_broken_is_a_wrong_setting_to_the_check_and_to_the_start() {
    let lab = Lab::new(world());
    let broken = lab.directory.path().join("ca.pem");
    let sound = crate::harness::Authority::new("house").pem();
    let second = "-----BEGIN CERTIFICATE-----\nMIIBnonsense\n-----END CERTIFICATE-----\n";
    fs::write(&broken, format!("# M\u{fc}ller\n{sound}{second}")).unwrap();
    let settings = lab.settings().set("api.ca_file", broken.to_str().unwrap());
    let mut check = settings.command();
    check.arg("check-config");
    for ended in [settings.refused(), crate::harness::Running::start(check).end(Duration::from_secs(120))] {
        assert_eq!(ended.code, Some(78), "{}", ended.log);
        assert!(ended.log.contains("api.ca_file: certificate 2 in "), "{}", ended.log);
    }
}

#[test]
fn check_config_prints_what_is_understood_and_no_secret() {
    let lab = Lab::new(world());
    let settings = lab.settings();
    let (code, stdout, stderr) = run(&["check-config", "--config.file", settings.file.to_str().unwrap()]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.contains("cn-hangzhou") && stdout.contains("ledger.db"), "{stdout}");
    assert!(!stdout.contains("sim-access-key"), "{stdout}");
    assert!(!lab.ledger().exists(), "it only looks");
}

#[test]
fn usage_errors_end_with_64_and_the_version_is_told() {
    for arguments in [["--nonsense"].as_slice(), &["nonsense"], &["demo", "--sim.speed", "fast"]] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}");
        assert!(stderr.contains("error: "), "{stderr}");
    }
    let version = format!("emr-serverless-spark-exporter {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--version"]), (Some(0), version, String::new()));
    let described = format!("{}\n", emr_serverless_spark_exporter::build_info::describe());
    assert_eq!(run(&["version"]), (Some(0), described, String::new()));
    assert!(run(&["--help"]).1.contains("--config.file"));
    assert!(std::path::Path::new(PROGRAM).exists());
}

#[test]
fn json_log_lines_are_objects_that_name_each_field_once() {
    let lab = Lab::new(world());
    let daemon = lab.settings().set("log.format", "json").start();
    lab.simulator.faults().always(Fault::ServerError(500), Scope::any());
    daemon.sweeps("workspaces", 4.0);
    lab.simulator.faults().clear();
    lab.settle(&daemon);
    let ended = daemon.end("TERM");
    let mut levels = std::collections::BTreeSet::new();
    for line in ended.log.lines() {
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        for name in fields.keys() {
            assert_eq!(line.matches(&format!("\"{name}\":")).count(), 1, "{name} in {line}");
        }
        levels.insert(fields["level"].as_str().unwrap().to_owned());
    }
    assert!(levels.len() >= 3, "{levels:?}");
}
