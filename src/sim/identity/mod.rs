//! The services that hand out keys: STS, the metadata service of ECS, a credentials URI; on paths of the simulator's own
//! listener. Invariant: what they hand out, the simulated API accepts, for as long as it lives.

mod metadata;
mod rpc;
mod sts;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::request::Parts;
use serde_json::{Value, json};

use super::answers::bytes;
use super::errors::ApiError;
use super::service::Reply;
use super::signature::Checker;
use crate::clock::UnixMillis;

/// The OIDC token that is accepted by default. Made up.
pub const OIDC_TOKEN: &str = "sim-oidc-token";
/// The RAM role of the simulated instance.
pub const INSTANCE_ROLE: &str = "sim-node-role";
/// Where the credentials URI is.
pub const CREDENTIALS_PATH: &str = "/credentials-uri";
/// How long keys of the instance's role and of the URI last where nothing else is said.
const HANDED_OUT_LIFETIME: Duration = Duration::from_secs(6 * 3_600);

/// Who hands out keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Issuer {
    /// STS, for a key.
    AssumeRole,
    /// STS, for an OIDC token.
    AssumeRoleWithOidc,
    /// The metadata service.
    Metadata,
    /// The credentials URI.
    CredentialsUri,
}

impl Issuer {
    /// Every issuer, with the name that the side door has for it.
    pub const ALL: [(&'static str, Self); 4] = [
        ("AssumeRole", Self::AssumeRole),
        ("AssumeRoleWithOIDC", Self::AssumeRoleWithOidc),
        ("Metadata", Self::Metadata),
        ("CredentialsUri", Self::CredentialsUri),
    ];

    /// The issuer of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, issuer)| *issuer)
    }
}

/// How the metadata service may be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetadataModes {
    /// With a token and without.
    #[default]
    Both,
    /// With a token only: v1 is disabled.
    TokenOnly,
    /// Without a token only: an old instance.
    PlainOnly,
    /// Without a token only, though tokens are given.
    TokenUseless,
}

/// How keys are handed out.
#[derive(Debug)]
pub struct Identity(Mutex<State>);

#[derive(Debug)]
struct State {
    lifetime: Option<Duration>,
    refused: BTreeMap<Issuer, (u16, String)>,
    served: BTreeMap<Issuer, u64>,
    oidc_token: String,
    external_id: Option<String>,
    modes: MetadataModes,
    metadata_tokens: Vec<String>,
}

impl Default for Identity {
    fn default() -> Self {
        Self(Mutex::new(State {
            lifetime: None,
            refused: BTreeMap::new(),
            served: BTreeMap::new(),
            oidc_token: OIDC_TOKEN.to_owned(),
            external_id: None,
            modes: MetadataModes::default(),
            metadata_tokens: Vec::new(),
        }))
    }
}

impl Identity {
    /// Keys last this long from now on, whatever is asked for; `None` = as it is asked for.
    pub fn set_lifetime(&self, lifetime: Option<Duration>) {
        self.lock().lifetime = lifetime;
    }

    /// Answers with this status and code instead of keys.
    pub fn refuse(&self, issuer: Issuer, status: u16, code: &str) {
        self.lock().refused.insert(issuer, (status, code.to_owned()));
    }

    /// Hands out keys again.
    pub fn allow(&self, issuer: Issuer) {
        self.lock().refused.remove(&issuer);
    }

    /// Accepts this OIDC token and no other.
    pub fn set_oidc_token(&self, token: &str) {
        token.clone_into(&mut self.lock().oidc_token);
    }

    /// Lets a role be assumed with this external id only; `None` = with any.
    pub fn set_external_id(&self, id: Option<&str>) {
        self.lock().external_id = id.map(str::to_owned);
    }

    /// How the metadata service may be asked.
    pub fn set_metadata_modes(&self, modes: MetadataModes) {
        self.lock().modes = modes;
    }

    /// How many keys an issuer handed out.
    pub fn served(&self, issuer: Issuer) -> u64 {
        self.lock().served.get(&issuer).copied().unwrap_or(0)
    }

    /// Answers a request, if it is for one of these services.
    pub(crate) fn answer(&self, request: &Request<'_>) -> Option<Reply> {
        let path = request.parts.uri.path();
        match path {
            "/" => Some(sts::answer(self, request)),
            CREDENTIALS_PATH => Some(self.hand_out(Issuer::CredentialsUri, request)),
            _ => path.starts_with("/latest/").then(|| metadata::answer(self, request)),
        }
    }

    /// Keys in the form of the metadata service.
    fn hand_out(&self, issuer: Issuer, request: &Request<'_>) -> Reply {
        match self.issue(issuer, HANDED_OUT_LIFETIME, request) {
            Ok(mut keys) => {
                keys["Code"] = "Success".into();
                keys["LastUpdated"] = written(request.now).into();
                Reply::json(200, bytes(&keys))
            }
            Err(error) => Reply::error(error, request.request_id),
        }
    }

    /// New keys as all of them write them.
    fn issue(&self, issuer: Issuer, lifetime: Duration, request: &Request<'_>) -> Result<Value, ApiError> {
        let mut state = self.lock();
        if let Some((status, code)) = state.refused.get(&issuer) {
            let message = format!("Refused on purpose: {}", request.parts.uri);
            return Err(ApiError::new(*status, code, &message));
        }
        *state.served.entry(issuer).or_default() += 1;
        let lifetime = state.lifetime.unwrap_or(lifetime);
        let (key, end) = request.checker.keys.issue(request.now, lifetime);
        Ok(json!({
            "AccessKeyId": key.id,
            "AccessKeySecret": key.secret,
            "SecurityToken": key.security_token,
            "Expiration": written(end),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request to a service that hands out keys.
pub(crate) struct Request<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) body: &'a [u8],
    pub(crate) request_id: &'a str,
    /// Real time.
    pub(crate) now: UnixMillis,
    pub(crate) checker: &'a Checker,
    pub(crate) check_signatures: bool,
}

/// A time as these services write it: UTC, whole seconds.
fn written(time: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(time).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
