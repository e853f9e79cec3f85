//! Bad settings: each file under `tests/data/bad-config` breaks a rule, and its whole message stands beside it.
//! With `UPDATE_EXPECTED=1` the messages are written anew, for a person to read in the diff.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers, too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use emr_serverless_spark_exporter::config::{self, LoadRequest};
use proptest::prelude::*;

/// Every secret in these files holds it, and nothing else does.
const MARKERS: [&str; 2] = ["MARKER", "77700077700"];

fn files(extension: &str) -> BTreeSet<PathBuf> {
    let files = fs::read_dir("tests/data/bad-config").unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
}

fn message(path: &Path) -> String {
    let request = LoadRequest { file: Some(path), environment: [], overrides: Vec::new() };
    match config::load(request) {
        Ok(config) => panic!("{} is accepted: {config:?}", path.display()),
        Err(errors) => format!("{errors}\n"),
    }
}

#[test]
fn each_bad_file_has_its_exact_message() {
    let files_with_a_rule = files("yaml");
    assert!(files_with_a_rule.len() >= 22);
    for path in &files_with_a_rule {
        let expected = path.with_extension("expected.txt");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected, message(path)).unwrap();
        }
        assert_eq!(message(path), fs::read_to_string(&expected).unwrap(), "{}", path.display());
    }
    for expected in files("txt") {
        assert!(
            files_with_a_rule.contains(&expected.with_extension("").with_extension("yaml")),
            "{expected:?}"
        );
    }
}

#[test]
fn no_message_contains_a_secret() {
    let mut with_secrets = 0;
    for path in files("yaml") {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if text.contains("credentials") || text.contains("proxy") {
            assert!(text.contains("MARKER"), "{} has no secret to look for", path.display());
            with_secrets += 1;
        }
        for marker in MARKERS {
            assert!(!message(&path).contains(marker), "{}", message(&path));
        }
    }
    assert!(with_secrets >= 10);
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    assert_eq!(
        message(Path::new("tests/data/no-such-file.yaml")),
        "tests/data/no-such-file.yaml: 1 configuration error\n  there is no such file\n"
    );
    assert_eq!(
        message(Path::new("tests/data")),
        "tests/data: 1 configuration error\n  this is a directory, not a file\n"
    );
}

/// Good settings with a secret at every place for one.
const GOOD: &str = "
accounts:
  - name: a
    credentials: {type: static, access_key_id: LTAIs3cr3t, access_key_secret: xys3cr3tyx}
    regions: [cn-hangzhou]
  - name: b
    credentials:
      type: sts
      access_key_id: STS.s3cr3t
      access_key_secret: \"xys3cr3tyx\"
      security_token: xys3cr3tyx
    endpoint: https://emr.example.com
    regions: [cn-hangzhou]
api: {retries: 4, proxy: http://user:xys3cr3tyx@proxy:3128}
";

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Slips of the finger: up to three characters that are typed, missed or mistyped, anywhere.
    #[test]
    fn no_slip_of_the_finger_shows_a_secret(
        slips in prop::collection::vec((0..GOOD.len(), 0..3, prop::sample::select(":{}[]&*!#|>@%?\"'\n\t ,-=xX0_".chars().collect::<Vec<_>>())), 1..4),
    ) {
        let mut text: Vec<char> = GOOD.chars().collect();
        for (at, kind, character) in slips {
            let at = at.min(text.len() - 1);
            match kind {
                0 => text.insert(at, character),
                1 => text[at] = character,
                _ => drop(text.remove(at)),
            }
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text.iter().collect::<String>()).unwrap();
        let request = LoadRequest { file: Some(file.path()), environment: [], overrides: Vec::new() };
        let shown = match config::load(request) {
            Ok(config) => format!("{:?}", config.api),
            Err(errors) => format!("{errors} {errors:?}"),
        };
        prop_assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}

#[test]
fn the_settings_that_slips_start_from_are_good() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), GOOD).unwrap();
    config::load(LoadRequest { file: Some(file.path()), environment: [], overrides: Vec::new() }).unwrap();
}
