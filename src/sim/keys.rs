//! The AccessKeys that the simulated services accept. Invariant: how a key stands is judged when it is used.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::errors::ApiError;
use super::world::mix;
use crate::clock::{UnixMillis, millis};

/// Issued keys that are remembered; the oldest are forgotten first.
const ISSUED_MAX: usize = 10_000;

/// An AccessKey that the simulator accepts. The secrets are made up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// AccessKey id.
    pub id: String,
    /// AccessKey secret.
    pub secret: String,
    /// The security token that an STS key must present.
    pub security_token: Option<String>,
    /// How the key stands.
    pub status: KeyStatus,
}

/// How an AccessKey stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// It works.
    Active,
    /// It was disabled: `InvalidAccessKeyId.Inactive`.
    Inactive,
    /// The life of its security token is over: `InvalidSecurityToken.Expired`.
    Expired,
}

impl AccessKey {
    /// A long-lived key.
    pub fn new(id: &str, secret: &str) -> Self {
        Self { id: id.to_owned(), secret: secret.to_owned(), security_token: None, status: KeyStatus::Active }
    }

    /// A temporary key with its security token.
    pub fn sts(id: &str, secret: &str, token: &str) -> Self {
        Self { security_token: Some(token.to_owned()), ..Self::new(id, secret) }
    }

    /// The keys that a simulator knows by default: one long-lived, one STS, one STS past its life, one disabled.
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::new("sim-access-key-id", "sim-access-key-secret"),
            Self::sts("STS.sim-access-key-id", "sim-sts-secret", "sim-security-token"),
            Self {
                status: KeyStatus::Expired,
                ..Self::sts("STS.sim-expired-id", "sim-expired-secret", "sim-expired-token")
            },
            Self {
                status: KeyStatus::Inactive,
                ..Self::new("sim-inactive-key-id", "sim-inactive-key-secret")
            },
        ]
    }
}

/// All keys, by id.
#[derive(Debug)]
pub struct KeyRing(Mutex<Ring>);

#[derive(Debug)]
struct Ring {
    known: BTreeMap<String, AccessKey>,
    /// Keys that were handed out, by number, each with its end.
    issued: BTreeMap<u64, (AccessKey, UnixMillis)>,
    /// How many were handed out.
    count: u64,
}

impl KeyRing {
    pub(crate) fn new(keys: Vec<AccessKey>) -> Self {
        let known = keys.into_iter().map(|key| (key.id.clone(), key)).collect();
        Self(Mutex::new(Ring { known, issued: BTreeMap::new(), count: 0 }))
    }

    /// Accepts one more key, or the same with another secret or status.
    pub fn put(&self, key: AccessKey) {
        self.lock().known.insert(key.id.clone(), key);
    }

    /// Does not know a key any more: `InvalidAccessKeyId.NotFound`.
    pub fn revoke(&self, id: &str) {
        let mut ring = self.lock();
        ring.known.remove(id);
        ring.issued.retain(|_, (key, _)| key.id != id);
    }

    /// Does not know any key any more that was handed out so far.
    pub fn revoke_issued(&self) {
        self.lock().issued.clear();
    }

    /// Ends the life of every key that was handed out so far: `InvalidSecurityToken.Expired`.
    pub fn expire_issued(&self) {
        self.lock().issued.values_mut().for_each(|(_, end)| *end = UnixMillis::MIN);
    }

    /// How many keys were handed out.
    pub fn issued(&self) -> u64 {
        self.lock().count
    }

    /// Hands out a temporary key that lasts this long; gives its end, too, in whole seconds as the services do.
    pub(crate) fn issue(&self, now: UnixMillis, lifetime: Duration) -> (AccessKey, UnixMillis) {
        let mut ring = self.lock();
        let number = ring.count;
        ring.count += 1;
        let [id, secret, token] = [1, 2, 3].map(|salt| mix(mix(number) ^ salt));
        let key = AccessKey::sts(
            &format!("STS.sim{number:06}{id:016x}"),
            &format!("sim-issued-secret-{secret:016x}"),
            &format!("sim-issued-token-{token:016x}"),
        );
        let end = now.saturating_add(millis(lifetime));
        ring.issued.insert(number, (key.clone(), end));
        if ring.issued.len() > ISSUED_MAX {
            ring.issued.pop_first();
        }
        (key, end)
    }

    /// The key of this id, if it may be used with this token.
    pub(crate) fn find(&self, id: &str, token: Option<&str>, now: UnixMillis) -> Result<AccessKey, ApiError> {
        let error = |status, code, message| Err(ApiError::new(status, code, message));
        let Some(key) = self.lock().get(id, now) else {
            return error(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.");
        };
        match (&key.security_token, token) {
            _ if key.status == KeyStatus::Inactive => {
                error(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
            }
            (Some(_), None) => {
                error(400, "MissingSecurityToken", "SecurityToken is mandatory for this action.")
            }
            (expected, Some(given)) if expected.as_deref() != Some(given) => {
                error(400, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed.")
            }
            _ if key.status == KeyStatus::Expired => {
                error(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
            }
            _ => Ok(key),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn get(&self, id: &str, now: UnixMillis) -> Option<AccessKey> {
        if let Some(key) = self.known.get(id) {
            return Some(key.clone());
        }
        let (key, end) = self.issued.values().rev().find(|(key, _)| key.id == id)?;
        let status = if now >= *end { KeyStatus::Expired } else { KeyStatus::Active };
        Some(AccessKey { status, ..key.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issued_keys_live_expire_and_are_revoked() {
        let ring = KeyRing::new(Vec::new());
        let [(one, end), (two, _)] = [0, 0].map(|now| ring.issue(now, Duration::from_secs(10)));
        assert_eq!((end, ring.issued(), one.id == two.id), (10_000, 2, false));
        let code = |key: &AccessKey, now| {
            ring.find(&key.id, key.security_token.as_deref(), now).err().map(|error| error.code)
        };
        assert_eq!(
            (code(&one, 9_999), code(&one, 10_000)),
            (None, Some("InvalidSecurityToken.Expired".into()))
        );
        assert!(ring.find(&one.id, two.security_token.as_deref(), 0).is_err());
        ring.expire_issued();
        assert_eq!(code(&two, 0).as_deref(), Some("InvalidSecurityToken.Expired"));
        ring.revoke(&one.id);
        assert_eq!(code(&one, 0).as_deref(), Some("InvalidAccessKeyId.NotFound"));
        ring.revoke_issued();
        assert_eq!(code(&two, 0).as_deref(), Some("InvalidAccessKeyId.NotFound"));
        ring.put(one.clone());
        assert_eq!(code(&one, i64::MAX), None);
    }
}
