//! Where the keys come from. Invariant: a secret is held in a type that cannot print it, and no message repeats one.
//!
//! In reading order: a provider is a `cache` around a `source`; sources are `keys` that are given, `sts` for roles,
//! the `metadata` service, a `uri`, a `profile`, and the default `chain` of them; `exchange` sends what they ask.

mod cache;
mod chain;
mod error;
mod exchange;
mod keys;
mod metadata;
mod profile;
mod source;
mod sts;
#[cfg(test)]
mod tests;
mod tools;
mod uri;

use std::fmt;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use secrecy::{ExposeSecret, SecretString};

pub use error::CredentialsError;

use cache::{Background, Cached};
use source::Source;
use tools::Tools;

use crate::clock::{Clock, UnixMillis};
use crate::config;

/// Keys that sign a request.
#[derive(Clone)]
pub struct AccessCredentials {
    /// The AccessKey id.
    pub id: String,
    /// The AccessKey secret.
    pub secret: SecretString,
    /// The token that comes with a temporary key.
    pub security_token: Option<SecretString>,
}

impl AccessCredentials {
    /// Tells these keys from others.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut hasher = DefaultHasher::new();
        self.confidential().for_each(|text| text.hash(&mut hasher));
        Fingerprint(hasher.finish())
    }

    /// The texts that no message may contain.
    pub(super) fn confidential(&self) -> impl Iterator<Item = &str> {
        [self.id.as_str(), self.secret.expose_secret()]
            .into_iter()
            .chain(self.security_token.as_ref().map(ExposeSecret::expose_secret))
    }
}

impl fmt::Debug for AccessCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessCredentials")
            .field("temporary", &self.security_token.is_some())
            .finish_non_exhaustive()
    }
}

/// See [`AccessCredentials::fingerprint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fingerprint(u64);

/// The keys, or why there are none, some time from now.
pub type CredentialsFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<AccessCredentials>, CredentialsError>> + Send + 'a>>;

/// A source of keys. It is asked before every attempt: a source whose keys expire or cost a request keeps them.
pub trait CredentialsProvider: fmt::Debug + Send + Sync {
    /// The keys to sign the next attempt with.
    fn credentials(&self) -> CredentialsFuture<'_>;

    /// The service does not accept these keys, as the code of its answer says; others are worth a look.
    fn rejected(&self, _keys: &AccessCredentials, _code: &str) {}

    /// Files may have changed: to be looked at now rather than in passing.
    fn look(&self) {}
}

/// Told of the keys that come.
pub trait CredentialsObserver: Send + Sync {
    /// The account has keys that last until this time; `None` = they do not expire, or, where a security token comes with
    /// them, are temporary and do not say until when.
    fn on_keys(&self, account: &str, expires: Option<UnixMillis>, is_temporary: bool);
}

/// For whoever does not care.
impl CredentialsObserver for () {
    fn on_keys(&self, _: &str, _: Option<UnixMillis>, _: bool) {}
}

/// What a provider is made of. It has no `Debug`: secrets may stand in the environment.
pub struct ProviderOptions<'a> {
    /// Whose keys.
    pub account: &'a config::Account,
    /// The authorities, the proxy and the timeouts of what is asked over the network, as they are when it is.
    pub limits: Arc<ArcSwap<config::Api>>,
    /// Looks up an environment variable.
    pub env: Box<tools::Env>,
    /// Dates requests; judges what has expired.
    pub clock: Clock,
    /// Told of the keys that come.
    pub observer: Arc<dyn CredentialsObserver>,
}

/// The provider for an account. It works in the background of the present runtime, from now until it is dropped.
pub fn provider(options: ProviderOptions<'_>) -> Arc<dyn CredentialsProvider> {
    let ProviderOptions { account, limits, env, clock, observer } = options;
    let source = Source::from(&account.credentials);
    let background =
        Background { account: account.name.clone(), clock: clock.clone(), observer, jitter: rand::random };
    let tools = Tools::new(account, limits, env, clock);
    Arc::new(Cached::start(source.with(tools), background))
}

/// The provider of keys that stand in settings, for tests of what uses keys.
#[cfg(test)]
pub(super) fn provider_for(
    settings: &config::Credentials,
    _: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
) -> Arc<dyn CredentialsProvider> {
    tests::given(settings)
}
