//! Keys that are given: in the environment, in the settings, in files.

use secrecy::{ExposeSecret, SecretString};

use super::AccessCredentials;
use super::error::Failure;
use super::source::Fetched;
use super::tools::Tools;
use crate::config::{AccessKey, Secret};

/// Environment variable of the AccessKey id.
const ENV_KEY_ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
/// Environment variable of the AccessKey secret.
const ENV_KEY_SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
/// Environment variable of the security token; optional.
const ENV_SECURITY_TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";

/// The keys in the environment variables of the official SDKs.
pub(super) fn from_environment(tools: &Tools) -> Result<Fetched, Failure> {
    let id = tools.variable(ENV_KEY_ID);
    let secret = tools.variable(ENV_KEY_SECRET);
    if let (Some(id), Some(secret)) = (&id, &secret) {
        let security_token = tools.variable(ENV_SECURITY_TOKEN).map(SecretString::from);
        let keys = AccessCredentials { id: id.clone(), secret: secret.as_str().into(), security_token };
        return Ok(Fetched { keys, expiry: None });
    }
    let given = [(ENV_KEY_ID, id), (ENV_KEY_SECRET, secret)];
    let unset = given.iter().filter(|(_, value)| value.is_none());
    let unset: Vec<&str> = unset.map(|(name, _)| *name).collect();
    Err(Failure::absent(format!("not set: {}", unset.join(", "))))
}

/// The keys of the settings; those in files as they are now.
pub(super) async fn given(key: &AccessKey, token: Option<&Secret>) -> Result<Fetched, Failure> {
    let (id, secret, token) = (key.id.clone(), key.secret.clone(), token.cloned());
    if [Some(&id), Some(&secret), token.as_ref()].into_iter().flatten().all(|part| part.file().is_none()) {
        return read(&id, &secret, token.as_ref());
    }
    // A file may lie on a network: not on a thread that serves others.
    off_thread(move || read(&id, &secret, token.as_ref())).await
}

/// Reads a file where it may take its time.
pub(super) async fn off_thread<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let ended_badly = |_| Err(Failure::absent("a file could not be read: the thread that did ended badly"));
    tokio::task::spawn_blocking(read).await.unwrap_or_else(ended_badly)
}

fn read(id: &Secret, secret: &Secret, token: Option<&Secret>) -> Result<Fetched, Failure> {
    let part = |name: &str, part: &Secret| {
        let place = part.file().map_or(String::new(), |_| "_file".to_owned());
        let text = part.read().map_err(|why| Failure::absent(format!("{name}{place}: {why}")))?;
        match text.expose_secret().trim() {
            "" => Err(Failure::absent(format!("{name}{place}: it is empty"))),
            text => Ok(SecretString::from(text)),
        }
    };
    let keys = AccessCredentials {
        id: part("access_key_id", id)?.expose_secret().to_owned(),
        secret: part("access_key_secret", secret)?,
        security_token: token.map(|token| part("security_token", token)).transpose()?,
    };
    Ok(Fetched { keys, expiry: None })
}
