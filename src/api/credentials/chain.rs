//! The default chain of the official SDKs, in their order. Invariant: the source that served first is kept: another one may
//! be another account, whose usage does not belong to the same series.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use secrecy::SecretString;

use super::error::Failure;
use super::source::{Fetched, Source};
use super::tools::Tools;
use crate::config::{EcsRole, OidcRole, Profile, Role, credentials_uri};

/// The role session's name where the environment gives none.
pub(super) const SESSION_NAME: &str = "emr-serverless-spark-exporter";
/// How long a session lasts where nothing else is said.
pub(super) const SESSION: Duration = Duration::from_secs(3_600);

/// The variables of RRSA: the role, its identity provider, the file with the token.
const OIDC: [&str; 3] =
    ["ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "ALIBABA_CLOUD_OIDC_TOKEN_FILE"];
const URI: &str = "ALIBABA_CLOUD_CREDENTIALS_URI";

/// The chain, and which of its sources served.
#[derive(Debug, Default)]
pub(super) struct Chain {
    kept: Mutex<Option<usize>>,
}

impl Chain {
    /// Its sources in their order; where the environment rules one out, why.
    pub(super) fn sources(&self, tools: &Tools) -> Vec<Result<Source, Failure>> {
        let all = vec![
            Ok(Source::Environment),
            oidc(tools),
            cli_file(tools).map(profile),
            ini_file(tools).map(profile),
            ecs(tools),
            uri(tools),
        ];
        let kept = *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept {
            Some(kept) => all.into_iter().skip(kept).take(1).collect(),
            None => all,
        }
    }

    /// Asks its sources, one after the other, until one serves; later that one alone.
    pub(super) async fn fetch(&self, tools: &Tools) -> Result<Fetched, Failure> {
        let mut failures = Vec::new();
        for (i, source) in self.sources(tools).into_iter().enumerate() {
            let fetched = match source {
                Ok(source) => source.fetch(tools).await,
                Err(failure) => Err(failure),
            };
            match fetched {
                Ok(fetched) => {
                    self.kept.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(i);
                    return Ok(fetched);
                }
                Err(failure) => failures.push(failure),
            }
        }
        match <[Failure; 1]>::try_from(failures) {
            Ok([only]) => Err(only),
            Err(failures) => {
                let whys: Vec<String> = failures.into_iter().map(|failure| failure.why).collect();
                Err(Failure::absent(format!("no source of the default chain serves: {}", whys.join("; "))))
            }
        }
    }
}

fn oidc(tools: &Tools) -> Result<Source, Failure> {
    let [arn, provider_arn, token_file] = OIDC.map(|name| tools.variable(name));
    let (Some(arn), Some(provider_arn), Some(token_file)) = (&arn, &provider_arn, &token_file) else {
        let given = [arn, provider_arn, token_file];
        let unset = OIDC.iter().zip(&given).filter(|(_, value)| value.is_none());
        let unset: Vec<&str> = unset.map(|(name, _)| *name).collect();
        return Err(Failure::absent(format!("oidc: not set: {}", unset.join(", "))));
    };
    let session_name = tools.variable("ALIBABA_CLOUD_ROLE_SESSION_NAME");
    let role = Role {
        arn: arn.clone(),
        session_name: session_name.unwrap_or_else(|| SESSION_NAME.to_owned()),
        duration: SESSION,
        policy: None,
        external_id: None,
    };
    let oidc = OidcRole { role, provider_arn: provider_arn.clone(), token_file: PathBuf::from(token_file) };
    Ok(Source::Oidc(oidc, None))
}

fn profile(file: PathBuf) -> Source {
    Source::Profile(Profile { name: None, file: Some(file) })
}

/// The file of the CLI.
pub(super) fn cli_file(tools: &Tools) -> Result<PathBuf, Failure> {
    if tools.is_true("ALIBABA_CLOUD_CLI_PROFILE_DISABLED") {
        let why = "profile: the CLI's is off: ALIBABA_CLOUD_CLI_PROFILE_DISABLED is true";
        return Err(Failure::absent(why));
    }
    let homeless = || Failure::absent("profile: no ~/.aliyun/config.json: HOME is not set");
    tools.at_home(".aliyun/config.json").ok_or_else(homeless)
}

/// The file of the SDKs.
pub(super) fn ini_file(tools: &Tools) -> Result<PathBuf, Failure> {
    if let Some(file) = tools.variable("ALIBABA_CLOUD_CREDENTIALS_FILE") {
        return Ok(PathBuf::from(file));
    }
    let homeless = || Failure::absent("profile: no ~/.alibabacloud/credentials.ini: HOME is not set");
    tools.at_home(".alibabacloud/credentials.ini").ok_or_else(homeless)
}

fn ecs(tools: &Tools) -> Result<Source, Failure> {
    if tools.is_true("ALIBABA_CLOUD_ECS_METADATA_DISABLED") {
        return Err(Failure::absent("ecs_ram_role: off: ALIBABA_CLOUD_ECS_METADATA_DISABLED is true"));
    }
    Ok(Source::Ecs(EcsRole {
        name: tools.variable("ALIBABA_CLOUD_ECS_METADATA"),
        disable_imds_v1: tools.is_true("ALIBABA_CLOUD_IMDSV1_DISABLED"),
    }))
}

fn uri(tools: &Tools) -> Result<Source, Failure> {
    let Some(uri) = tools.variable(URI) else {
        return Err(Failure::absent(format!("credentials_uri: {URI} is not set")));
    };
    credentials_uri(&uri, tools.allow_http)
        .map_err(|expected| Failure::absent(format!("credentials_uri: {URI}: {expected}")))?;
    Ok(Source::Uri(SecretString::from(uri)))
}
