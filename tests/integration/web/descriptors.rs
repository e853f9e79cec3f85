//! File descriptors: what the system allows of them, and what becomes of connections that it does not.

use std::net::TcpStream;

use super::cuts;
use super::limits::connect;
use crate::harness::{Lab, Page, Settings, http_get, wait_for, world};

#[test]
fn connections_leave_some_for_the_rest_whatever_the_settings_say() {
    let lab = Lab::new(world());
    let settings = lab.settings().set("web.max_connections", "1000");
    let daemon = Settings::start_as(settings.command_after(&[
        "/bin/sh",
        "-c",
        "ulimit -n 140; ulimit -S -n 100; exec \"$0\" \"$@\"",
    ]));
    assert!(daemon.log().contains("at most 76 connections at a time, not web.max_connections"));
    let mut open: Vec<TcpStream> = (0..120).map(|_| connect(&daemon)).collect();
    wait_for("refusals", || {
        // One of those that it has taken makes room.
        open.remove(0);
        let (_, page) = http_get(daemon.address, "/metrics").map_err(|error| error.to_string())?;
        let refused = cuts(&Page::parse(page), "too_many_connections");
        if refused >= 40.0 { Ok(()) } else { Err(refused.to_string()) }
    });
    assert_eq!(cuts(&daemon.scrape(), "not_accepted"), 0.0);
    drop(open);
    lab.settle(&daemon);
    daemon.stop();
}

#[test]
fn what_the_system_does_not_let_be_accepted_is_counted() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    lab.settle(&daemon);
    daemon.limit("nofile=8:");
    let waiting = connect(&daemon);
    wait_for("a word of it", || {
        let log = daemon.log();
        if log.contains("could not accept a connection") { Ok(()) } else { Err(log) }
    });
    daemon.limit("nofile=1000:");
    drop(waiting);
    daemon.until("the count", |page| match cuts(page, "not_accepted") {
        0.0 => Err("none".to_owned()),
        _ => Ok(()),
    });
    lab.settle(&daemon);
    daemon.stop();
}
