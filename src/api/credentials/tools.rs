//! What sources work with: the environment, addresses, the clock. Invariant: nothing here is a secret but the environment.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::config::{self, Account, Endpoint, Network};

/// Looks up an environment variable.
pub type Env = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Where the metadata service of ECS is.
const METADATA: &str = "100.100.100.200";

/// See the module.
pub(super) struct Tools {
    env: Box<Env>,
    pub(super) sts: StsPlace,
    pub(super) metadata: Endpoint,
    /// Whether a URI of the environment may be plain http on another machine.
    pub(super) allow_http: bool,
    /// The authorities, the proxy and the timeouts of requests.
    pub(super) limits: Arc<ArcSwap<config::Api>>,
    pub(super) clock: Clock,
}

/// Which STS to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StsPlace {
    /// Instead of what the rest comes to.
    over: Option<Endpoint>,
    region: String,
    vpc: bool,
}

impl Tools {
    pub(super) fn new(
        account: &Account,
        limits: Arc<ArcSwap<config::Api>>,
        env: Box<Env>,
        clock: Clock,
    ) -> Self {
        let mut tools = Self {
            env,
            sts: StsPlace {
                over: account.sts_endpoint.clone(),
                region: account.regions.first().cloned().unwrap_or_default(),
                vpc: account.network == Network::Vpc,
            },
            metadata: account
                .metadata_endpoint
                .clone()
                .unwrap_or_else(|| Endpoint { https: false, authority: METADATA.to_owned() }),
            allow_http: account.allow_http,
            limits,
            clock,
        };
        let region = tools.variable("ALIBABA_CLOUD_STS_REGION");
        let vpc = tools.is_true("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED");
        tools.sts = tools.sts.at(region.as_deref(), vpc.then_some(true));
        tools
    }

    /// A variable that is set; what surrounds its text does not count, and an empty one says as much as none.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        // Keys pasted into a file or a unit often bring a newline along.
        (self.env)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.variable(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A file below the home directory; `None` without one.
    pub(super) fn at_home(&self, path: &str) -> Option<PathBuf> {
        self.variable("HOME").map(|home| Path::new(&home).join(path))
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tools")
            .field("sts", &self.sts)
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

impl StsPlace {
    /// The same, in another region or network where they are given.
    pub(super) fn at(&self, region: Option<&str>, vpc: Option<bool>) -> Self {
        // What becomes part of a host name must not be able to name another host.
        let is_region = |region: &&str| {
            !region.is_empty()
                && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let region = region.filter(is_region).unwrap_or(&self.region).to_owned();
        Self { over: self.over.clone(), region, vpc: vpc.unwrap_or(self.vpc) }
    }

    /// `sts.{region}.aliyuncs.com`, in a VPC `sts-vpc.{region}.aliyuncs.com`.
    pub(super) fn endpoint(&self) -> Endpoint {
        let prefix = if self.vpc { "sts-vpc" } else { "sts" };
        self.over.clone().unwrap_or_else(|| Endpoint {
            https: true,
            authority: match self.region.as_str() {
                "" => "sts.aliyuncs.com".to_owned(),
                region => format!("{prefix}.{region}.aliyuncs.com"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sts_is_asked_in_the_region_and_network_that_was_named_last() {
        let place = StsPlace { over: None, region: "cn-hangzhou".into(), vpc: false };
        let authority = |place: &StsPlace| place.endpoint().authority;
        assert_eq!(authority(&place), "sts.cn-hangzhou.aliyuncs.com");
        assert_eq!(authority(&place.at(Some("cn-beijing"), Some(true))), "sts-vpc.cn-beijing.aliyuncs.com");
        assert_eq!(authority(&place.at(Some("evil.example.com/"), None)), "sts.cn-hangzhou.aliyuncs.com");
        assert_eq!(authority(&StsPlace { region: String::new(), ..place.clone() }), "sts.aliyuncs.com");
        let over = Endpoint { https: false, authority: "127.0.0.1:1".into() };
        let place = StsPlace { over: Some(over.clone()), ..place };
        assert_eq!(place.at(Some("cn-beijing"), Some(true)).endpoint(), over);
    }
}
