//! What stands before the routes: limits, rate, passwords, headers. Invariant: a refused request is not looked at further,
//! and its body is never read.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode, Version};

use super::activity::{Activity, Watched};
use super::auth::Verdict;
use super::{Chunks, Cut, Front, document, routes};

/// The largest part of a body that HTTP/2 is handed at a time: a frame, as clients allow it from the start.
const HTTP2_PART_BYTES_MAX: usize = 16 * 1024;

/// Answers a request.
pub(super) async fn answer(
    front: Arc<Front>,
    activity: Activity,
    request: Request<Incoming>,
) -> Result<Response<Watched>, Infallible> {
    let answering = activity.request();
    let is_http2 = request.version() == Version::HTTP_2;
    let answer = match admit(&front, &request).await {
        Ok(()) => routes::answer(&front.server, &request).await,
        Err(cut) => {
            front.observer.on_cut(cut);
            refusal(cut, is_http2)
        }
    };
    let mut answer = if request.method() == Method::HEAD { head_only(answer) } else { answer };
    if let Some(web) = &front.web {
        for (name, value) in &web.armed().headers {
            // As in the toolkit, what a page says of itself stays.
            answer.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
    }
    document::guard(answer.headers_mut());
    let part_bytes_max = is_http2.then_some(HTTP2_PART_BYTES_MAX);
    Ok(answer.map(|body| Watched::new(body, part_bytes_max, answering)))
}

/// The same head without the body, which hyper leaves out by HTTP/1 alone.
fn head_only(answer: Response<Chunks>) -> Response<Chunks> {
    let (mut head, body) = answer.into_parts();
    head.headers.insert(CONTENT_LENGTH, body.len().into());
    Response::from_parts(head, Chunks::default())
}

async fn admit(front: &Front, request: &Request<Incoming>) -> Result<(), Cut> {
    let uri_bytes = request.uri().path_and_query().map_or(0, |uri| uri.as_str().len());
    if uri_bytes > front.limits.uri_bytes_max {
        return Err(Cut::LongUri);
    }
    // hyper itself keeps to it in HTTP/1.
    if uri_bytes + head_bytes(request.headers()) > front.limits.head_bytes_max {
        return Err(Cut::LargeHead);
    }
    if request.version() == Version::HTTP_11 && request.headers().get_all(HOST).iter().count() != 1 {
        return Err(Cut::Malformed);
    }
    // By HTTP/2, a body of no bytes ends later than the head.
    if !request.body().is_end_stream() && request.body().size_hint().exact() != Some(0) {
        return Err(Cut::Body);
    }
    let Some(web) = &front.web else { return Ok(()) };
    let armed = web.armed();
    if armed.bucket.as_ref().is_some_and(|bucket| !bucket.take()) {
        return Err(Cut::RateLimit);
    }
    if armed.file.users.is_empty() {
        return Ok(());
    }
    match front.passwords.check(&armed.file.users, request.headers()).await {
        Verdict::Right => Ok(()),
        Verdict::Wrong => Err(Cut::Unauthorized),
        Verdict::Busy => Err(Cut::PasswordQueue),
    }
}

/// Each header as `name: value` and a line break.
fn head_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

fn refusal(cut: Cut, is_http2: bool) -> Response<Chunks> {
    let (status, text) = match cut {
        Cut::LongUri => (StatusCode::URI_TOO_LONG, "the path is longer than web.uri_bytes_max\n"),
        Cut::LargeHead => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the head of the request is larger than web.head_bytes_max\n",
        ),
        Cut::Malformed => (StatusCode::BAD_REQUEST, "a request by HTTP/1.1 has one Host header\n"),
        Cut::Body => (StatusCode::PAYLOAD_TOO_LARGE, "a request here has no body\n"),
        Cut::RateLimit => (StatusCode::TOO_MANY_REQUESTS, "more requests than rate_limit allows\n"),
        Cut::PasswordQueue => {
            (StatusCode::SERVICE_UNAVAILABLE, "too many passwords are waiting to be checked\n")
        }
        _ => (StatusCode::UNAUTHORIZED, "a user and a password are needed\n"),
    };
    let mut answer = Response::new(Chunks::from(text.to_owned()));
    *answer.status_mut() = status;
    let mut header = |name: HeaderName, value| {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    };
    header(CONTENT_TYPE, "text/plain; charset=utf-8");
    match cut {
        Cut::Unauthorized => {
            header(WWW_AUTHENTICATE, "Basic realm=\"emr-serverless-spark-exporter\", charset=\"UTF-8\"");
        }
        Cut::RateLimit | Cut::PasswordQueue => header(RETRY_AFTER, "1"),
        // What follows on the connection is the body.
        _ if !is_http2 => header(CONNECTION, "close"),
        _ => {}
    }
    answer
}
