//! How the program ends: with 0, within five seconds, in the middle of whatever it does.

use std::time::Duration;

use emr_serverless_spark_exporter::sim::{Fault, Operation, Scope};

use crate::harness::{Daemon, Ended, HOUR, Lab, Running, wait_for, world};

#[track_caller]
fn assert_clean(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.took < Duration::from_secs(5), "it took {:?}: {}", ended.took, ended.log);
    let last = ended.log.lines().last().unwrap_or_default();
    assert!(last.ends_with("ended"), "{last}");
    assert!(!ended.log.contains("ERROR") && !ended.log.contains("panicked"), "{}", ended.log);
}

#[test]
fn sigterm_and_sigint_end_it_between_sweeps() {
    let lab = Lab::new(world());
    for signal in ["TERM", "INT"] {
        let daemon = lab.start();
        lab.settle(&daemon);
        let ended = daemon.end(signal);
        assert_clean(&ended);
        assert!(ended.log.contains(&format!("signal=\"SIG{signal}\"")), "{}", ended.log);
    }
}

/// Waits until requests of this operation are under way and unanswered.
fn under_way(lab: &Lab, daemon: &Daemon, operation: Operation) {
    let answered = || lab.simulator.stats().count(operation);
    let before = answered();
    wait_for("an answered page", || {
        assert_eq!(daemon.get("/-/healthy").0, 200);
        if answered() > before { Ok(()) } else { Err("none".to_owned()) }
    });
}

#[test]
fn it_ends_in_the_middle_of_a_sweep_and_keeps_what_that_saw() {
    let lab = Lab::new(world());
    for signal in ["TERM", "INT"] {
        // Each page takes a second: dozens of them are still to come.
        lab.simulator.set_latency(Duration::from_secs(1));
        let daemon = lab.start();
        under_way(&lab, &daemon, Operation::ListLivyComputeSessions);
        assert_clean(&daemon.end(signal));
        lab.advance(HOUR);
    }
    lab.simulator.set_latency(Duration::ZERO);
    lab.settle(&lab.start());
}

#[test]
fn it_ends_while_it_waits_for_its_ledger() {
    let lab = Lab::new(world());
    lab.start().stop();
    // SQLite waits some seconds for another connection that has it alone.
    let alone = rusqlite::Connection::open(lab.ledger()).unwrap();
    alone.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let lock = lab.ledger().with_file_name("ledger.db-lock");
    std::fs::remove_file(&lock).unwrap();
    let process = Running::start(lab.settings().command());
    wait_for("its ledger to be opened", || if lock.exists() { Ok(()) } else { Err("not yet".to_owned()) });
    process.signal("TERM");
    let ended = process.end(Duration::from_secs(60));
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.took < Duration::from_secs(4), "it took {:?}", ended.took);
    drop(alone);
    lab.start().stop();
}

#[test]
fn it_ends_while_the_service_hangs() {
    let lab = Lab::new(world());
    for operation in
        [Operation::ListWorkspaces, Operation::ListLivyCompute, Operation::ListLivyComputeSessions]
    {
        lab.simulator.faults().always(Fault::Hang, Scope::of(operation));
        let daemon = lab.start();
        // Long enough to be in it: nothing tells from outside that a request hangs.
        std::thread::sleep(Duration::from_millis(700));
        assert_clean(&daemon.end("TERM"));
        lab.simulator.faults().clear();
    }
}

#[test]
fn it_ends_though_a_client_keeps_a_connection_open_and_another_sends_half_a_request() {
    use std::io::{Read, Write};
    let lab = Lab::new(world());
    let daemon = lab.start();
    let mut idle = std::net::TcpStream::connect(daemon.address).unwrap();
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut buffer = [0; 64];
    assert!(idle.read(&mut buffer).unwrap() > 0);
    let mut half = std::net::TcpStream::connect(daemon.address).unwrap();
    half.write_all(b"GET /metrics HTTP/1.1\r\nHost:").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let ended = daemon.end("TERM");
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.took < Duration::from_secs(5), "it took {:?}", ended.took);
}
