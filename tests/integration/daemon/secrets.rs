//! Secrets stay in: not in a log at any level, not on a page, not in a message, not in the ledger's files.

use std::fs;

use emr_serverless_spark_exporter::config::{self, LoadRequest};
use emr_serverless_spark_exporter::sim::{AccessKey, Fault, Operation, Options, Scope};

use crate::harness::{Authority, Daemon, Lab, Proxy, Settings, authorization, metric, run, world};

const KEY_ID: &str = "STS.NXhV7kMb2QeR5tYu8w";
const SECRET: &str = "8dKqPz3WfJmLr6TyNvXc2BhS5gAeU9";
const TOKEN: &str = "CAISxQJ1q6Ft5B2yfSjIr5DkGfKFxtQxYmVn0LpR";
const PROXY_PASSWORD: &str = "Wq7tZ-proxy-9XnB4";
const WRONG_PASSWORD: &str = "Kd2mV-wrong-5PsJ8";
/// How the simulator's connection tokens begin.
const CONNECTION_TOKEN: &str = "sim-connection-token";
const HOST: &str = "emr-serverless-spark.cn-hangzhou.aliyuncs.com";

/// Texts, each with the name of the place where it was found.
type Places = Vec<(&'static str, String)>;

#[track_caller]
fn assert_clean(places: &Places, what: &str) {
    let (proxy, wrong) = (authorization(PROXY_PASSWORD), authorization(WRONG_PASSWORD));
    let secrets = [KEY_ID, SECRET, TOKEN, CONNECTION_TOKEN, PROXY_PASSWORD, WRONG_PASSWORD, &proxy, &wrong];
    for (place, text) in places {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in {place} with {what}");
        }
    }
}

/// A daemon's pages, and the files of its ledger.
fn shown(lab: &Lab, daemon: &Daemon) -> Places {
    let mut places: Places =
        ["/metrics", "/", "/api/v1/status", "/-/ready"].map(|path| (path, daemon.get(path).1)).into();
    let files = fs::read_dir(lab.directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let ledger: Vec<_> = files.filter(|path| path.to_string_lossy().contains("ledger.db")).collect();
    assert!(ledger.len() >= 2, "the ledger and its log were read");
    for path in ledger {
        places.push(("the ledger", String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()));
    }
    places
}

/// What the settings come to, in all their forms.
fn settings_shown(file: &str) -> Places {
    let (code, stdout, stderr) = run(&["check-config", "--config.file", file]);
    assert_eq!(code, Some(0), "{stderr}");
    let request = LoadRequest { file: Some(file.as_ref()), environment: [], overrides: Vec::new() };
    let config = config::load(request).unwrap();
    vec![
        ("check-config", stdout + &stderr),
        ("the settings for debugging", format!("{config:?} {config:#?}")),
        ("the summary of the settings", config.summary()),
    ]
}

#[test]
fn secrets_stay_in() {
    let authority = Authority::new("house");
    let keys = vec![AccessKey::sts(KEY_ID, SECRET, TOKEN)];
    let options = Options { keys, tls: Some(authority.issue(&[HOST])), ..Options::default() };
    let lab = Lab::with_options(world(), options);
    let proxy = Proxy::start(PROXY_PASSWORD, lab.simulator.addr());
    for format in ["text", "json"] {
        let with_proxy = |password| settings(&lab, &authority, &proxy.url(password), format);
        let daemon = with_proxy(PROXY_PASSWORD).start();
        lab.settle(&daemon);
        // Errors of all sorts, on answers that hold a secret; last the one after which requests are held back.
        let clusters = Scope::of(Operation::ListSessionClusters);
        for fault in
            [Fault::BadJson, Fault::MistypedRow, Fault::Cut, Fault::Denied("NoPermission"), Fault::InvalidKey]
        {
            lab.simulator.faults().always(fault, clusters.clone());
            daemon.sweeps("session_clusters", 3.0);
            lab.simulator.faults().clear();
        }
        let mut places = shown(&lab, &daemon);
        let ended = daemon.end("TERM");
        assert!(ended.log.contains("TRACE") && ended.log.contains("hyper"), "the log is as loud as can be");
        assert!(ended.log.contains("Forbidden") || ended.log.contains("NoPermission"), "errors were logged");
        places.push(("the log", ended.log));

        let daemon = with_proxy(WRONG_PASSWORD).start();
        daemon.until_is(&metric("exporter_sweep_failure_info").label("reason", "unreachable"), 1.0);
        places.extend(shown(&lab, &daemon));
        places.push(("the log without a way", daemon.end("TERM").log));
        places.extend(settings_shown(with_proxy(PROXY_PASSWORD).file.to_str().unwrap()));
        assert_clean(&places, format);
    }
    assert!(proxy.refused() > 0 && !proxy.let_through().is_empty());
}

/// Settings with a secret in every place for one, and a log as loud as can be, of every library, too.
fn settings(lab: &Lab, authority: &Authority, proxy: &str, format: &str) -> Settings {
    let ca_file = authority.write_to(lab.directory.path());
    let account = format!(
        "  - name: test\n    \
             credentials: {{type: sts, access_key_id: {KEY_ID}, access_key_secret: {SECRET}, security_token: {TOKEN}}}\n    \
             regions: [cn-hangzhou]\n    \
             api: {{ca_file: {}, proxy: '{proxy}'}}\n",
        ca_file.display()
    );
    lab.settings_for(&[account])
        .set("log.level", "trace")
        .set("log.format", format)
        .variable("RUST_LOG", "trace")
}

#[test]
fn an_error_of_the_settings_shows_no_secret() {
    let lab = Lab::new(world());
    let file = settings(&lab, &Authority::new("house"), &format!("http://u:{PROXY_PASSWORD}@h"), "text").file;
    let good = fs::read_to_string(&file).unwrap();
    for (from, to) in [
        ("access_key_secret: ", "access_key_secrets: "),
        ("security_token: ", "security_token:"),
        ("proxy: 'http", "proxy: 'socks"),
        ("type: sts", "type: static"),
        (", security_token", ", access_key_secret: x, security_token"),
    ] {
        fs::write(&file, good.replacen(from, to, 1)).unwrap();
        let (code, stdout, stderr) = run(&["--config.file", file.to_str().unwrap()]);
        assert_eq!(code, Some(78), "{to}: {stderr}");
        assert_clean(&vec![("the errors", stdout + &stderr)], to);
    }
}
