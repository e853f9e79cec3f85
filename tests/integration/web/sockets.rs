//! Several addresses, Unix sockets, and sockets that systemd hands over.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};

use super::Doors;
use crate::harness::{Lab, Settings, http_get, http_get_on, wait_for, world};

#[test]
fn several_addresses_and_a_unix_socket_answer_alike() {
    let lab = Lab::new(world());
    let socket = lab.directory.path().join("exporter.sock");
    let mut command = lab.settings().command();
    for address in ["127.0.0.1:0", "[::1]:0", &format!("unix:{}", socket.display())] {
        command.args(["--web.listen-address", address]);
    }
    let daemon = Settings::start_as(command);
    let listening = wait_for("three addresses", || {
        let log = daemon.log();
        let lines: Vec<String> =
            log.lines().filter(|l| l.contains(": listening address=")).map(str::to_owned).collect();
        if lines.len() == 3 { Ok(lines) } else { Err(log) }
    });
    let v6 = listening.iter().find_map(|line| {
        line.split("address=").nth(1)?.split(' ').next()?.parse().ok().filter(std::net::SocketAddr::is_ipv6)
    });
    for (status, body) in [
        daemon.get("/-/healthy"),
        http_get(v6.unwrap(), "/-/healthy").unwrap(),
        http_get_on(UnixStream::connect(&socket).unwrap(), "/-/healthy").unwrap(),
    ] {
        assert_eq!((status, body.as_str()), (200, "healthy\n"));
    }
    daemon.stop();
    assert!(!socket.exists(), "the socket goes with the daemon");
}

#[test]
fn a_list_in_the_file_is_listened_on_and_a_second_daemon_is_told() {
    let lab = Lab::new(world());
    let socket = format!("unix:{}", lab.directory.path().join("s").display());
    let daemon = lab.settings().set("web.listen_address", &format!("127.0.0.1:0, {socket}")).start();
    let other = Lab::new(world());
    let refused = other.settings().set("web.listen_address", &socket).refused();
    assert_eq!(refused.code, Some(1));
    assert!(refused.log.contains(&format!("{socket}: another process listens there")), "{}", refused.log);
    // A crash leaves its socket behind, which is no hindrance.
    daemon.kill();
    lab.settings().set("web.listen_address", &format!("127.0.0.1:0, {socket}")).start().stop();
}

#[test]
fn sockets_of_systemd_are_served_on() {
    let lab = Lab::new(world());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let daemon = lab.settings().start_with_socket(OwnedFd::from(listener));
    assert_eq!(daemon.address, address);
    assert_eq!(daemon.get("/-/healthy").0, 200);
    daemon.stop();
}

#[test]
fn a_unix_socket_of_systemd_is_served_on_and_left_in_place() {
    let doors = Doors::new();
    let path = doors.path("handed.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let process = doors.lab.settings().process_with_socket(OwnedFd::from(listener));
    let (status, _) = http_get_on(UnixStream::connect(&path).unwrap(), "/-/healthy").unwrap();
    assert_eq!(status, 200);
    process.signal("TERM");
    assert_eq!(process.end(std::time::Duration::from_secs(120)).code, Some(0));
    assert!(path.exists());
}

#[test]
fn without_sockets_from_systemd_it_says_so() {
    let lab = Lab::new(world());
    let refused = lab.settings().set("web.systemd_socket", "true").refused();
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.log.contains("no socket was handed over; start the exporter by a .socket unit"),
        "{}",
        refused.log
    );
    // Meant for another process.
    let refused = lab
        .settings()
        .set("web.systemd_socket", "true")
        .variable("LISTEN_FDS", "1")
        .variable("LISTEN_PID", "1")
        .refused();
    assert!(refused.log.contains("no socket was handed over"), "{}", refused.log);
}

#[test]
fn a_socket_that_does_not_listen_is_refused() {
    use rustix::net::{AddressFamily, SocketType, bind, socket};
    let lab = Lab::new(world());
    let bound = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&bound, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let ended = lab.settings().process_with_socket(bound).end(std::time::Duration::from_secs(120));
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(ended.log.contains("socket 1: it does not listen"), "{}", ended.log);
}
