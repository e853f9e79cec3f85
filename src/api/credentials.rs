//! Where the keys come from. Invariant: a secret is held in a type that cannot print it.

use std::fmt;
use std::future::{Future, ready};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::config;

/// Environment variable of the AccessKey id.
pub const ENV_KEY_ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
/// Environment variable of the AccessKey secret.
pub const ENV_KEY_SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
/// Environment variable of the security token; optional.
pub const ENV_SECURITY_TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";

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

/// Why no keys could be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CredentialsError {
    /// The environment does not hold a key.
    #[error(
        "no AccessKey: set the environment variables {ENV_KEY_ID} and {ENV_KEY_SECRET} (missing or empty: {0}), \
         with a temporary key also {ENV_SECURITY_TOKEN}, or configure the account's `credentials`"
    )]
    NotInEnvironment(String),
    /// The configuration's key is empty.
    #[error("the configured {0} is empty")]
    Empty(&'static str),
    /// A key or token that no HTTP header can carry.
    #[error("the AccessKey id or the security token holds characters that no HTTP header can carry")]
    Unsendable,
}

/// The keys, or why there are none, some time from now.
pub type CredentialsFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<AccessCredentials>, CredentialsError>> + Send + 'a>>;

/// A source of keys. It is asked before every attempt: a source whose keys expire or cost a request keeps them.
pub trait CredentialsProvider: fmt::Debug + Send + Sync {
    /// The keys to sign the next attempt with.
    fn credentials(&self) -> CredentialsFuture<'_>;
}

/// The provider that the settings name; `env` looks up an environment variable.
pub fn provider_for(
    settings: &config::Credentials,
    env: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
) -> Arc<dyn CredentialsProvider> {
    match settings {
        config::Credentials::Default => Arc::new(EnvironmentCredentials(Box::new(env))),
        config::Credentials::Static(key) => Arc::new(FixedCredentials::new(key, None)),
        config::Credentials::Sts(key, token) => Arc::new(FixedCredentials::new(key, Some(token))),
    }
}

/// Keys from the configuration.
#[derive(Debug)]
pub struct FixedCredentials(Result<Arc<AccessCredentials>, CredentialsError>);

impl FixedCredentials {
    /// A long-lived key, or with a security token a temporary one.
    pub fn new(key: &config::AccessKey, security_token: Option<&SecretString>) -> Self {
        let checked = match (key.id.trim(), key.secret.expose_secret().trim(), security_token) {
            ("", _, _) => Err(CredentialsError::Empty("access_key_id")),
            (_, "", _) => Err(CredentialsError::Empty("access_key_secret")),
            (_, _, Some(token)) if token.expose_secret().trim().is_empty() => {
                Err(CredentialsError::Empty("security_token"))
            }
            (id, secret, token) => Ok(Arc::new(AccessCredentials {
                id: id.into(),
                secret: secret.into(),
                security_token: token.map(|token| token.expose_secret().trim().into()),
            })),
        };
        Self(checked)
    }
}

impl CredentialsProvider for FixedCredentials {
    fn credentials(&self) -> CredentialsFuture<'_> {
        Box::pin(ready(self.0.clone()))
    }
}

/// Keys from the environment variables of the official SDKs.
pub struct EnvironmentCredentials(Box<Env>);

/// Looks up an environment variable.
type Env = dyn Fn(&str) -> Option<String> + Send + Sync;

impl EnvironmentCredentials {
    fn look_up(&self) -> Result<Arc<AccessCredentials>, CredentialsError> {
        // Keys pasted into a file or a unit often bring a newline along; an empty variable says as much as none.
        let var =
            |name| (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        match (var(ENV_KEY_ID), var(ENV_KEY_SECRET)) {
            (Some(id), Some(secret)) => Ok(Arc::new(AccessCredentials {
                id,
                secret: secret.into(),
                security_token: var(ENV_SECURITY_TOKEN).map(Into::into),
            })),
            (None, Some(_)) => Err(CredentialsError::NotInEnvironment(ENV_KEY_ID.into())),
            (Some(_), None) => Err(CredentialsError::NotInEnvironment(ENV_KEY_SECRET.into())),
            (None, None) => {
                Err(CredentialsError::NotInEnvironment(format!("{ENV_KEY_ID}, {ENV_KEY_SECRET}")))
            }
        }
    }
}

impl fmt::Debug for EnvironmentCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvironmentCredentials")
    }
}

impl CredentialsProvider for EnvironmentCredentials {
    fn credentials(&self) -> CredentialsFuture<'_> {
        Box::pin(ready(self.look_up()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AccessKey, Credentials};

    async fn keys(
        settings: Credentials,
        env: &'static [(&str, &str)],
    ) -> Result<Arc<AccessCredentials>, CredentialsError> {
        let look_up = move |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        provider_for(&settings, look_up).credentials().await
    }

    fn key(id: &str, secret: &str) -> AccessKey {
        AccessKey { id: id.into(), secret: secret.into() }
    }

    #[tokio::test]
    async fn the_environment_gives_a_long_lived_or_a_temporary_key() {
        const KEY: &[(&str, &str)] =
            &[(ENV_KEY_ID, "id\n"), (ENV_KEY_SECRET, " s"), (ENV_SECURITY_TOKEN, "")];
        let got = keys(Credentials::Default, KEY).await.unwrap();
        assert_eq!((got.id.as_str(), got.secret.expose_secret()), ("id", "s"));
        assert!(got.security_token.is_none());

        const STS: &[(&str, &str)] = &[(ENV_KEY_ID, "id"), (ENV_KEY_SECRET, "s"), (ENV_SECURITY_TOKEN, "t")];
        let got = keys(Credentials::Default, STS).await.unwrap();
        assert_eq!(got.security_token.as_ref().unwrap().expose_secret(), "t");
    }

    #[tokio::test]
    async fn an_absent_key_names_the_variables_to_set() {
        let error =
            keys(Credentials::Default, &[(ENV_KEY_ID, "id"), (ENV_KEY_SECRET, " ")]).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "no AccessKey: set the environment variables ALIBABA_CLOUD_ACCESS_KEY_ID and \
             ALIBABA_CLOUD_ACCESS_KEY_SECRET (missing or empty: ALIBABA_CLOUD_ACCESS_KEY_SECRET), with a temporary \
             key also ALIBABA_CLOUD_SECURITY_TOKEN, or configure the account's `credentials`"
        );
        let error = keys(Credentials::Default, &[]).await.unwrap_err();
        assert_eq!(
            error,
            CredentialsError::NotInEnvironment(
                "ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET".into()
            )
        );
    }

    #[tokio::test]
    async fn the_configuration_gives_a_key_and_an_empty_one_is_refused() {
        let got = keys(Credentials::Sts(key("id", "s"), "t".into()), &[]).await.unwrap();
        assert_eq!(got.confidential().collect::<Vec<_>>(), ["id", "s", "t"]);
        let got = keys(Credentials::Static(key("id", "s")), &[(ENV_SECURITY_TOKEN, "t")]).await.unwrap();
        assert!(got.security_token.is_none(), "the environment has no say in a configured key");

        for (settings, name) in [
            (Credentials::Static(key("", "s")), "access_key_id"),
            (Credentials::Static(key("id", " ")), "access_key_secret"),
            (Credentials::Sts(key("id", "s"), "".into()), "security_token"),
        ] {
            assert_eq!(keys(settings, &[]).await.unwrap_err(), CredentialsError::Empty(name));
        }
    }

    #[test]
    fn nothing_prints_a_key() {
        let provider = FixedCredentials::new(&key("the-id", "the-secret"), Some(&"the-token".into()));
        let text = format!("{provider:?} {:?}", provider.0);
        assert!(!text.contains("the-"), "{text}");
    }
}
