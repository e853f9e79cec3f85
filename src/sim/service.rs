//! One request from the wire to its answer: faults, signature, rate limit, answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use super::answers::{Call, bytes};
use super::body::SimBody;
use super::errors::ApiError;
use super::faults::{Fault, Faults};
use super::identity::Identity;
use super::policy::{self, Enforced};
use super::routes::{parameters, route};
use super::signature::Checker;
use super::stats::Recorder;
use super::throttle::Bucket;
use super::world::{World, draw};
use super::{Options, control, identity, mangle, wire};
use crate::clock::UnixMillis;

/// `x-acs-version` of the simulated API.
const API_VERSION: &str = "2023-08-08";
/// The largest request body that is read.
const REQUEST_BODY_BYTES_MAX: usize = 1 << 20;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) world: Arc<World>,
    pub(crate) faults: Faults,
    pub(crate) recorder: Recorder,
    pub(crate) policy: Enforced,
    pub(crate) identity: Identity,
    pub(crate) checker: Checker,
    options: Options,
    bucket: Option<Bucket>,
    latency_ms: AtomicU64,
    requests: AtomicU64,
}

/// The connection is to be reset instead of answered.
#[derive(Debug, thiserror::Error)]
#[error("the connection is reset on purpose")]
pub(crate) struct Reset;

/// An answer before it is put on the wire.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: Vec<u8>) -> Self {
        Self { status, content_type: "application/json;charset=utf-8", headers: Vec::new(), body }
    }

    pub(crate) fn error(error: ApiError, request_id: &str) -> Self {
        let body = bytes(&error.body(request_id));
        Self { headers: error.headers, ..Self::json(error.status, body) }
    }

    pub(crate) fn html(status: u16) -> Self {
        let body =
            format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n");
        Self { content_type: "text/html", ..Self::json(status, body.into_bytes()) }
    }
}

impl Service {
    pub(crate) fn new(world: Arc<World>, options: Options) -> Self {
        Self {
            world,
            faults: Faults::default(),
            recorder: Recorder::default(),
            policy: Enforced::default(),
            identity: Identity::default(),
            checker: Checker::new(options.keys.clone()),
            bucket: options.requests_per_second.map(Bucket::new),
            latency_ms: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            options,
        }
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        let millis = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        self.latency_ms.store(millis, Ordering::Relaxed);
    }

    /// Answers one request, or says that its connection is to be reset.
    pub(crate) async fn handle(&self, request: Request<Incoming>) -> Result<Response<SimBody>, Reset> {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, REQUEST_BODY_BYTES_MAX).collect().await.map_err(|_| Reset)?.to_bytes();
        if self.options.control && parts.uri.path().starts_with(control::PREFIX) {
            let reply = control::answer(self, &parts, &body).await;
            return Ok(self.respond(reply, "", &[]));
        }
        let asked = identity::Request {
            parts: &parts,
            body: &body,
            request_id: &self.request_id(),
            now: self.options.clock.now(),
            checker: &self.checker,
            check_signatures: self.options.check_signatures,
        };
        if let Some(reply) = self.identity.answer(&asked) {
            return Ok(self.respond(reply, asked.request_id, &[]));
        }
        let mut in_flight = self.recorder.begin(parts.version);
        // Even a sleep of nothing waits for the next tick of the timer.
        let latency_ms = self.latency_ms.load(Ordering::Relaxed);
        if latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(latency_ms)).await;
        }
        let request_id = self.request_id();
        let route = match route(&parts.method, parts.uri.path()) {
            Ok(route) => route,
            Err(error) => {
                in_flight.status = Some(error.status);
                return Ok(self.respond(Reply::error(error, &request_id), &request_id, &[]));
            }
        };
        in_flight.operation = Some(route.operation);
        let query = parameters(parts.uri.query());
        let later_page = asked_token(&query).is_some() || query.get("pageNum").is_some_and(|n| n != "1");
        let (faults, hold) = self.faults.take(&route, later_page);
        if faults.contains(&Fault::Hang) {
            hold.cancelled().await;
            return Err(Reset);
        }
        if faults.contains(&Fault::Reset) {
            return Err(Reset);
        }
        let call = Call {
            world: &self.world,
            route: &route,
            query: &query,
            body: &body,
            request_id: &request_id,
            last_token: self.options.last_token,
            shift: faults.iter().map(|f| if let Fault::PageShift(rows) = f { *rows } else { 0 }).sum(),
        };
        let reply = match faults.iter().find_map(|fault| instead(fault, &request_id)) {
            Some(reply) => reply,
            None => self.reply(&parts, &body, &call, &faults),
        };
        in_flight.status = Some(reply.status);
        Ok(self.respond(reply, &request_id, &faults))
    }

    /// The service's own time.
    fn now(&self, faults: &[Fault]) -> UnixMillis {
        let skew = |fault: &Fault| if let Fault::ClockSkew(seconds) = fault { seconds * 1_000 } else { 0 };
        self.options.clock.now() + faults.iter().map(skew).sum::<i64>()
    }

    fn reply(&self, parts: &Parts, body: &Bytes, call: &Call<'_>, faults: &[Fault]) -> Reply {
        let now = self.now(faults);
        let answer = self.admit(parts, body, call, now).and_then(|()| call.answer());
        let mut body = match answer {
            Ok(body) => body,
            Err(error) => return Reply::error(error, call.request_id),
        };
        // The healthy way does not take the detour through a tree of values.
        if !faults.is_empty()
            && let Ok(mut value) = serde_json::from_slice::<Value>(&body)
        {
            let token = asked_token(call.query);
            for fault in faults {
                mangle::apply(fault, call.route.operation, token, &mut value);
            }
            body = bytes(&value);
        }
        if faults.contains(&Fault::BadJson) {
            body.truncate(body.len() / 2);
        }
        Reply::json(200, body)
    }

    /// Whether the request may be answered: signature, action, policy, region, rate limit.
    fn admit(&self, parts: &Parts, body: &Bytes, call: &Call<'_>, now: UnixMillis) -> Result<(), ApiError> {
        if self.options.check_signatures {
            self.checker.check(parts, body, API_VERSION, now)?;
            let action = parts.headers.get("x-acs-action").map(HeaderValue::as_bytes);
            if action != Some(call.route.operation.as_str().as_bytes()) {
                let message = "x-acs-action does not name the operation of this method and path.";
                return Err(ApiError::new(404, "InvalidAction.NotFound", message));
            }
        }
        self.policy.check(call.route.operation)?;
        if self.bucket.as_ref().is_some_and(|bucket| !bucket.take(Instant::now())) {
            return Err(self.options.throttle_form.error());
        }
        let region = &self.world.config().region;
        match call.query.get("regionId") {
            Some(asked) if asked != region => {
                Err(ApiError::invalid("regionId", &format!("{region} is served here")))
            }
            _ => Ok(()),
        }
    }

    /// Puts an answer on the wire.
    fn respond(&self, reply: Reply, request_id: &str, faults: &[Fault]) -> Response<SimBody> {
        let length = reply.body.len();
        let pause =
            faults.iter().find_map(|f| if let Fault::SlowBody(pause) = f { Some(*pause) } else { None });
        let body = match pause {
            _ if faults.contains(&Fault::Cut) => SimBody::cut(reply.body),
            Some(pause) => SimBody::slow(reply.body, pause),
            None => SimBody::whole(reply.body),
        };
        let mut response = Response::new(body);
        *response.status_mut() = http::StatusCode::from_u16(reply.status).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static(reply.content_type));
        headers.insert("content-length", HeaderValue::from(length));
        let date = http_date(self.now(faults));
        let own = [("x-acs-request-id", request_id.to_owned()), ("date", date)];
        for (name, value) in reply.headers.into_iter().chain(own) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }

    /// An id in the service's form, unlike any other of this world.
    fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let [high, low] = [0x71, 0x72].map(|salt| draw(self.world.config().seed, salt, number));
        let hex = format!("{high:016X}{low:016X}");
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }
}

/// The token of the page asked for; none on the first.
fn asked_token(query: &BTreeMap<String, String>) -> Option<&str> {
    query.get("nextToken").map(String::as_str).filter(|token| !token.is_empty())
}

/// The answer that a fault puts in the place of the right one.
fn instead(fault: &Fault, request_id: &str) -> Option<Reply> {
    let error = match fault {
        Fault::Throttle(form) => form.error(),
        Fault::ServerError(status) => {
            let code = if *status == 503 { "ServiceUnavailable" } else { "InternalError" };
            ApiError::new(*status, code, "The request processing has failed due to some unknown error.")
        }
        Fault::Denied(code) => policy::denial(code, "emr-serverless-spark:List", "ImplicitDeny"),
        Fault::InvalidKey => {
            ApiError::new(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        }
        Fault::Html(status) => return Some(Reply::html(*status)),
        Fault::BusinessError => {
            let body = wire::envelope("1040001", "The service is busy.", &Value::Null, request_id);
            return Some(Reply::json(200, bytes(&body)));
        }
        _ => return None,
    };
    Some(Reply::error(error, request_id))
}

/// A time as the header `Date` has it, in whole seconds.
fn http_date(now: UnixMillis) -> String {
    let now = jiff::Timestamp::from_millisecond(now).unwrap_or_default();
    now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
