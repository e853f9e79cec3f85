//! The way to the service: TLS, proxies, names, IPv6, and connections that are used again.

use std::time::Instant;

use emr_serverless_spark_exporter::sim::{AccessKey, Options, Stats, TlsIdentity};

use crate::harness::{Authority, Daemon, HOUR, Lab, Proxy, Settings, metric, world};

const PASSWORD: &str = "c0rrect-h0rse";
const PUBLIC: &str = "emr-serverless-spark.cn-hangzhou.aliyuncs.com";
const VPC: &str = "emr-serverless-spark-vpc.cn-hangzhou.aliyuncs.com";

fn lab(tls: TlsIdentity) -> Lab {
    Lab::with_options(world(), Options { tls: Some(tls), ..Options::default() })
}

/// Settings by way of an endpoint, trusting an authority.
fn settings(lab: &Lab, endpoint: &str, authority: &Authority) -> Settings {
    let file = authority.write_to(lab.directory.path());
    let account = lab.account("test", &AccessKey::defaults()[0], endpoint);
    lab.settings_for(&[account]).set("api.ca_file", file.to_str().unwrap()).set("api.retries", "0")
}

/// Asserts that the list of workspaces cannot be had, and that the page for people and the log say this about it.
#[track_caller]
fn assert_fails(daemon: &Daemon, reason: &str, says: &[&str]) {
    let failure = metric("exporter_sweep_failure_info").label("target", "workspaces");
    daemon.until_is(&failure.label("reason", reason), 1.0);
    let (page, log) = (daemon.get("/").1, daemon.log());
    for words in says {
        assert!(page.contains(words), "{words}: {page}");
        assert!(log.contains(words), "{words}: {log}");
    }
}

#[test]
fn a_private_authority_is_trusted_where_it_is_named_and_http2_is_spoken() {
    let authority = Authority::new("house");
    let lab = lab(authority.issue(&["127.0.0.1"]));
    let daemon = settings(&lab, &lab.simulator.url(), &authority).start();
    lab.settle(&daemon);
    lab.advance(HOUR);
    lab.settle(&daemon);
    let stats = lab.simulator.stats();
    assert_eq!(stats.http2_requests, stats.requests.values().sum::<u64>());
    // Those that begin at once may each open one; all but one are let go.
    assert!(stats.connections <= 4, "{} connections", stats.connections);
}

#[test]
fn http1_is_spoken_where_the_service_has_nothing_newer() {
    let authority = Authority::new("house");
    let lab = lab(authority.issue(&["127.0.0.1"]).http1_only());
    lab.settle(&settings(&lab, &lab.simulator.url(), &authority).start());
    assert_eq!(lab.simulator.stats().http2_requests, 0);
}

#[test]
fn a_certificate_that_is_not_trusted_is_an_error_that_says_what_to_do() {
    let (house, other) = (Authority::new("house"), Authority::new("other"));
    let lab = lab(house.issue(&["127.0.0.1"]));
    let daemon = settings(&lab, &lab.simulator.url(), &other).start();
    assert_fails(&daemon, "tls", &["who signed the certificate is not trusted", "`api.ca_file`"]);
    assert_eq!(lab.simulator.stats().requests.len(), 0);
}

#[test]
fn a_certificate_for_another_host_is_an_error_that_says_so() {
    let house = Authority::new("house");
    let lab = lab(house.issue(&["emr.example.com"]));
    let daemon = settings(&lab, &lab.simulator.url(), &house).start();
    assert_fails(&daemon, "tls", &["the certificate is for another host"]);
}

#[test]
fn tls_towards_plain_http_is_an_error_that_says_so() {
    let lab = Lab::new(world());
    let url = lab.simulator.url().replace("http:", "https:");
    assert_fails(&settings(&lab, &url, &Authority::new("house")).start(), "tls", &["plain http"]);
}

/// The endpoint of each network, reached by way of a proxy that the settings name.
fn by_way_of_a_proxy(network: &str, host: &str) {
    let house = Authority::new("house");
    let lab = lab(house.issue(&[host]));
    let proxy = Proxy::start(PASSWORD, lab.simulator.addr());
    let settings = settings(&lab, "", &house).set("accounts.0.network", network);
    let daemon = settings.set("api.proxy", &proxy.url(PASSWORD)).start();
    lab.settle(&daemon);
    let through = proxy.let_through();
    assert!(through.iter().all(|target| *target == format!("{host}:443")), "{through:?}");
    assert_eq!(through.len() as u64, lab.simulator.stats().connections, "all went that way");
    assert!(!daemon.log().contains(PASSWORD));
}

#[test]
fn the_public_endpoint_is_reached_by_way_of_a_configured_proxy() {
    by_way_of_a_proxy("public", PUBLIC);
}

#[test]
fn the_vpc_endpoint_is_reached_by_way_of_a_configured_proxy() {
    by_way_of_a_proxy("vpc", VPC);
}

#[test]
fn a_proxy_that_refuses_or_is_not_there_is_named_and_its_password_is_not() {
    let house = Authority::new("house");
    let lab = lab(house.issue(&[PUBLIC]));
    let proxy = Proxy::start(PASSWORD, lab.simulator.addr());
    let settings = settings(&lab, "", &house);
    let daemon = settings.clone().set("api.proxy", &proxy.url("hunter2-hunter2")).start();
    assert_fails(&daemon, "unreachable", &["the proxy wants a user and a password", "`api.proxy`"]);
    assert!(proxy.refused() > 0 && proxy.let_through().is_empty());
    assert!(!daemon.log().contains("hunter2-hunter2") && !daemon.get("/").1.contains("hunter2-hunter2"));
    daemon.stop();
    let nowhere = format!("http://u:hunter2-hunter2@127.0.0.1:{}", crate::harness::free_port());
    let daemon = settings.set("api.proxy", &nowhere).start();
    assert_fails(&daemon, "unreachable", &["`api.proxy`", "is not there"]);
    assert!(!daemon.log().contains("hunter2-hunter2"));
}

#[test]
fn the_environment_names_a_proxy_in_capitals_or_small_letters() {
    let house = Authority::new("house");
    let lab = lab(house.issue(&[PUBLIC]));
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let proxy = Proxy::start(PASSWORD, lab.simulator.addr());
        let daemon = settings(&lab, "", &house).variable(name, &proxy.url(PASSWORD)).start();
        lab.settle(&daemon);
        assert!(!proxy.let_through().is_empty(), "{name}");
        daemon.stop();
    }
}

#[test]
fn no_proxy_of_the_environment_is_respected_and_none_leads_to_this_machine() {
    // The system takes 0.0.0.0 for this machine; the exporter cannot know.
    let house = Authority::new("house");
    let lab = lab(house.issue(&["0.0.0.0", "127.0.0.1"]));
    let port = lab.simulator.addr().port();
    let elsewhere = format!("https://0.0.0.0:{port}");
    for (endpoint, no_proxy, is_used) in [
        (&elsewhere, None, true),
        (&elsewhere, Some("NO_PROXY"), false),
        (&elsewhere, Some("no_proxy"), false),
        (&lab.simulator.url(), None, false),
    ] {
        let proxy = Proxy::start(PASSWORD, lab.simulator.addr());
        let mut settings = settings(&lab, endpoint, &house).variable("HTTPS_PROXY", &proxy.url(PASSWORD));
        if let Some(name) = no_proxy {
            settings = settings.variable(name, "example.com,0.0.0.0");
        }
        let daemon = settings.start();
        lab.settle(&daemon);
        assert_eq!(!proxy.let_through().is_empty(), is_used, "{endpoint} {no_proxy:?}");
        daemon.stop();
    }
}

#[test]
fn a_name_that_is_not_known_is_an_error_that_says_where_to_look() {
    let lab = Lab::new(world());
    // A name that the rules of the Internet keep from ever being one.
    let daemon = settings(&lab, "https://emr.nowhere.invalid", &Authority::new("house")).start();
    assert_fails(&daemon, "unresolved", &["dns error", "the name of the host is not known", "`endpoint`"]);
}

#[test]
fn an_endpoint_with_an_ipv6_address_is_reached() {
    let lab = Lab::listening("[::1]:0", world(), Options::default());
    assert!(lab.simulator.url().starts_with("http://[::1]:"));
    lab.settle(&lab.start());
    let house = Authority::new("house");
    let options = Options { tls: Some(house.issue(&["::1"])), ..Options::default() };
    let lab = Lab::listening("[::1]:0", world(), options);
    lab.settle(&settings(&lab, &lab.simulator.url(), &house).start());
}

#[test]
fn plain_http_leaves_this_machine_only_where_it_is_allowed() {
    let lab = Lab::new(world());
    let endpoint = format!("http://0.0.0.0:{}", lab.simulator.addr().port());
    let settings = lab.settings().set("accounts.0.endpoint", &endpoint);
    let refused = settings.refused();
    assert_eq!(refused.code, Some(78), "{}", refused.log);
    assert!(refused.log.contains("plain http sends keys and usage in the clear"), "{}", refused.log);
    assert_eq!(lab.simulator.stats().connections, 0);
    lab.settle(&settings.set("accounts.0.allow_http", "true").start());
}

#[test]
fn connections_are_used_again() {
    const MAX_IN_FLIGHT: u64 = 4;
    let lab = Lab::new(world());
    let daemon = lab.start();
    lab.settle(&daemon);
    let (before, started) = (lab.simulator.stats(), Instant::now());
    daemon.sweeps("livy_sessions", 40.0);
    let after = lab.simulator.stats();
    let requests = |stats: &Stats| stats.requests.values().sum::<u64>();
    assert!(requests(&after) - requests(&before) > 60, "it was steady work");
    let minutes = 1 + started.elapsed().as_secs() / 60;
    let opened = after.connections - before.connections;
    assert!(opened <= MAX_IN_FLIGHT * minutes, "{opened} connections in {minutes} minutes");
}

#[test]
fn the_simulator_speaks_tls_from_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let identity = Authority::new("house").identity(&["127.0.0.1"]);
    let (certificate, key) = (file("cert.pem", &identity.cert), file("key.pem", &identity.key));
    let flags = |certificate: &str, key: &str| {
        let flags =
            ["sim", "--sim.listen-address=127.0.0.1:0", "--sim.tls-cert", certificate, "--sim.tls-key", key];
        flags.map(str::to_owned)
    };
    let mut command = crate::harness::tied(crate::harness::PROGRAM);
    command.args(flags(&certificate, &key)).stdout(std::process::Stdio::piped());
    let mut simulator = command.spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(simulator.stdout.take().unwrap()), &mut line)
        .unwrap();
    simulator.kill().unwrap();
    simulator.wait().unwrap();
    assert!(line.contains("https://127.0.0.1:"), "{line}");

    for (certificate, key, named) in [(&key, &key, &key), (&certificate, &certificate, &certificate)] {
        let flags = flags(certificate, key);
        let (code, _, stderr) = crate::harness::run(&flags.each_ref().map(String::as_str));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(named.as_str()), "{stderr}");
    }
}
