//! The accounts: credentials, regions, endpoints, workspaces. Invariant: no two accounts watch the same workspaces with one key.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::error::Place;
use super::reader::Reader;
use super::types::{AccessKey, Account, Credentials, Endpoint, Network};
use super::{sections, sources, units, workspaces};

/// Where the official tools look for the region.
const REGION_VARIABLE: &str = "ALIBABA_CLOUD_REGION_ID";

/// Reads all accounts; one with every default where none is given.
pub(super) fn read(reader: &mut Reader, environment: &BTreeMap<String, String>) -> Option<Vec<Account>> {
    let region = fallback_region(reader, environment);
    let count = reader.count("accounts");
    if count == Some(0) {
        reader.fail("accounts", "expected at least one account, or no key `accounts` at all");
    }
    let accounts: Vec<_> = match count {
        Some(count) => (0..count).map(|i| account(reader, i, region.as_ref())).collect(),
        // A list of the wrong shape is a problem already: one more about regions would only distract.
        None if reader.has_failed("accounts") => return None,
        None => vec![account(reader, 0, region.as_ref())],
    };
    check_distinct(reader, &accounts);
    workspaces::check_distinct(reader, &accounts);
    accounts.into_iter().collect()
}

/// The region of the environment; `Some(None)` where it is not set, `None` where it is none.
fn fallback_region(reader: &mut Reader, environment: &BTreeMap<String, String>) -> Option<Option<String>> {
    let Some(text) = environment.get(REGION_VARIABLE).filter(|text| !text.is_empty()) else {
        return Some(None);
    };
    let region = units::region(text);
    if let Err(expected) = &region {
        reader.fail_at(Place::Environment(REGION_VARIABLE.to_owned()), format!("{expected}; got {text:?}"));
    }
    region.ok().map(Some)
}

fn account(reader: &mut Reader, i: usize, region: Option<&Option<String>>) -> Option<Account> {
    let at = |key: &str| format!("accounts[{i}].{key}");
    if reader.count("accounts").is_some() && !reader.is_given(&format!("accounts[{i}]")) {
        if !reader.has_failed(&format!("accounts[{i}]")) {
            reader.fail(&format!("accounts[{i}]"), "an empty item; number the accounts from 0 without a gap");
        }
        return None;
    }
    let name = reader.read(&at("name"), account_name);
    let credentials = credentials(reader, &at("credentials"));
    let regions = regions(reader, &at("regions"), region);
    let network = reader.read(&at("network"), |text| {
        units::word(text, &[("public", Network::Public), ("vpc", Network::Vpc)])
    });
    let allow_http = reader.read(&at("allow_http"), units::truth);
    let endpoint = reader.optional(&at("endpoint"), |text| units::endpoint(text).map(Some));
    if let (Some(false), Some(Some(endpoint))) = (allow_http, &endpoint) {
        check_scheme(reader, &at("endpoint"), endpoint);
    }
    let workspaces = workspaces::read(reader, &at("workspaces"));
    if let (Some(regions), Some(workspaces)) = (&regions, &workspaces) {
        workspaces::check_region(reader, &at("workspaces.ids"), regions, workspaces);
    }
    let api = sections::account_api(reader, &at("api"));
    Some(Account {
        name: name?,
        credentials: credentials?,
        regions: regions?,
        network: network?,
        endpoint: endpoint?,
        workspaces: workspaces?,
        api: api?,
    })
}

fn account_name(text: &str) -> Result<String, String> {
    let is_good = (1..=64).contains(&text.chars().count())
        && !text.chars().any(char::is_control)
        && text.trim() == text;
    if is_good { Ok(text.to_owned()) } else { Err("expected a name of 1 to 64 characters".to_owned()) }
}

fn check_scheme(reader: &mut Reader, path: &str, endpoint: &Endpoint) {
    if !endpoint.https && !units::is_loopback(endpoint) {
        let message =
            "plain http sends keys and usage in the clear; use https, or set allow_http: true beside it";
        reader.fail(path, message);
    }
}

/// The account's regions, else the environment's.
fn regions(reader: &mut Reader, path: &str, region: Option<&Option<String>>) -> Option<Vec<String>> {
    let regions = reader.list(path, units::region)?;
    for (i, region) in regions.iter().enumerate() {
        if regions[..i].contains(region) {
            reader.fail(&format!("{path}[{i}]"), format!("the region {region} is already in this list"));
        }
    }
    if !regions.is_empty() {
        return Some(regions);
    }
    match region? {
        Some(region) => Some(vec![region.clone()]),
        None if reader.has_failed(path) => None,
        None => {
            reader.fail(
                path,
                format!("no region; name one, such as regions: [cn-hangzhou], or set {REGION_VARIABLE}"),
            );
            None
        }
    }
}

/// Kinds of credentials, by the name in the settings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Default,
    Static,
    Sts,
}

fn credentials(reader: &mut Reader, path: &str) -> Option<Credentials> {
    // Where a key of the section is misspelt, that another one is missing would only distract.
    let is_whole = !reader.has_failed(path);
    let at = |key: &str| format!("{path}.{key}");
    let kinds = [("default", Kind::Default), ("static", Kind::Static), ("sts", Kind::Sts)];
    let kind = reader.read(&at("type"), |text| units::word(text, &kinds));
    let id = reader.optional(&at("access_key_id"), access_key_id);
    let secret = secret(reader, &at("access_key_secret"));
    let token = secret_in_header(reader, &at("security_token"));
    let kind = kind?;
    if kind == Kind::Default {
        let message = "has no effect with type: default, which reads the environment; set type: static";
        for key in ["access_key_id", "access_key_secret", "security_token"] {
            refuse(reader, path, key, message);
        }
        return is_whole.then_some(Credentials::Default);
    }
    if kind == Kind::Static {
        refuse(reader, path, "security_token", "has no effect with type: static; set type: sts");
    } else if let (true, Some(None)) = (is_whole, &token) {
        reader.fail(&at("security_token"), "missing; type: sts needs it, here or by security_token_file");
    }
    if let (true, Some(None)) = (is_whole, &id) {
        reader.fail(&at("access_key_id"), "missing; type: static and type: sts need it");
    }
    if let (true, Some(None)) = (is_whole, &secret) {
        let message = "missing; type: static and type: sts need it, here or by access_key_secret_file";
        reader.fail(&at("access_key_secret"), message);
    }
    let key = AccessKey { id: id??, secret: secret?? };
    if kind == Kind::Static { Some(Credentials::Static(key)) } else { Some(Credentials::Sts(key, token??)) }
}

/// A key that has no effect beside the type of credentials is more likely a mistake than a wish.
fn refuse(reader: &mut Reader, section: &str, key: &str, message: &str) {
    for path in [format!("{section}.{key}"), format!("{section}.{key}_file")] {
        if reader.is_given(&path) {
            reader.fail(&path, message);
        }
    }
}

/// The id travels in a header, between commas.
fn access_key_id(text: &str) -> Result<Option<String>, String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if (1..=128).contains(&text.len()) && text.bytes().all(is_plain) {
        return Ok(Some(text.to_owned()));
    }
    Err("expected an AccessKey id of letters and digits; the value is not shown".to_owned())
}

/// A security token, which travels in a header.
fn secret_in_header(reader: &mut Reader, path: &str) -> Option<Option<SecretString>> {
    let token = secret(reader, path)?;
    let is_plain = |token: &SecretString| token.expose_secret().bytes().all(|b| b.is_ascii_graphic());
    if token.as_ref().is_some_and(|token| !is_plain(token)) {
        let file = format!("{path}_file");
        let path = if reader.is_given(path) { path } else { &file };
        reader.fail(path, "expected a token without spaces or special characters; the value is not shown");
        return None;
    }
    Some(token)
}

/// A secret given at `path`, or in the file that the key `…_file` names.
fn secret(reader: &mut Reader, path: &str) -> Option<Option<SecretString>> {
    let file_path = format!("{path}_file");
    let inline = reader.optional(path, |text| match text {
        "" => Err("expected a secret, not an empty text".to_owned()),
        text => Ok(Some(SecretString::from(text))),
    });
    let file = reader.optional(&file_path, |name| read_secret(name).map(Some));
    if reader.is_given(path) && reader.is_given(&file_path) {
        reader.fail(&file_path, format!("give either this or {path}, not both"));
        return None;
    }
    let (inline, file) = (inline?, file?);
    Some(inline.or(file))
}

fn read_secret(name: &str) -> Result<SecretString, String> {
    // A secret that was put here by mistake must not be shown, so only what is clearly a path is.
    let is_path = ["/", "./", "../"].iter().any(|start| name.starts_with(start));
    let subject =
        if is_path { name } else { "the file (a name not shown here, relative to the working directory)" };
    let text = sources::read_text(Path::new(name)).map_err(|message| format!("{subject}: {message}"))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(format!("{subject}: the file is empty")),
        secret => Ok(SecretString::from(secret)),
    }
}

/// Two accounts of one name mix their series; two with one key in one region count the same workspaces twice.
fn check_distinct(reader: &mut Reader, accounts: &[Option<Account>]) {
    for (j, account) in accounts.iter().enumerate() {
        let Some(account) = account else { continue };
        let mut before = accounts[..j].iter().enumerate().filter_map(|(i, other)| Some((i, other.as_ref()?)));
        if let Some((i, _)) = before.clone().find(|(_, other)| other.name == account.name) {
            let message = format!(
                "accounts[{i}] is named {:?}, too; each account needs a name of its own",
                account.name
            );
            reader.fail(&format!("accounts[{j}].name"), message);
        }
        let clash = before.find_map(|(i, other)| {
            let both_discover = account.workspaces.discover && other.workspaces.discover;
            let is_same =
                both_discover && key_id(account) == key_id(other) && account.endpoint == other.endpoint;
            let region = account.regions.iter().find(|region| other.regions.contains(region));
            is_same.then_some((i, region?))
        });
        if let Some((i, region)) = clash {
            let message =
                format!("accounts[{i}] uses the same key in {region}; its workspaces would be counted twice");
            reader.fail(&format!("accounts[{j}].regions"), message);
        }
    }
}

/// What tells the keys of two accounts apart; `None` is the key of the environment.
fn key_id(account: &Account) -> Option<&str> {
    match &account.credentials {
        Credentials::Default => None,
        Credentials::Static(key) | Credentials::Sts(key, _) => Some(&key.id),
    }
}
