//! TLS: versions, HTTP/2, and what is asked of clients.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::tls::Version;
use reqwest::{ClientBuilder, Identity as ClientIdentity};

use super::{Doors, TLS, ask, block_on, cuts, scrape};
use crate::harness::{Authority, Daemon, Identity, wait_for};

fn with(client: ClientBuilder, identity: &Identity) -> ClientBuilder {
    let pem = format!("{}{}", identity.cert, identity.key);
    client.identity(ClientIdentity::from_pem(pem.as_bytes()).unwrap())
}

/// Whether this client gets an answer.
fn is_let_in(client: ClientBuilder, daemon: &Daemon) -> bool {
    block_on(ask(client, daemon.address, "/-/healthy")).is_ok_and(|answer| answer.status() == 200)
}

#[test]
fn it_serves_by_tls_and_http2_and_tells_plain_clients() {
    let doors = Doors::new();
    let daemon = doors.settings(TLS).start();
    let asked = |client| block_on(ask(client, daemon.address, "/metrics")).unwrap();
    assert_eq!(asked(doors.client()).version(), reqwest::Version::HTTP_2);
    assert_eq!(asked(doors.client().http1_only()).version(), reqwest::Version::HTTP_11);
    // Signed by somebody else.
    assert!(!is_let_in(Doors::new().client(), &daemon));
    let mut plain = TcpStream::connect(daemon.address).unwrap();
    plain.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = plain.read_to_string(&mut answer);
    // What the server has not read makes the system say so after the answer, at worst.
    assert!(answer.starts_with("HTTP/1.0 400 ") && answer.contains("https://"), "{answer}");
    // A client knows of the end of a handshake before the server has counted it.
    wait_for("the count", || match cuts(&scrape(doors.client(), &daemon), "handshake") {
        2.0 => Ok(()),
        count => Err(count.to_string()),
    });
    daemon.stop();
}

#[test]
fn http2_and_versions_are_a_choice() {
    let doors = Doors::new();
    let yaml = format!(
        "{}, max_version: TLS12}}\nhttp_server_config: {{http2: false}}\n",
        TLS.trim_end_matches("}\n")
    );
    let daemon = doors.settings(&yaml).start();
    let answer = block_on(ask(doors.client(), daemon.address, "/metrics")).unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_11);
    assert!(!is_let_in(doors.client().tls_version_min(Version::TLS_1_3), &daemon));
    assert!(is_let_in(doors.client().tls_version_max(Version::TLS_1_2), &daemon));
    daemon.stop();
    let daemon = doors.settings(&yaml.replace("max_version: TLS12", "min_version: TLS13")).start();
    assert!(is_let_in(doors.client().tls_version_min(Version::TLS_1_3), &daemon));
    assert!(!is_let_in(doors.client().tls_version_max(Version::TLS_1_2), &daemon));
    daemon.stop();
    // A list of suites is about TLS 1.2: none of it here, so 1.3 alone is left.
    let suites = "cipher_suites: [TLS_AES_128_GCM_SHA256], curve_preferences: [CurveP384]";
    let daemon = doors.settings(&yaml.replace("max_version: TLS12", suites)).start();
    assert!(is_let_in(doors.client(), &daemon));
    assert!(!is_let_in(doors.client().tls_version_max(Version::TLS_1_2), &daemon));
    daemon.stop();
}

#[test]
fn every_kind_of_client_authentication_lets_in_whom_it_should() {
    let doors = Doors::new();
    let known = doors.authority.identity(&["client.example"]);
    let stranger = Authority::new("house").identity(&["client.example"]);
    // Type, then who is let in: without a certificate, with any, with one of the authority.
    for (kind, needs_ca, expected) in [
        ("NoClientCert", false, [true, true, true]),
        ("RequestClientCert", false, [true, true, true]),
        ("RequireAnyClientCert", false, [false, true, true]),
        ("VerifyClientCertIfGiven", true, [true, false, true]),
        ("RequireAndVerifyClientCert", true, [false, false, true]),
    ] {
        let ca = if needs_ca { ", client_ca_file: ca.crt" } else { "" };
        let base = TLS.trim_end_matches("}\n");
        let daemon = doors.settings(&format!("{base}, client_auth_type: {kind}{ca}}}\n")).start();
        for version in [Version::TLS_1_2, Version::TLS_1_3] {
            let client = || doors.client().tls_version_max(version);
            let clients = [client(), with(client(), &stranger), with(client(), &known)];
            assert_eq!(clients.map(|client| is_let_in(client, &daemon)), expected, "{kind} {version:?}");
        }
        daemon.stop();
    }
}

#[test]
fn a_clients_name_must_be_among_those_allowed() {
    let doors = Doors::new();
    let base = TLS.trim_end_matches("}\n");
    let daemon = doors
        .settings(&format!(
            "{base}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt, \
             client_allowed_sans: [prometheus.example, 192.0.2.7]}}\n"
        ))
        .start();
    for (names, is_allowed) in [
        (&["prometheus.example"][..], true),
        (&["other.example", "192.0.2.7"], true),
        (&["other.example", "192.0.2.8"], false),
        (&["sub.prometheus.example"], false),
    ] {
        let client = with(doors.client(), &doors.authority.identity(names));
        assert_eq!(is_let_in(client, &daemon), is_allowed, "{names:?}");
    }
    // The right name of the wrong authority.
    let stranger = Authority::new("house").identity(&["prometheus.example"]);
    assert!(!is_let_in(with(doors.client(), &stranger), &daemon));
    daemon.stop();
}
