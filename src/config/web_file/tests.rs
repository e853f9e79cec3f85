//! The web configuration file: what is read, and what it is read as.

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn load(yaml: &str) -> Result<WebFile, String> {
    let directory = tempfile::tempdir().unwrap();
    load_in(&directory, yaml)
}

fn load_in(directory: &TempDir, yaml: &str) -> Result<WebFile, String> {
    let path = directory.path().join("web.yml");
    fs::write(&path, yaml).unwrap();
    WebFile::load(&path).map_err(|error| error.to_string())
}

#[test]
fn an_empty_file_asks_for_nothing() {
    let file = load("").unwrap();
    assert!(file.tls.is_none() && file.http2 && file.headers.is_empty() && file.users.is_empty());
    assert_eq!(file.rate_limit, None);
}

#[test]
fn a_user_without_a_hash_is_refused_by_name() {
    let hash = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
    for yaml in ["basic_auth_users:\n  a:\n", "basic_auth_users: {a}", "basic_auth_users: {a: '', b: null}"] {
        let error = load(yaml).unwrap_err();
        assert!(error.contains("basic_auth_users.a: expected a bcrypt hash"), "{error}");
        assert!(error.ends_with("there is none"), "{error}");
    }
    // What may be a password, or a hash in the wrong place, is not repeated.
    for name in ["alice:wonder", hash, "won der", ""] {
        let error = load(&format!("basic_auth_users: {{\"{name}\"}}")).unwrap_err();
        assert!(error.contains("basic_auth_users.(a user): expected a bcrypt hash"), "{error}");
    }
    let error = load("basic_auth_users: {wonder: alice}").unwrap_err();
    assert!(error.contains("basic_auth_users.(a user): ") && !error.contains("wonder"), "{error}");
    // One from a block, with its line break.
    let file = load(&format!("basic_auth_users:\n  a: |\n    {hash}\n")).unwrap();
    assert_eq!(file.users["a"].expose_secret(), hash);
}

#[test]
fn text_is_no_number_and_no_truth() {
    for yaml in [
        "rate_limit: {interval: 1s, burst: '10'}",
        "rate_limit: {interval: 1s, burst: ''}",
        "rate_limit: {interval: 1s, burst: 010}",
        "rate_limit: {interval: 1s, burst: +10}",
        "rate_limit: {interval: '1000000', burst: 10}",
        "rate_limit: {interval: '', burst: 10}",
        "http_server_config: {http2: 'true'}",
        "http_server_config:\n  http2: |-\n    true\n",
    ] {
        assert!(load(yaml).is_err(), "{yaml}");
    }
    for yaml in ["rate_limit: {interval: '1s', burst: 10}", "rate_limit: {interval: '0', burst: 10}"] {
        load(yaml).unwrap();
    }
}

#[test]
fn durations_are_those_of_go() {
    for (text, milliseconds) in [
        ("500ms", 500),
        ("1s", 1_000),
        ("1.5s", 1_500),
        ("1m30s", 90_000),
        ("2h", 7_200_000),
        ("5000000", 5),
        ("1000us", 1),
        ("1000\u{b5}s", 1),
        ("1000\u{3bc}s", 1),
        (".5s", 500),
        ("0.0000000000000000000001h2.s", 2_000),
    ] {
        let file = load(&format!("rate_limit: {{interval: {text}, burst: 2}}")).unwrap();
        let limit = RateLimit { interval: Duration::from_millis(milliseconds), burst: 2 };
        assert_eq!(file.rate_limit, Some(limit), "{text}");
    }
    for text in ["1", "0", "0s"] {
        let limited = load(&format!("rate_limit: {{interval: {text}}}"));
        assert_eq!(limited.is_ok_and(|file| file.rate_limit.is_none()), text.starts_with('0'), "{text}");
    }
    let longest = "9223372036.854775807s";
    assert_eq!(section::go_duration(longest), section::go_duration("9223372036854775807"));
    for text in [
        "9223372036.854775808s",
        "9223372036854775808",
        "3000000000000000h",
        "2562048h",
        "99999999999999999999h",
    ] {
        let error = load(&format!("rate_limit: {{interval: {text}, burst: 2}}")).unwrap_err();
        assert!(
            error.contains("rate_limit.interval: expected a duration of at most 292 years"),
            "{text}: {error}"
        );
    }
    for text in ["1x", "s", "1.2.3s", "-1s", "1s2", "1e400h", ".", ".s", "1.5"] {
        assert!(load(&format!("rate_limit: {{interval: '{text}', burst: 2}}")).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_is_taken_for_a_duration_is_one_of_go(text in "([0-9]{0,21}([.][0-9]{0,21})?(ns|us|µs|μs|ms|s|m|h|d|-)?){0,3}|.*") {
        if let Ok(duration) = section::go_duration(&text) {
            prop_assert!(i64::try_from(duration.as_nanos()).is_ok());
        }
    }
}

#[test]
fn files_win_over_inline_text_and_are_relative_to_the_file() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("c.pem"), b"C\xff").unwrap();
    fs::write(directory.path().join("k.pem"), "K").unwrap();
    let inline = load_in(&directory, "tls_server_config: {cert: a, key: b}").unwrap().tls.unwrap();
    assert_eq!((inline.cert.text.expose_secret(), inline.key.text.expose_secret()), (&b"a"[..], &b"b"[..]));
    let files = "tls_server_config: {cert: a, key: b, cert_file: c.pem, key_file: k.pem}";
    let files = load_in(&directory, files).unwrap().tls.unwrap();
    assert_eq!((files.cert.text.expose_secret(), files.key.text.expose_secret()), (&b"C\xff"[..], &b"K"[..]));
    assert_eq!((files.cert.key, files.key.key), ("cert_file", "key_file"));
    assert!(!format!("{files:?}").contains("75"), "a key does not print");
}

#[test]
fn the_digest_follows_every_byte() {
    let directory = tempfile::tempdir().unwrap();
    let yaml = "tls_server_config: {cert: a, key_file: k.pem, client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert}";
    let digest = |key: &str, ca: &str, yaml: &str| {
        fs::write(directory.path().join("k.pem"), key).unwrap();
        fs::write(directory.path().join("ca.pem"), ca).unwrap();
        load_in(&directory, yaml).unwrap().digest
    };
    let first = digest("x", "y", yaml);
    assert_eq!(first, digest("x", "y", yaml));
    for other in [
        digest("z", "y", yaml),
        digest("x", "z", yaml),
        digest("xy", "", yaml),
        digest("x", "y", &yaml.replace("cert: a", "cert: b")),
    ] {
        assert_ne!(first, other);
    }
}
