//! Settings: file, environment and flags, read through the `config` crate and validated into a type.
//! Invariant: a [`Config`] is only ever made by validation; no message carries the value of a secret.
//!
//! Way of a value: YAML, variables and flags → sources of the `config` crate → one merged tree → typed reader → [`Config`].

mod accounts;
mod credentials;
mod error;
mod files;
mod pricing;
mod reader;
mod reading;
mod restart;
mod schema;
mod sections;
mod sources;
mod summary;
mod types;
mod units;
mod web_file;
mod workspaces;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;

pub use error::ConfigErrors;
use error::{Place, Problem};
pub use pricing::Pricing;
use reader::Reader;
pub use reading::{Reading, Unread};
pub use sections::{LOG_FORMATS, LOG_LEVELS};
pub use types::*;
pub use units::{credentials_uri, listen_address, tcp_address};
pub use web_file::{ClientAuth, Pem, RateLimit, TlsServer, TlsVersion, WebFile};

/// What settings are made of, the weakest first. Below them all lie the defaults.
/// It has no `Debug`: secrets may stand in the environment.
#[derive(Clone)]
pub struct LoadRequest<'a, E> {
    /// A YAML file; messages name it as it is written here.
    pub file: Option<&'a Path>,
    /// Environment variables, by name: `EMR_SPARK_EXPORTER__SECTION__KEY`, and `ALIBABA_CLOUD_REGION_ID` as the region
    /// of accounts that name none. Others are left alone.
    pub environment: E,
    /// Keys such as `web.listen_address` or `accounts[0].name`, with their values; lists are separated by commas.
    pub overrides: Vec<(String, String)>,
}

/// Reads and validates the settings.
///
/// # Errors
/// Everything that is wrong, at once. Only a file that cannot be understood as a whole ends the reading early.
pub fn load<E>(request: LoadRequest<'_, E>) -> Result<Config, ConfigErrors>
where
    E: IntoIterator<Item = (String, String)>,
{
    let file = request.file;
    let (mut reader, environment) = sources(request).map_err(|fatal| ConfigErrors::new(file, fatal))?;
    let config = read(&mut reader, &environment);
    match (config, reader.into_problems()) {
        (Some(config), problems) if problems.is_empty() => Ok(config),
        (_, problems) => Err(ConfigErrors::new(file, problems)),
    }
}

/// Where the server of these settings is, and what is wrong with them: a running daemon goes on with those that it has, and
/// is asked where it most likely is.
pub fn load_web_place<E>(request: LoadRequest<'_, E>) -> (WebPlace, Result<(), ConfigErrors>)
where
    E: IntoIterator<Item = (String, String)> + Clone,
{
    let file = request.file;
    let outcome = load(request.clone()).map(drop);
    let all = sources(request.clone());
    // A file that cannot be understood leaves variables and flags.
    let rest = all.or_else(|_| sources(LoadRequest { file: None, ..request }));
    match rest {
        Ok((mut reader, _)) => (sections::web_place(&mut reader), outcome),
        Err(fatal) => {
            let mut nothing = Reader::new(::config::Config::default().cache, Vec::new());
            (sections::web_place(&mut nothing), outcome.and(Err(ConfigErrors::new(file, fatal))))
        }
    }
}

/// All sources in one, with what is wrong with them so far, and the environment; else what ends the reading early.
fn sources<E>(request: LoadRequest<'_, E>) -> Result<(Reader, BTreeMap<String, String>), Vec<Problem>>
where
    E: IntoIterator<Item = (String, String)>,
{
    let environment: BTreeMap<String, String> = request.environment.into_iter().collect();
    let mut problems = Vec::new();
    let mut builder = ::config::Config::builder();
    if let Some(path) = request.file {
        builder = builder.add_source(sources::file(path, &mut problems)?);
    }
    let mut layers = sources::environment(&environment, &mut problems);
    layers.extend(sources::flags(&request.overrides, &mut problems));
    for layer in layers {
        builder = builder.add_source(layer);
    }
    // The crate's own text may show a value.
    let merged = builder
        .build()
        .map_err(|_| vec![Problem::new(Place::Nowhere, "", "the sources do not fit together")])?;
    Ok((Reader::new(merged.cache, problems), environment))
}

/// The environment of this process. What is not Unicode in it is replaced, so that a setting is refused, not lost.
pub fn process_environment() -> Vec<(String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

/// Reads every section before it gives up on one, so that all errors are found.
fn read(reader: &mut Reader, environment: &BTreeMap<String, String>) -> Option<Config> {
    let accounts = accounts::read(reader, environment);
    let collectors = sections::collectors(reader);
    let api = sections::api(reader);
    let ledger = sections::ledger(reader);
    let exposition = sections::exposition(reader);
    if let (Some(collectors), Some(exposition)) = (&collectors, exposition) {
        sections::check_staleness(reader, collectors, exposition);
    }
    let pricing = pricing::read(reader);
    let web = sections::web(reader);
    let log = sections::log(reader);
    Some(Config {
        accounts: accounts?,
        collectors: collectors?,
        api: api?,
        ledger: ledger?,
        exposition: exposition?,
        pricing: pricing?,
        web: web?,
        log: log?,
    })
}

#[cfg(test)]
mod tests;
