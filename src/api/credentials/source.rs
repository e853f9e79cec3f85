//! The sources of keys, as a closed set. Invariant: a fetch asks anew, whatever was had before.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::chain::Chain;
use super::error::Failure;
use super::tools::{StsPlace, Tools};
use super::{AccessCredentials, keys, metadata, profile, sts, uri};
use crate::clock::UnixMillis;
use crate::config::{AccessKey, Credentials, EcsRole, OidcRole, Profile, Role, Secret};

/// Keys as they came.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) keys: AccessCredentials,
    /// `None` = they do not expire.
    pub(super) expiry: Option<Expiry>,
}

/// When keys expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expiry {
    /// By the clock of whoever gave them.
    pub(super) at: UnixMillis,
    /// From when they came, by that same clock: right on a machine whose own is wrong, too.
    pub(super) left: Duration,
}

/// What can be asked for keys, by the cache.
pub(super) trait Fetch: Send + Sync + 'static {
    /// Asks for keys.
    fn fetch(&self) -> impl Future<Output = Result<Fetched, Failure>> + Send;

    /// Files whose change makes another fetch worth while.
    fn files(&self) -> Vec<PathBuf>;
}

/// Where keys come from.
#[derive(Debug)]
pub(super) enum Source {
    Environment,
    Given(AccessKey, Option<Secret>),
    /// A role, the keys to assume it with, and where.
    Role(Role, Box<Self>, Option<StsPlace>),
    Oidc(OidcRole, Option<StsPlace>),
    Ecs(EcsRole),
    Uri(SecretString),
    Profile(Profile),
    Chain(Chain),
}

impl From<&Credentials> for Source {
    fn from(settings: &Credentials) -> Self {
        match settings {
            Credentials::Default => Self::Chain(Chain::default()),
            Credentials::Static(key) => Self::Given(key.clone(), None),
            Credentials::Sts(key, token) => Self::Given(key.clone(), Some(token.clone())),
            Credentials::RamRoleArn(role, source) => {
                Self::Role(role.clone(), Box::new(Self::from(&**source)), None)
            }
            Credentials::Oidc(role) => Self::Oidc(role.clone(), None),
            Credentials::EcsRamRole(role) => Self::Ecs(role.clone()),
            Credentials::CredentialsUri(uri) => Self::Uri(uri.clone()),
            Credentials::Profile(profile) => Self::Profile(profile.clone()),
        }
    }
}

impl Source {
    /// As the settings and the messages call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Given(_, None) => "static",
            Self::Given(_, Some(_)) => "sts",
            Self::Role(..) => "ram_role_arn",
            Self::Oidc(..) => "oidc",
            Self::Ecs(_) => "ecs_ram_role",
            Self::Uri(_) => "credentials_uri",
            Self::Profile(_) => "profile",
            Self::Chain(_) => "default",
        }
    }

    /// Asks for keys.
    pub(super) fn fetch<'a>(
        &'a self,
        tools: &'a Tools,
    ) -> Pin<Box<dyn Future<Output = Result<Fetched, Failure>> + Send + 'a>> {
        Box::pin(async move {
            let fetched = match self {
                Self::Environment => keys::from_environment(tools),
                Self::Given(key, token) => keys::given(key, token.as_ref()).await,
                Self::Role(role, source, place) => {
                    let source = source.fetch(tools).await.map_err(|failure| failure.of("its source"));
                    let place = place.as_ref().unwrap_or(&tools.sts);
                    match source {
                        Ok(source) => sts::assume_role(tools, place, role, &source.keys).await,
                        Err(failure) => Err(failure),
                    }
                }
                Self::Oidc(role, place) => {
                    sts::assume_role_with_oidc(tools, place.as_ref().unwrap_or(&tools.sts), role).await
                }
                Self::Ecs(role) => metadata::fetch(tools, role).await,
                Self::Uri(uri) => uri::fetch(tools, uri).await,
                Self::Profile(profile) => profile::fetch(tools, profile).await,
                // Names its sources itself.
                Self::Chain(chain) => return chain.fetch(tools).await,
            };
            fetched.map_err(|failure| failure.of(self.name()))
        })
    }

    /// Files whose change makes another fetch worth while.
    fn files(&self, tools: &Tools) -> Vec<PathBuf> {
        match self {
            Self::Given(key, token) => {
                let secrets = [Some(&key.id), Some(&key.secret), token.as_ref()];
                secrets.into_iter().flatten().filter_map(Secret::file).map(PathBuf::from).collect()
            }
            Self::Role(_, source, _) => source.files(tools),
            Self::Oidc(role, _) => vec![role.token_file.clone()],
            Self::Profile(profile) => profile::files(tools, profile),
            Self::Chain(chain) => {
                let sources = chain.sources(tools).into_iter().filter_map(Result::ok);
                sources.flat_map(|source| source.files(tools)).collect()
            }
            Self::Environment | Self::Ecs(_) | Self::Uri(_) => Vec::new(),
        }
    }

    pub(super) fn with(self, tools: Tools) -> Ready {
        Ready { source: Arc::new(self), tools: Arc::new(tools) }
    }
}

/// A source with what it works with.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    source: Arc<Source>,
    tools: Arc<Tools>,
}

impl Fetch for Ready {
    fn fetch(&self) -> impl Future<Output = Result<Fetched, Failure>> + Send {
        self.source.fetch(&self.tools)
    }

    fn files(&self) -> Vec<PathBuf> {
        self.source.files(&self.tools)
    }
}
