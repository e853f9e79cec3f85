//! `check-config` and promtool agree on web configuration files: those of `tests/data/web-config`, by directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Authority, run};

const DATA: &str = "tests/data/web-config";

/// The files of a directory beside the keys and certificates that they name.
fn laid_out(of: &str) -> (TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("house");
    let path = directory.path();
    authority.identity(&["localhost"]).write(path, "server");
    authority.identity(&["localhost"]).write(path, "other");
    fs::write(path.join("ca.crt"), authority.pem()).unwrap();
    for end in ["crt", "key"] {
        let pem = fs::read(path.join("server").with_extension(end)).unwrap();
        fs::write(path.join("latin1").with_extension(end), [b"# M\xfcller\n", &pem[..]].concat()).unwrap();
    }
    for file in fs::read_dir(Path::new(DATA).join("files")).unwrap() {
        let file = file.unwrap().path();
        fs::copy(&file, path.join(file.file_name().unwrap())).unwrap();
    }
    fs::write(path.join("garbage"), "neither a key nor a certificate\n").unwrap();
    let mut files = Vec::new();
    for entry in fs::read_dir(Path::new(DATA).join(of)).unwrap() {
        let entry = entry.unwrap().path();
        let copy = path.join(entry.file_name().unwrap());
        fs::copy(&entry, &copy).unwrap();
        files.push(copy);
    }
    files.sort();
    (directory, files)
}

/// What promtool says against a file.
fn promtool(file: &Path) -> Result<(), String> {
    let output = Command::new("promtool").args(["check", "web-config"]).arg(file).output();
    let output = output.expect("promtool is missing: scripts/test-tools.sh installs it");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// What `check-config` says against it, with the exit code.
fn check_config(file: &Path) -> (Option<i32>, String) {
    let settings = file.with_file_name("settings");
    fs::write(&settings, "accounts: [{regions: [cn-hangzhou]}]\n").unwrap();
    let (code, out, error) = run(&[
        "check-config",
        "--config.file",
        settings.to_str().unwrap(),
        "--web.config.file",
        file.to_str().unwrap(),
    ]);
    assert_eq!(code == Some(0), error.is_empty(), "{out}{error}");
    (code, error)
}

#[test]
fn good_files_are_good_to_both() {
    let (_directory, files) = laid_out("good");
    assert!(files.len() >= 12);
    for file in files {
        assert_eq!(check_config(&file), (Some(0), String::new()), "{}", file.display());
        promtool(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

#[test]
fn bad_files_are_bad_to_both() {
    let (_directory, files) = laid_out("bad");
    assert!(files.len() >= 25);
    for file in files {
        let (code, error) = check_config(&file);
        assert_eq!(code, Some(78), "{}: {error}", file.display());
        assert!(promtool(&file).is_err(), "{}", file.display());
    }
}

/// What is good to promtool and not served here: old or broken cryptography, and what would let nobody or anybody in.
#[test]
fn what_is_refused_here_alone_is_good_to_promtool() {
    let (_directory, files) = laid_out("stricter");
    assert!(files.len() >= 8);
    for file in files {
        assert_eq!(check_config(&file).0, Some(78), "{}", file.display());
        promtool(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

/// Keys that the toolkit has had since Debian's promtool was built.
#[test]
fn keys_of_newer_toolkits_are_known() {
    let (_directory, files) = laid_out("newer");
    for file in files {
        assert_eq!(check_config(&file), (Some(0), String::new()), "{}", file.display());
    }
    let (_directory, files) = laid_out("newer-bad");
    for file in files {
        assert_eq!(check_config(&file).0, Some(78), "{}", file.display());
    }
}

/// Every message, by directory and file, in `tests/data/web-config/messages.txt`; `UPDATE_EXPECTED=1` writes it anew.
#[test]
fn each_message_says_what_to_do_and_shows_no_value() {
    let mut messages = BTreeMap::new();
    for of in ["bad", "newer-bad", "stricter"] {
        let (directory, files) = laid_out(of);
        for file in files {
            let name = format!("{of}/{}", file.file_name().unwrap().display());
            let error = check_config(&file).1.replace(&format!("{}/", directory.path().display()), "");
            messages.insert(name, error);
        }
    }
    let text: String = messages.iter().map(|(name, error)| format!("# {name}\n{error}\n")).collect();
    assert!(!text.contains("MARKER"), "{text}");
    let expected = format!("{DATA}/messages.txt");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&expected, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&expected).unwrap());
}

#[test]
fn an_empty_name_is_no_file() {
    let settings = tempfile::NamedTempFile::new().unwrap();
    fs::write(settings.path(), "accounts: [{regions: [cn-hangzhou]}]\nweb: {config_file: /nope/web.yml}\n")
        .unwrap();
    let file = settings.path().to_str().unwrap();
    let (code, out, error) = run(&["check-config", "--config.file", file, "--web.config.file", ""]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(!out.contains("web configuration"), "{out}");
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (code, error) = check_config(&directory.path().join("web.yml"));
    assert_eq!(code, Some(78));
    assert!(error.ends_with("web.yml: 1 configuration error\n  there is no such file\n"), "{error}");
}
