//! `healthcheck`, as a container asks for it.

use std::net::TcpListener;

use super::{Doors, TLS, hash};
use crate::harness::{Ended, Lab, Settings, free_port, world};

fn healthcheck(settings: &Settings) -> Ended {
    let mut command = settings.command();
    command.arg("healthcheck");
    crate::harness::Running::start(command).end(std::time::Duration::from_secs(120))
}

#[track_caller]
fn assert_healthy_while_it_runs(settings: &Settings) {
    let before = healthcheck(settings);
    assert_eq!(before.code, Some(1), "{}", before.log);
    let daemon = Settings::start_as(settings.command());
    let running = healthcheck(settings);
    assert_eq!((running.code, running.log.as_str()), (Some(0), ""));
    daemon.stop();
    assert_eq!(healthcheck(settings).code, Some(1));
}

fn listening(settings: Settings, host: &str) -> Settings {
    settings.set("web.listen_address", &format!("{host}:{}", free_port()))
}

#[test]
fn it_follows_the_daemon_on_any_address() {
    let lab = Lab::new(world());
    for host in ["127.0.0.1", "0.0.0.0", "", "[::1]", "localhost"] {
        assert_healthy_while_it_runs(&listening(lab.settings(), host));
    }
    let socket = lab.directory.path().join("s");
    let addresses = format!("unix:{},127.0.0.1:0", socket.display());
    assert_healthy_while_it_runs(&lab.settings().set("web.listen_address", &addresses));
}

#[test]
fn it_follows_a_daemon_that_wants_tls_certificates_or_passwords() {
    let doors = Doors::new();
    let base = TLS.trim_end_matches("}\n");
    let users = format!("basic_auth_users: {{alice: \"{}\"}}\n", hash("wonder", 4));
    for yaml in [
        TLS.to_owned(),
        users.clone(),
        format!("{base}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt}}\n"),
        format!("{base}, client_auth_type: RequireAnyClientCert, max_version: TLS12}}\n"),
        format!("{TLS}{users}"),
    ] {
        assert_healthy_while_it_runs(&listening(doors.settings(&yaml), "127.0.0.1"));
    }
}

#[test]
fn settings_that_are_refused_by_now_make_no_living_daemon_sick() {
    let lab = Lab::new(world());
    let settings = lab.settings();
    let address = format!("127.0.0.1:{}", free_port());
    let good = std::fs::read_to_string(&settings.file).unwrap().replace("127.0.0.1:0", &address);
    let write = |text: &str| std::fs::write(&settings.file, text).unwrap();
    write(&good);
    let daemon = Settings::start_as(settings.command());
    for bad in ["max_connections: none", "config_file: /nope/web.yml"] {
        write(&good.replace("web: {", &format!("nonsense: 1\nweb: {{{bad}, ")));
        let asked = healthcheck(&settings);
        assert_eq!((asked.code, asked.log.as_str()), (Some(0), ""), "{bad}");
    }
    // Where the file cannot be understood at all, a flag tells where to ask.
    write("web: {");
    let mut command = settings.command();
    command.args(["healthcheck", "--web.listen-address", &address]);
    let asked = crate::harness::Running::start(command).end(std::time::Duration::from_secs(120));
    assert_eq!((asked.code, asked.log.as_str()), (Some(0), ""));
    write(&format!("{good}\nnonsense: 1\n"));
    daemon.stop();
    let gone = healthcheck(&settings);
    assert_eq!(gone.code, Some(1));
    assert!(gone.log.contains("these settings are refused") && gone.log.contains("nonsense"), "{}", gone.log);
}

#[test]
fn what_cannot_be_asked_and_what_is_another_program_are_told() {
    let lab = Lab::new(world());
    let unknown = healthcheck(&lab.settings());
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.log.contains("set web.listen_address to a fixed one"), "{}", unknown.log);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let answering = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = other.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nIt works!\n").unwrap();
    });
    let asked = healthcheck(&lab.settings().set("web.listen_address", &address.to_string()));
    answering.join().unwrap();
    assert_eq!(asked.code, Some(1));
    assert!(asked.log.contains("is it another program?"), "{}", asked.log);
}
