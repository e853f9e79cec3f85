//! Where an account's keys come from. Invariant: a secret is held in a type that cannot print it.

mod read;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

pub(super) use read::read;

use super::files::{open, unreadable};

/// The longest secret that is read from a file, in bytes.
const SECRET_BYTES_MAX: usize = 64 << 10;
/// The largest file of profiles, in bytes.
const PROFILES_BYTES_MAX: usize = 1 << 20;

/// Where an account's keys come from; equal where the settings say the same, whatever files hold.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// The default chain of the official SDKs.
    Default,
    /// A long-lived key.
    Static(AccessKey),
    /// A temporary key with its security token.
    Sts(AccessKey, Secret),
    /// A RAM role that is assumed with other credentials.
    RamRoleArn(Role, Box<Self>),
    /// A RAM role that is assumed with an OIDC token: RRSA on ACK.
    Oidc(OidcRole),
    /// The RAM role of the ECS instance, from the metadata service.
    EcsRamRole(EcsRole),
    /// Keys that a service on the way hands out. The URI may hold a secret.
    CredentialsUri(SecretString),
    /// A profile of the CLI or of the SDKs.
    Profile(Profile),
}

impl Credentials {
    /// The type, as the settings name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Static(_) => "static",
            Self::Sts(..) => "sts",
            Self::RamRoleArn(..) => "ram_role_arn",
            Self::Oidc(_) => "oidc",
            Self::EcsRamRole(_) => "ecs_ram_role",
            Self::CredentialsUri(_) => "credentials_uri",
            Self::Profile(_) => "profile",
        }
    }

    /// Whether both act as the same key, user or role, so far as the settings tell.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        // One role is one identity, however it is assumed.
        let role = |it: &Self| match it {
            Self::RamRoleArn(role, _) => Some(role.arn.clone()),
            Self::Oidc(oidc) => Some(oidc.role.arn.clone()),
            _ => None,
        };
        let key_id = |it: &Self| match it {
            Self::Static(key) | Self::Sts(key, _) => key.id.read().ok(),
            _ => None,
        };
        match (self, other) {
            // An instance has one role.
            (Self::Default, Self::Default) | (Self::EcsRamRole(_), Self::EcsRamRole(_)) => true,
            (Self::CredentialsUri(one), Self::CredentialsUri(another)) => {
                one.expose_secret() == another.expose_secret()
            }
            (Self::Profile(one), Self::Profile(another)) => one == another,
            _ if role(self).is_some() => role(self) == role(other),
            _ => key_id(self)
                .zip(key_id(other))
                .is_some_and(|(one, another)| one.expose_secret() == another.expose_secret()),
        }
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Default, Self::Default) => true,
            (Self::Static(one), Self::Static(another)) => one == another,
            (Self::Sts(key, token), Self::Sts(another, other)) => key == another && token == other,
            (Self::RamRoleArn(role, source), Self::RamRoleArn(another, other)) => {
                role == another && source == other
            }
            (Self::Oidc(one), Self::Oidc(another)) => one == another,
            (Self::EcsRamRole(one), Self::EcsRamRole(another)) => one == another,
            (Self::CredentialsUri(one), Self::CredentialsUri(another)) => {
                one.expose_secret() == another.expose_secret()
            }
            (Self::Profile(one), Self::Profile(another)) => one == another,
            _ => false,
        }
    }
}

/// An AccessKey pair.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessKey {
    /// The AccessKey id. Not a secret, but not for labels or logs either.
    pub id: Secret,
    /// The AccessKey secret.
    pub secret: Secret,
}

/// A secret in the settings, or the file that holds it.
#[derive(Clone, Debug)]
pub enum Secret {
    /// As it was written.
    Inline(SecretString),
    /// In this file, to be read anew whenever it changes.
    File(PathBuf),
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inline(one), Self::Inline(another)) => one.expose_secret() == another.expose_secret(),
            (Self::File(one), Self::File(another)) => one == another,
            _ => false,
        }
    }
}

impl Secret {
    /// The file that holds it.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Inline(_) => None,
            Self::File(path) => Some(path),
        }
    }

    /// The secret as it is now; line breaks at the end of a file do not count.
    ///
    /// # Errors
    /// Why there is none, in words, without the path: it may be a secret that was put in the wrong place.
    pub fn read(&self) -> Result<SecretString, String> {
        let path = match self {
            Self::Inline(secret) => return Ok(secret.clone()),
            Self::File(path) => path,
        };
        read_secret(path)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::Inline(text.into())
    }
}

/// The secret in a file, without line breaks at its end.
///
/// # Errors
/// Why there is none, in words, without the path.
pub fn read_secret(path: &Path) -> Result<SecretString, String> {
    let text = read_secret_text(path, SECRET_BYTES_MAX)?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err("the file is empty".to_owned()),
        secret => Ok(SecretString::from(secret)),
    }
}

/// The whole text of a file of profiles, which is a secret as such.
///
/// # Errors
/// Why there is none, in words, without the path.
pub fn read_profile_file(path: &Path) -> Result<SecretString, String> {
    Ok(SecretString::from(read_secret_text(path, PROFILES_BYTES_MAX)?.as_str()))
}

/// The text of a file of at most `bytes_max` bytes, overwritten when it is dropped.
fn read_secret_text(path: &Path, bytes_max: usize) -> Result<Zeroizing<String>, String> {
    // Of its full size at once: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(bytes_max + 1));
    let read = open(path)?.take(bytes_max as u64 + 1).read_to_string(&mut text);
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err("the file is not UTF-8 text".to_owned())
        }
        Err(error) => Err(unreadable(&error)),
        Ok(bytes) if bytes > bytes_max => Err(format!("the file is larger than {} KiB", bytes_max >> 10)),
        Ok(_) => Ok(text),
    }
}

/// A RAM role to assume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// `acs:ram::<account id>:role/<name>`
    pub arn: String,
    /// What the session is called in the audit log.
    pub session_name: String,
    /// How long the keys of a session last: 15 minutes to 12 hours, and no longer than the role allows.
    pub duration: Duration,
    /// Narrows what the session may do: a RAM policy as JSON.
    pub policy: Option<String>,
    /// What the role's owner asks of those who assume it from another account.
    pub external_id: Option<String>,
}

/// A RAM role to assume with an OIDC token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcRole {
    /// The role; without an external id.
    pub role: Role,
    /// `acs:ram::<account id>:oidc-provider/<name>`
    pub provider_arn: String,
    /// The file that holds the token, which whoever issues it renews.
    pub token_file: PathBuf,
}

/// The RAM role of an ECS instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EcsRole {
    /// Its name; without one, the metadata service is asked for it.
    pub name: Option<String>,
    /// Whether the metadata service may be asked in its hardened mode only.
    pub disable_imds_v1: bool,
}

/// A profile in a file of the CLI or of the SDKs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Its name; without one, `ALIBABA_CLOUD_PROFILE`, then the file's own default.
    pub name: Option<String>,
    /// The file; without one, those of the default chain.
    pub file: Option<PathBuf>,
}

#[cfg(test)]
mod tests;
