//! Which workspaces an account watches. Invariant: no workspace is named twice, in whichever account.

use globset::{Glob, GlobMatcher, GlobSet, GlobSetBuilder};

use super::reader::Reader;
use super::types::{Account, WorkspaceFilter};
use super::units;

/// Reads the section `workspaces` of an account.
pub(super) fn read(reader: &mut Reader, path: &str) -> Option<WorkspaceFilter> {
    let at = |key: &str| format!("{path}.{key}");
    let discover = reader.read(&at("discover"), units::truth);
    let include = globs(reader, &at("include"));
    let exclude = globs(reader, &at("exclude"));
    let tags = reader.map(&at("tags"), tag);
    let ids = reader.list(&at("ids"), workspace_id);
    for (i, id) in ids.iter().flatten().enumerate() {
        if ids.iter().flatten().take(i).any(|other| other == id) {
            reader
                .fail(&format!("{}[{i}]", at("ids")), format!("the workspace {id} is already in this list"));
        }
    }
    match (discover, &ids) {
        (Some(true), _) if include.as_ref().is_some_and(GlobSet::is_empty) => {
            let message =
                "nothing would be watched; expected globs such as [\"*\"], or discover: false beside ids";
            reader.fail(&at("include"), message);
        }
        (Some(false), ids) => {
            for key in ["include", "exclude", "tags"].map(at) {
                if reader.is_given(&key) {
                    reader.fail(&key, "has no effect with discover: false, which watches the ids alone");
                }
            }
            if ids.as_ref().is_some_and(Vec::is_empty) {
                let message =
                    "nothing would be watched with discover: false; name ids, such as [w-1234567890abcdef]";
                reader.fail(&at("ids"), message);
            }
        }
        _ => {}
    }
    Some(WorkspaceFilter {
        discover: discover?,
        include: include?,
        exclude: exclude?,
        tags: tags?,
        ids: ids?,
    })
}

/// A workspace lies in one region, and its id does not say in which.
pub(super) fn check_region(reader: &mut Reader, path: &str, regions: &[String], filter: &WorkspaceFilter) {
    if regions.len() > 1 && !filter.ids.is_empty() {
        let message =
            "ids do not say in which of the regions they are; give each region an account of its own";
        reader.fail(path, message);
    }
}

/// A workspace that two accounts name would be counted twice.
pub(super) fn check_distinct(reader: &mut Reader, accounts: &[Option<Account>]) {
    for (j, account) in accounts.iter().enumerate() {
        for (n, id) in account.iter().flat_map(|account| account.workspaces.ids.iter().enumerate()) {
            let names = |other: &Account| other.workspaces.ids.contains(id);
            let other = accounts[..j].iter().position(|other| other.as_ref().is_some_and(names));
            if let Some(i) = other {
                let message = format!("accounts[{i}] names {id}, too; it would be counted twice");
                reader.fail(&format!("accounts[{j}].workspaces.ids[{n}]"), message);
            }
        }
    }
}

/// An id, as prices and lists name workspaces.
pub(super) fn workspace_id(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=256).contains(&text.len()) && text.chars().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err("expected a workspace id such as w-1234567890abcdef; globs go to include".to_owned())
}

fn tag(key: &str, value: &str) -> Result<(String, GlobMatcher), String> {
    if key.is_empty() {
        return Err("expected the key of a tag before the value".to_owned());
    }
    Ok((key.to_owned(), glob(value)?.compile_matcher()))
}

fn glob(text: &str) -> Result<Glob, String> {
    Glob::new(text).map_err(|_| "expected a glob such as *, prod-* or w-1234567890abcdef".to_owned())
}

fn globs(reader: &mut Reader, path: &str) -> Option<GlobSet> {
    let globs = reader.list(path, glob)?;
    let set = globs.iter().fold(GlobSetBuilder::new(), |mut set, glob| {
        set.add(glob.clone());
        set
    });
    match set.build() {
        Ok(set) => Some(set),
        Err(_) => {
            reader.fail(path, "these globs together are too large");
            None
        }
    }
}
