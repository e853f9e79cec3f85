//! Profiles of the CLI (`config.json`) and of the SDKs (`credentials.ini`). Invariant: read anew at each fetch; a message
//! names files and profiles, and repeats nothing else of them.

mod cli;
mod ini;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::chain::{SESSION, SESSION_NAME, cli_file, ini_file};
use super::error::Failure;
use super::keys::off_thread;
use super::source::{Fetched, Source};
use super::tools::{StsPlace, Tools};
use crate::api::text::printable;
use crate::config::{
    AccessKey, EcsRole, OidcRole, Profile, Role, Secret, credentials_uri, read_profile_file,
};

/// The shortest session that STS gives.
const SESSION_MIN: Duration = Duration::from_secs(900);

/// What a profile can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Key,
    Sts,
    /// A role, with the profile's own keys or those of a source profile.
    Role,
    /// A role, with the keys of the instance's own.
    RoleWithEcs,
    Ecs,
    Oidc,
    Uri,
}

/// One profile, in the terms of the CLI.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    mode: Option<String>,
    access_key_id: Option<String>,
    access_key_secret: Option<SecretString>,
    sts_token: Option<SecretString>,
    ram_role_arn: Option<String>,
    ram_session_name: Option<String>,
    role_session_name: Option<String>,
    expired_seconds: Option<u64>,
    policy: Option<String>,
    external_id: Option<String>,
    sts_region: Option<String>,
    enable_vpc: Option<bool>,
    ram_role_name: Option<String>,
    oidc_provider_arn: Option<String>,
    oidc_token_file: Option<String>,
    source_profile: Option<String>,
    credentials_uri: Option<SecretString>,
}

/// All profiles of a file.
#[derive(Debug)]
struct Book {
    /// The profile to take where none is named.
    current: Option<String>,
    /// By name; a profile that cannot be understood spoils no other.
    entries: BTreeMap<String, Result<Entry, String>>,
    /// The mode of a profile by the name that this kind of file has for it; else what to do instead.
    mode: fn(&str) -> Result<Mode, String>,
}

/// The keys of a profile, in the first file that has it.
pub(super) async fn fetch(tools: &Tools, profile: &Profile) -> Result<Fetched, Failure> {
    let mut failures = Vec::new();
    for file in candidates(tools, profile) {
        let found = match file {
            Ok(file) => find(tools, profile, file).await,
            Err(failure) => Err(failure),
        };
        match found {
            // From here on it is this profile, whatever happens: another file's is somebody else.
            Ok((subject, source)) => {
                return source.fetch(tools).await.map_err(|failure| failure.of(subject));
            }
            Err(failure) => failures.push(failure.why),
        }
    }
    Err(Failure::absent(failures.join("; ")))
}

/// The files that a change in makes another look worth while.
pub(super) fn files(tools: &Tools, profile: &Profile) -> Vec<PathBuf> {
    candidates(tools, profile).into_iter().filter_map(Result::ok).collect()
}

fn candidates(tools: &Tools, profile: &Profile) -> Vec<Result<PathBuf, Failure>> {
    match &profile.file {
        Some(file) => vec![Ok(file.clone())],
        None => vec![cli_file(tools), ini_file(tools)],
    }
}

async fn find(tools: &Tools, profile: &Profile, file: PathBuf) -> Result<(String, Source), Failure> {
    let name = file.display().to_string();
    let book = off_thread(move || read(&file)).await.map_err(|failure| failure.of(&name))?;
    let wanted = profile.name.clone().or_else(|| tools.variable("ALIBABA_CLOUD_PROFILE"));
    let wanted = wanted.or_else(|| book.current.clone());
    let wanted = wanted.ok_or_else(|| Failure::absent(format!("{name}: it names no current profile")))?;
    let source = Resolver { book: &book, tools, seen: Vec::new() }.source(&wanted);
    let source = source.map_err(|failure| failure.of(&name))?;
    Ok((format!("{name}: profile {}", shown(&wanted)), source))
}

fn read(file: &Path) -> Result<Book, Failure> {
    let text = read_profile_file(file).map_err(Failure::absent)?;
    let text = text.expose_secret();
    // Told by what is in it: either may have any name.
    let book = if text.trim_start().starts_with('{') { cli::read(text) } else { ini::read(text) };
    book.map_err(Failure::absent)
}

fn shown(name: &str) -> String {
    format!("{:?}", printable(name, 64))
}

/// From a profile to a source, through its source profiles.
struct Resolver<'a> {
    book: &'a Book,
    tools: &'a Tools,
    /// The profiles on the way here.
    seen: Vec<String>,
}

impl Resolver<'_> {
    fn source(&mut self, name: &str) -> Result<Source, Failure> {
        if self.seen.iter().any(|seen| seen == name) {
            let way: Vec<String> = self.seen.iter().map(String::as_str).chain([name]).map(shown).collect();
            let why = format!("profiles that lead in a circle by source_profile: {}", way.join(" → "));
            return Err(Failure::absent(why));
        }
        self.seen.push(name.to_owned());
        let entry = match self.book.entries.get(name) {
            Some(Ok(entry)) => entry,
            Some(Err(why)) => return Err(Failure::absent(format!("profile {}: {why}", shown(name)))),
            None => {
                let known: Vec<String> = self.book.entries.keys().take(20).map(|name| shown(name)).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Failure::absent(format!("no profile {} (there: {known})", shown(name))));
            }
        };
        self.of(entry).map_err(|failure| match failure.why.starts_with("profile") {
            true => failure,
            false => failure.of(format!("profile {}", shown(name))),
        })
    }

    fn of(&mut self, entry: &Entry) -> Result<Source, Failure> {
        // The CLI writes no mode for what is the usual one.
        let mode = entry.mode.as_deref().map_or(Ok(Mode::Key), self.book.mode).map_err(Failure::absent)?;
        let place = self.place(entry);
        Ok(match mode {
            Mode::Key => Source::Given(key(entry)?, None),
            Mode::Sts => {
                let token = entry.sts_token.clone().map(Secret::Inline);
                Source::Given(key(entry)?, Some(token.ok_or_else(|| missing("the security token"))?))
            }
            Mode::Role => {
                let source = match text(entry.source_profile.as_ref()) {
                    Some(name) => self.source(&name)?,
                    None => {
                        let token = entry.sts_token.clone().filter(|token| !token.expose_secret().is_empty());
                        Source::Given(key(entry)?, token.map(Secret::Inline))
                    }
                };
                Source::Role(role(entry)?, Box::new(source), place)
            }
            Mode::RoleWithEcs => Source::Role(role(entry)?, Box::new(self.ecs(entry)), place),
            Mode::Ecs => self.ecs(entry),
            Mode::Oidc => {
                let oidc = OidcRole {
                    role: role(entry)?,
                    provider_arn: need(entry.oidc_provider_arn.as_ref(), "oidc_provider_arn")?,
                    token_file: need(entry.oidc_token_file.as_ref(), "the OIDC token's file")?.into(),
                };
                Source::Oidc(oidc, place)
            }
            Mode::Uri => {
                let uri = entry.credentials_uri.clone().ok_or_else(|| missing("credentials_uri"))?;
                credentials_uri(uri.expose_secret(), self.tools.allow_http)
                    .map_err(|expected| Failure::absent(format!("credentials_uri: {expected}")))?;
                Source::Uri(uri)
            }
        })
    }

    fn ecs(&self, entry: &Entry) -> Source {
        let disable_imds_v1 = self.tools.is_true("ALIBABA_CLOUD_IMDSV1_DISABLED");
        Source::Ecs(EcsRole { name: text(entry.ram_role_name.as_ref()), disable_imds_v1 })
    }

    /// Where the profile has its roles assumed, if it says so.
    fn place(&self, entry: &Entry) -> Option<StsPlace> {
        Some(self.tools.sts.at(text(entry.sts_region.as_ref()).as_deref(), entry.enable_vpc))
    }
}

fn key(entry: &Entry) -> Result<AccessKey, Failure> {
    let id = need(entry.access_key_id.as_ref(), "access_key_id")?;
    let secret = entry.access_key_secret.clone().ok_or_else(|| missing("access_key_secret"))?;
    Ok(AccessKey { id: Secret::from(id.as_str()), secret: Secret::Inline(secret) })
}

fn role(entry: &Entry) -> Result<Role, Failure> {
    let name = text(entry.ram_session_name.as_ref()).or_else(|| text(entry.role_session_name.as_ref()));
    let duration = entry.expired_seconds.filter(|seconds| *seconds > 0).map_or(SESSION, Duration::from_secs);
    Ok(Role {
        arn: need(entry.ram_role_arn.as_ref(), "the role's ARN")?,
        session_name: name.unwrap_or_else(|| SESSION_NAME.to_owned()),
        duration: duration.max(SESSION_MIN),
        policy: text(entry.policy.as_ref()),
        external_id: text(entry.external_id.as_ref()),
    })
}

fn text(value: Option<&String>) -> Option<String> {
    value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn need(value: Option<&String>, what: &str) -> Result<String, Failure> {
    text(value).ok_or_else(|| missing(what))
}

fn missing(what: &str) -> Failure {
    Failure::absent(format!("{what} is missing"))
}
