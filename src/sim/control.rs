//! The unsigned side door: the truth, the clock and the faults, as JSON. Invariant: it is no part of the simulated service.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::bytes;
use super::faults::{Fault, Faults, Scope};
use super::identity::{Issuer, MetadataModes};
use super::policy::{Enforced, RamPolicy};
use super::routes::Operation;
use super::service::{Reply, Service};
use super::throttle::ThrottleForm;
use super::world::{QueueTruth, View, Workspace, World};

const HELP: &str = "GET /sim/v1/truth, POST /sim/v1/clock, POST /sim/v1/identity, POST or DELETE /sim/v1/faults, \
     PUT or DELETE /sim/v1/policy";

/// Where the side door is.
pub(crate) const PREFIX: &str = "/sim/";

/// Answers a control request: 200 with JSON, or 400/404 with `{"error": …}`.
pub(crate) async fn answer(service: &Service, parts: &Parts, body: &[u8]) -> Reply {
    let (world, faults) = (&service.world, &service.faults);
    let result = match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/sim/v1/truth") => {
            let world = Arc::clone(world);
            // A sum over every session ever born: not on a thread that serves requests.
            tokio::task::spawn_blocking(move || truth(&world.view())).await.map_err(|e| (400, e.to_string()))
        }
        (&Method::POST, "/sim/v1/clock") => set_clock(world, body).map_err(|e| (400, e)),
        (&Method::POST, "/sim/v1/faults") => arm(faults, body).map_err(|e| (400, e)),
        (&Method::DELETE, "/sim/v1/faults") => {
            faults.clear();
            Ok(json!({"armed": 0}))
        }
        (&Method::POST, "/sim/v1/identity") => set_identity(service, body).map_err(|e| (400, e)),
        (&Method::PUT, "/sim/v1/policy") => enforce(&service.policy, body).map_err(|e| (400, e)),
        (&Method::DELETE, "/sim/v1/policy") => {
            service.policy.set(None);
            Ok(json!({"enforced": false}))
        }
        _ => Err((404, HELP.to_owned())),
    };
    match result {
        Ok(value) => Reply::json(200, bytes(&value)),
        Err((status, error)) => Reply::json(status, bytes(&json!({"error": error}))),
    }
}

fn enforce(policy: &Enforced, body: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(body).map_err(|e| e.to_string())?;
    policy.set(Some(RamPolicy::parse(text)?));
    Ok(json!({"enforced": true}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockRequest {
    advance_seconds: Option<u32>,
    speed: Option<f64>,
    #[serde(default)]
    freeze: bool,
}

fn set_clock(world: &World, body: &[u8]) -> Result<Value, String> {
    let request: ClockRequest = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    if let Some(speed) = request.speed {
        world.clock().set_speed(speed);
    }
    if request.freeze {
        world.clock().freeze();
    }
    if let Some(seconds) = request.advance_seconds {
        world.clock().advance(Duration::from_secs(seconds.into()));
    }
    Ok(json!({"now": world.clock().now(), "speed": world.clock().speed()}))
}

/// What becomes of keys; what is left out stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityRequest {
    /// How long keys last from now on; 0: as it is asked for.
    lifetime_seconds: Option<u32>,
    #[serde(default)]
    expire_issued: bool,
    #[serde(default)]
    revoke_issued: bool,
    /// The id of a key.
    revoke: Option<String>,
    /// The one that is accepted.
    oidc_token: Option<String>,
    /// The one that a role asks for; empty: none.
    external_id: Option<String>,
    /// `both`, `token_only`, `plain_only` or `token_useless`.
    metadata: Option<String>,
    /// The name of an issuer, to answer with `status` (403) and `code` (NoPermission).
    refuse: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    /// The name of an issuer.
    allow: Option<String>,
}

fn set_identity(service: &Service, body: &[u8]) -> Result<Value, String> {
    let request: IdentityRequest = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let (identity, keys) = (&service.identity, &service.checker.keys);
    let issuer = |name: &str| Issuer::from_name(name).ok_or_else(|| format!("no issuer {name}"));
    if let Some(seconds) = request.lifetime_seconds {
        identity.set_lifetime((seconds > 0).then(|| Duration::from_secs(seconds.into())));
    }
    if request.expire_issued {
        keys.expire_issued();
    }
    if request.revoke_issued {
        keys.revoke_issued();
    }
    if let Some(id) = &request.revoke {
        keys.revoke(id);
    }
    if let Some(token) = &request.oidc_token {
        identity.set_oidc_token(token);
    }
    if let Some(id) = &request.external_id {
        identity.set_external_id(Some(id.as_str()).filter(|id| !id.is_empty()));
    }
    match request.metadata.as_deref() {
        None => {}
        Some("both") => identity.set_metadata_modes(MetadataModes::Both),
        Some("token_only") => identity.set_metadata_modes(MetadataModes::TokenOnly),
        Some("token_useless") => identity.set_metadata_modes(MetadataModes::TokenUseless),
        Some("plain_only") => identity.set_metadata_modes(MetadataModes::PlainOnly),
        Some(other) => return Err(format!("no mode {other}")),
    }
    if let Some(name) = &request.refuse {
        let code = request.code.as_deref().unwrap_or("NoPermission");
        identity.refuse(issuer(name)?, request.status.unwrap_or(403), code);
    }
    if let Some(name) = &request.allow {
        identity.allow(issuer(name)?);
    }
    let served =
        Issuer::ALL.iter().map(|(name, issuer)| ((*name).to_owned(), identity.served(*issuer).into()));
    Ok(json!({"issued": keys.issued(), "served": served.collect::<serde_json::Map<_, _>>()}))
}

/// A fault as JSON: its name in snake case, its scope, `next` (else until cleared) and what the fault needs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultRequest {
    fault: String,
    operation: Option<String>,
    workspace: Option<String>,
    resource: Option<String>,
    next: Option<u64>,
    /// Of `server_error` (500), `html` (502) and `throttle` (429).
    status: Option<u16>,
    /// Of `wrong_total` and `page_shift` (1).
    rows: Option<i64>,
    /// Of `clock_skew` (1200).
    seconds: Option<i64>,
    /// Of `slow_body` (100) and `throttle` (500).
    millis: Option<u64>,
}

fn arm(faults: &Faults, body: &[u8]) -> Result<Value, String> {
    let request: FaultRequest = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let operation = match &request.operation {
        Some(name) => Some(Operation::from_name(name).ok_or_else(|| format!("no operation {name}"))?),
        None => None,
    };
    let mut scope = operation.map_or_else(Scope::any, Scope::of);
    if let Some(workspace) = &request.workspace {
        scope = scope.workspace(workspace);
    }
    if let Some(resource) = &request.resource {
        scope = scope.resource(resource);
    }
    let fault = request.fault()?;
    match request.next {
        Some(count) => faults.next(count, fault, scope),
        None => faults.always(fault, scope),
    }
    Ok(json!({"armed": faults.armed()}))
}

impl FaultRequest {
    fn fault(&self) -> Result<Fault, String> {
        let wait = |default| Duration::from_millis(self.millis.unwrap_or(default));
        let rows = self.rows.unwrap_or(1);
        Ok(match self.fault.as_str() {
            "throttle" => Fault::Throttle(match self.status {
                Some(400) => ThrottleForm::bad_request(),
                Some(503) => ThrottleForm::unavailable(wait(500)),
                _ => ThrottleForm::too_many_requests(wait(500)),
            }),
            "server_error" => Fault::ServerError(self.status.unwrap_or(500)),
            "reset" => Fault::Reset,
            "hang" => Fault::Hang,
            "cut" => Fault::Cut,
            "slow_body" => Fault::SlowBody(wait(100)),
            "html" => Fault::Html(self.status.unwrap_or(502)),
            "bad_json" => Fault::BadJson,
            "denied" => Fault::Denied("Forbidden.RAM"),
            "no_permission" => Fault::Denied("NoPermission"),
            "invalid_key" => Fault::InvalidKey,
            "clock_skew" => Fault::ClockSkew(self.seconds.unwrap_or(1_200)),
            "business_error" => Fault::BusinessError,
            "repeated_token" => Fault::RepeatedToken,
            "empty_page_with_token" => Fault::EmptyPageWithToken,
            "wrong_total" => Fault::WrongTotal(rows),
            "page_shift" => Fault::PageShift(rows),
            "malformed_row" => Fault::MalformedRow,
            "mistyped_row" => Fault::MistypedRow,
            "numbers_as_strings" => Fault::NumbersAsStrings,
            "nulls" => Fault::Nulls,
            "dates_as_text" => Fault::DatesAsText,
            "unknown_state" => Fault::UnknownState,
            other => return Err(format!("no fault {other}")),
        })
    }
}

/// Everything that a reader of the API could have found out by now.
fn truth(view: &View<'_>) -> Value {
    let workspaces: Vec<Value> = view.workspaces().iter().map(|w| workspace(view, w)).collect();
    json!({"now": view.now, "region": view.config.region, "workspaces": workspaces})
}

fn workspace(view: &View<'_>, workspace: &Workspace) -> Value {
    let clusters = view.cluster_facts(workspace).into_iter().map(|c| {
        json!({
            "sessionClusterId": c.id, "name": c.name, "kind": c.kind, "queueName": c.queue,
            "state": c.state.as_str(), "code": c.code,
        })
    });
    let gateways =
        view.gateway_facts(workspace).into_iter().zip(&workspace.gateways).map(|(facts, gateway)| {
            let queues = gateway.truth(view.config, view.now).into_iter().map(|(name, q)| (name, queue(&q)));
            json!({
                "computeId": facts.id, "name": facts.name, "queueName": facts.queue, "born": facts.born,
                "listed": facts.listed, "queues": queues.collect::<serde_json::Map<_, _>>(),
            })
        });
    json!({
        "workspaceId": workspace.id,
        "workspaceName": workspace.name,
        "paymentType": workspace.payment_type,
        "resourceGroupId": workspace.resource_group_id,
        "createTime": workspace.created,
        "tags": workspace.tags.iter().map(|(k, v)| json!({"tagKey": k, "tagValue": v})).collect::<Vec<_>>(),
        "queues": workspace.queues,
        "sessionClusters": clusters.collect::<Vec<_>>(),
        "gateways": gateways.collect::<Vec<_>>(),
    })
}

fn queue(truth: &QueueTruth) -> Value {
    json!({
        "nanoCuHours": truth.usage.nano_cu_hours,
        "vcoreSeconds": truth.usage.vcore_seconds,
        "mbSeconds": truth.usage.mb_seconds,
        "created": truth.created,
        "ended": truth.ended,
    })
}
