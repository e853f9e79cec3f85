//! The RAM role of an ECS instance, from its metadata service. Invariant: short timeouts, no proxy, nothing but the
//! service's own address.

use std::time::Duration;

use http::{HeaderValue, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, ClientBuilder, Request, Url, redirect, retry};

use super::AccessCredentials;
use super::error::Failure;
use super::exchange::{Handed, exchange, keys_in};
use super::source::Fetched;
use super::tools::Tools;
use crate::api::answer::Answer;
use crate::api::text::{chain, printable};
use crate::config::EcsRole;
use crate::model::FailureReason;

/// The service is next door, or it is not there.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The longest that one request may take.
const REQUEST_MAX: Duration = Duration::from_secs(3);
const ROLES: &str = "/latest/meta-data/ram/security-credentials/";
const TOKEN: &str = "/latest/api/token";
const TOKEN_HEADER: &str = "x-aliyun-ecs-metadata-token";
const TTL_HEADER: &str = "x-aliyun-ecs-metadata-token-ttl-seconds";

/// The metadata service, and how it is asked.
struct Metadata<'a> {
    tools: &'a Tools,
    http: Client,
    /// The token of the hardened mode (v2); without one, the service is asked in the plain mode (v1).
    token: Option<HeaderValue>,
}

/// The keys of the instance's role.
pub(super) async fn fetch(tools: &Tools, role: &EcsRole) -> Result<Fetched, Failure> {
    let http = ClientBuilder::new()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .connect_timeout(PAUSE_MAX)
        .read_timeout(PAUSE_MAX)
        .timeout(REQUEST_MAX)
        // Plain http needs no authorities, which a bare container does not have.
        .tls_certs_only([])
        .build()
        .map_err(|error| Failure::absent(chain(&error)))?;
    let mut metadata = Metadata { tools, http, token: None };
    let v2 = metadata.token().await;
    match v2 {
        Ok(token) => metadata.token = Some(token),
        // Nobody is there to be asked in another way.
        Err(failure) if role.disable_imds_v1 || failure.reason == FailureReason::Unreachable => {
            let hint = if role.disable_imds_v1 { " (disable_imds_v1 rules out the other mode)" } else { "" };
            return Err(Failure { why: format!("{}{hint}", failure.why), ..failure });
        }
        Err(_) => {}
    }
    match metadata.keys(role).await {
        // As the official SDKs do.
        Err(_) if metadata.token.is_some() && !role.disable_imds_v1 => {
            metadata.token = None;
            metadata.keys(role).await
        }
        result => result,
    }
}

impl Metadata<'_> {
    async fn token(&self) -> Result<HeaderValue, Failure> {
        let mut request = self.request(Method::PUT, TOKEN)?;
        request.headers_mut().insert(TTL_HEADER, HeaderValue::from_static("21600"));
        let answer = self.send(request, "the metadata service's token").await?;
        let mut token = HeaderValue::from_bytes(answer.body.trim_ascii())
            .map_err(|_| Failure::malformed("the metadata service's token is none"))?;
        token.set_sensitive(true);
        Ok(token)
    }

    async fn keys(&self, role: &EcsRole) -> Result<Fetched, Failure> {
        let name = match &role.name {
            Some(name) => name.clone(),
            None => self.role_name().await?,
        };
        let path = format!("{ROLES}{}", utf8_percent_encode(&name, NON_ALPHANUMERIC));
        let subject = format!("the keys of the instance's role {}", printable(&name, 64));
        let answer = self.send(self.request(Method::GET, &path)?, &subject).await?;
        keys_in::<Handed>(answer).map_err(|failure| failure.of(subject))
    }

    async fn role_name(&self) -> Result<String, Failure> {
        let subject = "the name of the instance's role";
        let answer = self.send(self.request(Method::GET, ROLES)?, subject).await?;
        let text = String::from_utf8_lossy(&answer.body);
        let name = text.lines().map(str::trim).find(|line| !line.is_empty());
        name.map(str::to_owned).ok_or_else(|| Failure::absent("the instance has no RAM role"))
    }

    fn request(&self, method: Method, path: &str) -> Result<Request, Failure> {
        let url = Url::parse(&format!("http://{}{path}", self.tools.metadata.authority))
            .map_err(|_| Failure::absent("metadata_endpoint is no address"))?;
        let mut request = Request::new(method, url);
        if let Some(token) = &self.token {
            request.headers_mut().insert(TOKEN_HEADER, token.clone());
        }
        Ok(request)
    }

    async fn send(&self, request: Request, subject: &str) -> Result<Answer, Failure> {
        let answer = exchange(&self.http, request, &self.tools.clock).await.map_err(|it| it.of(subject))?;
        match answer.status {
            200 => Ok(answer),
            404 if subject.starts_with("the name") => Err(Failure::absent("the instance has no RAM role")),
            _ => {
                let nobody = AccessCredentials { id: String::new(), secret: "".into(), security_token: None };
                Err(Failure::from(answer.refusal(&nobody)).of(subject))
            }
        }
    }
}
