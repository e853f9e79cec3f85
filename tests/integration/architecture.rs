//! The one-way flow of the design, kept: which room may import which, what each must never touch, how long a file may be.
//! Unit tests in the sources are left out: they may lean on whatever helps them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import of the others.
const ALLOWED: [(&str, &[&str]); 18] = [
    ("build_info", &[]),
    ("clock", &[]),
    ("journal", &[]),
    ("mapped", &[]),
    ("priority", &[]),
    ("model", &["clock"]),
    ("config", &["clock", "model"]),
    ("api", &["clock", "model", "config"]),
    ("collect", &["clock", "model", "api"]),
    ("ledger", &["clock", "journal", "model", "priority"]),
    ("metrics", &["build_info", "clock", "mapped", "model", "config", "ledger"]),
    ("server", &["clock", "journal", "mapped", "model", "config"]),
    ("scheduler", &["clock", "journal", "model", "config", "api", "collect", "ledger", "metrics"]),
    ("sim", &["clock", "model"]),
    ("cli", &["config"]),
    ("logging", &["config"]),
    (
        "app",
        &[
            "build_info",
            "clock",
            "journal",
            "model",
            "config",
            "api",
            "collect",
            "ledger",
            "metrics",
            "server",
            "scheduler",
            "sim",
            "cli",
            "logging",
        ],
    ),
    ("main", &["app", "build_info", "cli", "config", "logging", "priority"]),
];

/// What the design rules out by name, whatever the table above comes to say.
const NEVER: [(&str, &[&str]); 6] = [
    ("config", &["api", "ledger"]),
    ("api", &["collect", "ledger", "metrics", "server"]),
    ("ledger", &["api", "collect", "metrics", "server"]),
    ("metrics", &["api", "scheduler", "server"]),
    ("server", &["api", "ledger", "scheduler"]),
    ("sim", &["api"]),
];

/// Of some rooms only these parts: types and conversions, no machinery.
const ONLY: [(&str, &str, &[&str]); 5] = [
    (
        "server",
        "config",
        &[
            "ClientAuth",
            "ConfigErrors",
            "ListenAddress",
            "Pem",
            "RateLimit",
            "Reading",
            "TlsServer",
            "TlsVersion",
            "Unread",
            "WebFile",
            "WebLimits",
        ],
    ),
    (
        "metrics",
        "ledger",
        &["Exemplar", "GatewayTotals", "Histogram", "LedgerSnapshot", "SeriesKey", "SeriesTotals"],
    ),
    ("collect", "api", &["wire"]),
    ("collect", "clock", &["UnixMillis", "millis"]),
    ("model", "clock", &["UnixMillis"]),
];

/// Crates and modules that a pure room must not touch.
const OUTSIDE: [(&str, &[&str]); 4] = [
    (
        "collect",
        &[
            "tokio",
            "reqwest",
            "hyper",
            "rusqlite",
            "std::fs",
            "std::net",
            "std::time::SystemTime",
            "std::time::Instant",
        ],
    ),
    (
        "metrics",
        &[
            "reqwest",
            "hyper",
            "rusqlite",
            "std::fs",
            "std::net",
            "std::time::SystemTime",
            "std::time::Instant",
        ],
    ),
    ("model", &["tokio", "reqwest", "hyper", "rusqlite", "std::fs", "std::net", "std::time::SystemTime"]),
    // It reads no file but through the settings; the files of Unix sockets are its own.
    (
        "server",
        &[
            "reqwest",
            "rusqlite",
            "std::fs::File",
            "std::fs::read",
            "std::fs::read_to_string",
            "std::fs::write",
        ],
    ),
];

/// Where the time of day is read.
const WALL_CLOCK: [&str; 4] = ["SystemTime", "UNIX_EPOCH", "Timestamp::now", "Zoned::now"];
const LINES_MAX: usize = 400;

/// A source file: its path below `src`, the modules that it is, and every path that its code names.
struct Source {
    path: String,
    text: String,
    paths: Vec<Vec<String>>,
}

impl Source {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let path = path.strip_prefix("src").unwrap().display().to_string();
        let tokens = without_tests(&tokens(&text));
        let modules = modules(&path);
        let paths = paths(&tokens).into_iter().map(|named| absolute(named, &modules)).collect();
        Self { path, text, paths }
    }

    /// The room that it belongs to.
    fn room(&self) -> String {
        modules(&self.path).into_iter().next().unwrap_or_else(|| self.path.replace(".rs", ""))
    }

    /// Whether all of it is tests.
    fn is_tests(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.split('/').any(|part| part == "tests") || name.ends_with("tests.rs")
    }

    /// Rooms, other than its own, that it names, each with what it takes there.
    fn imports(&self) -> BTreeSet<(String, String)> {
        let own = self.room();
        let crates = ["crate", "emr_serverless_spark_exporter"];
        let import = |path: &Vec<String>| {
            let room = path.get(1).filter(|_| crates.contains(&path[0].as_str()))?;
            let what = path.get(2).cloned().unwrap_or_default();
            (*room != own).then(|| (room.clone(), what))
        };
        self.paths.iter().filter_map(import).collect()
    }

    /// Whether it names something of the outside: that itself, what is in it, or all that it is in.
    fn touches(&self, outside: &str) -> bool {
        let parts: Vec<&str> = outside.split("::").collect();
        self.paths.iter().any(|path| {
            let common = path.iter().zip(&parts).take_while(|(a, b)| a == *b).count();
            let holds = common > 1 && common == path.len() || common > 0 && path[common..] == ["*"];
            common == parts.len() || holds
        })
    }
}

/// `scheduler/sweep/mod.rs` → `["scheduler", "sweep"]`; nothing for `lib.rs` and `main.rs`.
fn modules(path: &str) -> Vec<String> {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let mut modules: Vec<String> = path.split('/').map(str::to_owned).collect();
    if modules.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        modules.pop();
    }
    modules
}

/// A path that climbs by `super`, from the root of the crate.
fn absolute(path: Vec<String>, modules: &[String]) -> Vec<String> {
    let climbs = path.iter().take_while(|part| *part == "super").count();
    let is_relative = climbs > 0 || path.first().is_some_and(|part| part == "self");
    if !is_relative {
        return path;
    }
    let rest = path.iter().skip(climbs).filter(|part| *part != "self").cloned();
    let kept = modules.len().saturating_sub(climbs);
    std::iter::once("crate".to_owned()).chain(modules[..kept].iter().cloned()).chain(rest).collect()
}

/// Words, `::`, `{`, `}` and other single characters of a source; no comments, no texts.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = text(rest) {
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else if is_word(first) {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of a block comment, with those inside it.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let (step, change) = match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (2, 1),
            [b'*', b'/', ..] => (2, -1),
            _ => (1, 0),
        };
        at += step;
        depth += change;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a text or character literal, if one begins here.
fn text(source: &str) -> Option<usize> {
    for prefix in ["r", "br", "cr"] {
        let Some(after) = source.strip_prefix(prefix) else { continue };
        let hashes = after.len() - after.trim_start_matches('#').len();
        if after[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let from = prefix.len() + hashes + 1;
            return Some(from + source[from..].find(&end).unwrap_or(0) + end.len());
        }
    }
    let start = ["\"", "b\"", "c\"", "'", "b'"].into_iter().find(|start| source.starts_with(start))?;
    let quote = start.chars().last()?;
    let mut characters = source[start.len()..].char_indices();
    let mut count = 0;
    while let Some((at, character)) = characters.next() {
        if character == quote {
            return Some(start.len() + at + 1);
        }
        if character == '\\' {
            characters.next();
        } else if quote == '\'' && count > 0 && !source[start.len()..].starts_with('\\') {
            // A lifetime, which nothing closes.
            return Some(1);
        }
        count += 1;
    }
    None
}

/// Leaves out every item under `#[cfg(test)]`.
fn without_tests(tokens: &[String]) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].len() < MARK.len() || tokens[at..at + MARK.len()] != MARK {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += MARK.len();
        let mut depth = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            depth += i32::from(token == "{") - i32::from(token == "}");
            if depth == 0 && (token == ";" || token == "}") {
                break;
            }
        }
    }
    kept
}

/// Every path that is named, in `use` trees branch by branch; all of them have two parts or more, or are `use`d.
fn paths(tokens: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let starts = is_name(&tokens[at]) && (at == 0 || tokens[at - 1] != "::");
        at = if starts { branch(tokens, at, &[], &mut found) } else { at + 1 };
    }
    found
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Follows a path from its part at `at`, after `before`; gives where it ends.
fn branch(tokens: &[String], mut at: usize, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    loop {
        path.push(tokens[at].clone());
        at += 1;
        if tokens.get(at).is_none_or(|token| token != "::") {
            break;
        }
        at += 1;
        match tokens.get(at).map(String::as_str) {
            Some("{") => return group(tokens, at + 1, &path, found),
            Some("*") => {
                path.push("*".to_owned());
                at += 1;
                break;
            }
            Some(token) if is_name(token) => {}
            // The angle brackets of a generic argument.
            _ => break,
        }
    }
    if path.len() > 1 {
        found.push(path);
    }
    at
}

/// Follows the branches between braces; gives where these end.
fn group(tokens: &[String], mut at: usize, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "}" => return at + 1,
            "self" => {
                found.push(before.to_vec());
                at += 1;
            }
            "*" => {
                found.push([before, &["*".to_owned()]].concat());
                at += 1;
            }
            "as" => at += 2,
            token if is_name(token) => at = branch(tokens, at, before, found),
            _ => at += 1,
        }
    }
    at
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The sources, tests left out.
fn sources() -> Vec<Source> {
    let sources: Vec<Source> = files(Path::new("src")).iter().map(|path| Source::read(path)).collect();
    assert!(sources.len() > 100, "{} files", sources.len());
    sources.into_iter().filter(|source| !source.is_tests()).collect()
}

#[test]
fn rooms_import_only_what_the_design_allows() {
    let allowed = BTreeMap::from(ALLOWED);
    let mut wrong = Vec::new();
    let mut rooms = BTreeSet::new();
    for source in sources().iter().filter(|source| source.path != "lib.rs") {
        let room = source.room();
        let Some(may) = allowed.get(room.as_str()) else {
            wrong.push(format!("{}: a room that the table does not know", source.path));
            continue;
        };
        for (import, what) in source.imports() {
            let only = ONLY.iter().find(|(of, from, _)| (*of, *from) == (room.as_str(), import.as_str()));
            if !may.contains(&import.as_str()) {
                wrong.push(format!("{}: {room} must not import {import} ({what})", source.path));
            } else if only.is_some_and(|(_, _, parts)| !parts.contains(&what.as_str())) {
                wrong.push(format!("{}: {room} must not import {import}::{what}", source.path));
            }
        }
        rooms.insert(room);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let known: BTreeSet<String> = ALLOWED.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(rooms, known, "the table names every room, and no other");
}

#[test]
fn what_is_never_imported_is_not_allowed_either() {
    let allowed = BTreeMap::from(ALLOWED);
    for (room, never) in NEVER {
        for other in never {
            assert!(!allowed[room].contains(other), "{room} must never import {other}");
        }
    }
    // One way: nobody imports a room that imports it, however far around.
    let mut below: BTreeSet<&str> = BTreeSet::new();
    while below.len() < ALLOWED.len() {
        let next =
            ALLOWED.iter().find(|(room, may)| !below.contains(room) && may.iter().all(|m| below.contains(m)));
        below.insert(next.expect("a loop").0);
    }
}

#[test]
fn pure_rooms_touch_nothing_outside() {
    for source in sources() {
        for (room, outside) in OUTSIDE {
            let touched: Vec<_> =
                outside.iter().filter(|what| source.room() == room && source.touches(what)).collect();
            assert!(touched.is_empty(), "{}: {touched:?}", source.path);
        }
    }
}

#[test]
fn the_wall_clock_is_read_in_one_place() {
    let reads = |source: &Source| {
        let joined: Vec<String> = source.paths.iter().map(|path| path.join("::")).collect();
        joined.into_iter().find(|path| WALL_CLOCK.iter().any(|clock| path.contains(clock)))
    };
    let readers: Vec<_> = sources().iter().filter_map(|s| Some((s.path.clone(), reads(s)?))).collect();
    assert_eq!(readers, [("clock.rs".to_owned(), "jiff::Timestamp::now".to_owned())]);
}

#[test]
fn unsafe_code_is_in_one_place() {
    // The lint refuses it wherever it is not named.
    let permits: Vec<_> = files(Path::new("src"))
        .iter()
        .map(|path| Source::read(path))
        .flat_map(|source| vec![source.path.clone(); source.text.matches("unsafe_code").count()])
        .collect();
    assert_eq!(permits, ["mapped.rs"]);
}

#[test]
fn no_file_is_too_long() {
    for path in files(Path::new("src")) {
        let lines = Source::read(&path).text.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines, more than {LINES_MAX}", path.display());
    }
}

/// The paths in a source of the room `collect`.
fn source(text: &str) -> Source {
    let path = "collect/deep/x.rs".to_owned();
    let named = paths(&without_tests(&tokens(text)));
    let paths = named.into_iter().map(|named| absolute(named, &modules(&path))).collect();
    Source { path, text: text.to_owned(), paths }
}

fn imports(text: &str) -> Vec<String> {
    source(text).imports().into_iter().map(|(room, what)| format!("{room}::{what}")).collect()
}

#[test]
fn imports_are_found_wherever_they_hide() {
    assert_eq!(imports("use crate::api::Client;"), ["api::Client"]);
    assert_eq!(
        imports("pub(crate) use crate::{api, ledger::{self, Pass}};"),
        ["api::", "ledger::", "ledger::Pass"]
    );
    assert_eq!(imports("use crate::{collect::Notes, server as s, model::*};"), ["model::*", "server::"]);
    assert_eq!(imports("use crate::\n    api\n    ::wire;"), ["api::wire"]);
    assert_eq!(
        imports("fn f() -> Vec<crate::ledger::Pass> { x(&crate::sim::World::new) }"),
        ["ledger::Pass", "sim::World"]
    );
    assert_eq!(imports("use super::super::super::api::Client;"), ["api::Client"]);
    assert_eq!(imports("use super::super::Notes; use super::x::Y; use self::z::Z;"), [""; 0]);
    assert_eq!(imports("use emr_serverless_spark_exporter::app::serve;"), ["app::serve"]);
    assert_eq!(imports("impl<'a> X<'a> { const C: char = '\"'; } use crate::app::App; // \""), ["app::App"]);
    assert_eq!(imports("const A: char = '\\''; use crate::app::App; const B: char = '\\'';"), ["app::App"]);
    assert_eq!(imports("fn f<'a>(x: &'a str) -> crate::app::App<'a> {}"), ["app::App"]);
}

#[test]
fn comments_texts_and_tests_do_not_count() {
    assert_eq!(imports("// use crate::api::A;\n/* crate::api::B /* nested */ crate::api::C */"), [""; 0]);
    assert_eq!(
        imports(
            "//! [`crate::api`]\n/// crate::api::A\nconst X: &str = \"crate::api::A \\\" crate::api::B\";"
        ),
        [""; 0]
    );
    assert_eq!(
        imports("const X: &str = r#\"use \"crate::api::A;\"#; use crate::model::Usage;"),
        ["model::Usage"]
    );
    let tests = "#[cfg(test)] mod tests { use crate::api::A; fn f() { {} } } use crate::model::Usage;";
    assert_eq!(imports(tests), ["model::Usage"]);
    assert_eq!(imports("#[cfg(test)]\nuse crate::api::A;\nuse crate::model::Usage;"), ["model::Usage"]);
}

#[test]
fn the_outside_is_found_by_itself_by_what_is_in_it_and_by_what_holds_it() {
    for text in
        ["use std::fs;", "use std::{io, fs::File};", "std::fs::read(x)", "use std::fs::*;", "use std::*;"]
    {
        assert!(source(text).touches("std::fs"), "{text}");
    }
    assert!(source("use std::time::{Duration, Instant};").touches("std::time::Instant"));
    assert!(source("use std::time; fn f() { time::Instant::now() }").touches("std::time::Instant"));
    assert!(source("use std::time::*;").touches("std::time::Instant"));
    assert!(!source("use std::time::Duration;").touches("std::time::Instant"));
    assert!(source("tokio::spawn(x)").touches("tokio"));
    assert!(!source("use crate::tokio::x;").touches("tokio"));
}
