//! `~/.alibabacloud/credentials.ini`, as the SDKs read it.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::{Book, Entry, Mode};

pub(super) fn read(text: &str) -> Result<Book, String> {
    let mut entries: BTreeMap<String, Result<Entry, String>> = BTreeMap::new();
    let mut section: Option<String> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            entries.insert(name.to_owned(), Ok(Entry::default()));
            section = Some(name.to_owned());
            continue;
        }
        let pair = line.split_once(['=', ':']);
        let entry = section.as_ref().and_then(|name| entries.get_mut(name)).and_then(|it| it.as_mut().ok());
        match (pair, entry) {
            // The SDKs cut the rest off at a #, wherever it stands.
            (Some((key, value)), Some(entry)) => {
                let value = value.split('#').next().unwrap_or_default().trim();
                set(entry, &key.trim().to_ascii_lowercase(), value);
            }
            _ => return Err(format!("neither JSON nor [sections] with key = value, in line {}", number + 1)),
        }
    }
    Ok(Book { current: Some("default".to_owned()), entries, mode })
}

/// Keys that it does not know are those of other tools.
fn set(entry: &mut Entry, key: &str, value: &str) {
    let secret = || Some(SecretString::from(value));
    let text = || Some(value.to_owned());
    match key {
        "type" => entry.mode = text(),
        "access_key_id" => entry.access_key_id = text(),
        "access_key_secret" => entry.access_key_secret = secret(),
        "security_token" => entry.sts_token = secret(),
        "role_arn" => entry.ram_role_arn = text(),
        "role_session_name" => entry.ram_session_name = text(),
        "duration_seconds" => entry.expired_seconds = value.parse().ok(),
        "policy" => entry.policy = text(),
        "external_id" => entry.external_id = text(),
        "sts_region" => entry.sts_region = text(),
        "role_name" => entry.ram_role_name = text(),
        "oidc_provider_arn" => entry.oidc_provider_arn = text(),
        "oidc_token_file_path" => entry.oidc_token_file = text(),
        "source_profile" => entry.source_profile = text(),
        "credentials_uri" => entry.credentials_uri = secret(),
        _ => {}
    }
}

fn mode(name: &str) -> Result<Mode, String> {
    match name {
        "access_key" => Ok(Mode::Key),
        "sts" => Ok(Mode::Sts),
        "ram_role_arn" => Ok(Mode::Role),
        "oidc_role_arn" => Ok(Mode::Oidc),
        "ecs_ram_role" => Ok(Mode::Ecs),
        "credentials_uri" => Ok(Mode::Uri),
        _ => Err(
            "an unsupported type; expected access_key, sts, ram_role_arn, oidc_role_arn, ecs_ram_role or \
                  credentials_uri"
                .to_owned(),
        ),
    }
}
