//! The accounts: credentials, regions, endpoints, workspaces. Invariant: no two accounts watch the same workspaces with one key.

use std::collections::BTreeMap;

use super::error::Place;
use super::reader::Reader;
use super::types::{Account, Endpoint, Network};
use super::{credentials, sections, units, workspaces};

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
        Some(count) => (0..count).map(|i| account(reader, i, region.as_ref(), environment)).collect(),
        // A list of the wrong shape is a problem already: one more about regions would only distract.
        None if reader.has_failed("accounts") => return None,
        None => vec![account(reader, 0, region.as_ref(), environment)],
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

fn account(
    reader: &mut Reader,
    i: usize,
    region: Option<&Option<String>>,
    environment: &BTreeMap<String, String>,
) -> Option<Account> {
    let at = |key: &str| format!("accounts[{i}].{key}");
    if reader.count("accounts").is_some() && !reader.is_given(&format!("accounts[{i}]")) {
        if !reader.has_failed(&format!("accounts[{i}]")) {
            reader.fail(&format!("accounts[{i}]"), "an empty item; number the accounts from 0 without a gap");
        }
        return None;
    }
    let name = reader.read(&at("name"), account_name);
    let allow_http = reader.read(&at("allow_http"), units::truth);
    let credentials = credentials::read(reader, &at("credentials"), environment, allow_http.unwrap_or(true));
    let regions = regions(reader, &at("regions"), region);
    let network = reader.read(&at("network"), |text| {
        units::word(text, &[("public", Network::Public), ("vpc", Network::Vpc)])
    });
    let endpoint = reader.optional(&at("endpoint"), |text| units::endpoint(text).map(Some));
    if let (Some(false), Some(Some(endpoint))) = (allow_http, &endpoint) {
        check_scheme(reader, &at("endpoint"), endpoint);
    }
    let sts_endpoint = reader.optional(&at("sts_endpoint"), |text| sts_endpoint(text).map(Some));
    let metadata_endpoint =
        reader.optional(&at("metadata_endpoint"), |text| metadata_endpoint(text).map(Some));
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
        sts_endpoint: sts_endpoint?,
        metadata_endpoint: metadata_endpoint?,
        allow_http: allow_http?,
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

/// Keys are never sent in the clear, whatever the account allows its own endpoint.
fn sts_endpoint(text: &str) -> Result<Endpoint, String> {
    let endpoint = units::endpoint(text)?;
    if endpoint.https || units::is_loopback(&endpoint) {
        return Ok(endpoint);
    }
    Err("plain http sends keys in the clear; expected https".to_owned())
}

/// The metadata service speaks plain http, and only to the machine itself.
fn metadata_endpoint(text: &str) -> Result<Endpoint, String> {
    units::endpoint(text)
        .ok()
        .filter(|endpoint| {
            !endpoint.https && (units::is_loopback(endpoint) || endpoint.authority == "100.100.100.200")
        })
        .ok_or_else(|| {
            "expected http://100.100.100.200 or an http:// address of this machine, such as \
             http://127.0.0.1:8080"
                .to_owned()
        })
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
            let is_same = both_discover
                && account.credentials.is_same(&other.credentials)
                && account.endpoint == other.endpoint;
            let region = account.regions.iter().find(|region| other.regions.contains(region));
            is_same.then_some((i, region?))
        });
        if let Some((i, region)) = clash {
            let message = format!(
                "accounts[{i}] uses the same credentials in {region}; its workspaces would be counted twice"
            );
            reader.fail(&format!("accounts[{j}].regions"), message);
        }
    }
}
