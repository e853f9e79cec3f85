//! Which path answers what.

use bytes::Bytes;
use futures_util::future::Either;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};

use super::negotiate::{self, Form};
use super::{Chunks, NotRendered, Server, Stage};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

/// For the page that a browser shows: nothing from elsewhere, no scripts, no framing.
const PAGE_HEADERS: [(HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
];

/// Answers a request; its body, if any, is not read.
pub(super) fn answer<B>(
    server: &Server,
    request: &Request<B>,
) -> impl Future<Output = Response<Chunks>> + Send + use<B> {
    let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
    if request.uri().path() != server.telemetry_path || !is_read {
        return Either::Left(std::future::ready(at_once(server, request)));
    }
    let form = negotiate::form(request.headers());
    let rendered = server.content.metrics(form.format, form.gzip);
    Either::Right(async move { metrics(&form, rendered.await) })
}

fn metrics(form: &Form, rendered: Result<Vec<Bytes>, NotRendered>) -> Response<Chunks> {
    let parts = match rendered {
        Ok(parts) => parts,
        Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    };
    let mut page = with_type(StatusCode::OK, TEXT, Chunks::new(parts));
    page.headers_mut().insert(CONTENT_TYPE, form.content_type.clone());
    page.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if form.gzip {
        page.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    page
}

/// What is there without waiting.
fn at_once<B>(server: &Server, request: &Request<B>) -> Response<Chunks> {
    let path = request.uri().path();
    let is_known =
        [server.telemetry_path.as_str(), "/", "/-/healthy", "/-/ready", "/api/v1/status"].contains(&path);
    if !is_known {
        return text(
            StatusCode::NOT_FOUND,
            format!("not found; the metrics are at {}\n", server.telemetry_path),
        );
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".into());
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    // A HEAD request gets the same head; hyper leaves the body out.
    match path {
        "/-/healthy" => text(StatusCode::OK, "healthy\n".into()),
        "/-/ready" => ready(server.readiness.stage()),
        "/api/v1/status" => status(server),
        _ => page(server),
    }
}

fn ready(stage: Stage) -> Response<Chunks> {
    match stage {
        Stage::Ready => text(StatusCode::OK, "ready\n".into()),
        Stage::Starting { waiting } => text(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {waiting} targets are still without a first sweep\n"),
        ),
        Stage::Draining => text(StatusCode::SERVICE_UNAVAILABLE, "not ready: about to end\n".into()),
    }
}

fn status(server: &Server) -> Response<Chunks> {
    match super::status::json(&server.content.status()) {
        Ok(json) => with_type(StatusCode::OK, JSON, Chunks::new(vec![json.into()])),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn page(server: &Server) -> Response<Chunks> {
    let html = super::status::render(&server.content.status(), &server.telemetry_path);
    let mut page = with_type(StatusCode::OK, HTML, html.into());
    for (name, value) in PAGE_HEADERS {
        page.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    page
}

pub(super) fn text(status: StatusCode, text: String) -> Response<Chunks> {
    with_type(status, TEXT, text.into())
}

fn with_type(status: StatusCode, content_type: &'static str, body: Chunks) -> Response<Chunks> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::BoxFuture;
    use http_body_util::BodyExt;

    use super::*;
    use crate::model::Format;
    use crate::server::{ConfigStatus, Content, FailureRow, Readiness, Status, TargetRow};

    const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

    struct Fixed;

    impl Content for Fixed {
        fn metrics(&self, format: Format, gzip: bool) -> BoxFuture<'static, Result<Vec<Bytes>, NotRendered>> {
            let parts = match (format, gzip) {
                (Format::Text, false) => {
                    Ok(vec![Bytes::from_static(b"a 1\n"), Bytes::new(), Bytes::from_static(b"b 2\n")])
                }
                (Format::OpenMetrics, false) => Ok(vec![Bytes::from_static(b"# EOF\n")]),
                (Format::Text, true) => Ok(vec![Bytes::from_static(b"(gzip)")]),
                (Format::OpenMetrics, true) => Err(NotRendered),
            };
            Box::pin(std::future::ready(parts))
        }

        fn status(&self) -> Status {
            let hostile = "<script>alert('x')</script>\"&";
            Status {
                version: "1.2.3",
                stage: Stage::Ready,
                ledger_sessions: 3,
                config: ConfigStatus::default(),
                targets: vec![TargetRow {
                    kind: "livy_sessions",
                    account: "a".into(),
                    region: "cn-hangzhou".into(),
                    workspace_id: "w-1".into(),
                    livy_compute_id: hostile.into(),
                    last_success: Some("2026-01-12T10:20:40Z".into()),
                    failing_since: Some("2026-01-12T10:21:40Z".into()),
                    last_failure: Some(FailureRow {
                        at: Some("2026-01-12T10:22:40Z".into()),
                        reason: "denied",
                        code: Some("Forbidden.RAM".into()),
                        request_id: Some("DD6B".into()),
                        message: hostile.into(),
                    }),
                    progress: Some(0.25),
                }],
            }
        }
    }

    fn server() -> Server {
        Server {
            content: Arc::new(Fixed),
            readiness: Readiness::default(),
            lifecycle: None,
            telemetry_path: "/metrics".into(),
        }
    }

    async fn get(server: &Server, method: Method, path: &str) -> (StatusCode, String, String) {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        let answer = answer(server, &request).await;
        let content_type = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, content_type, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_metrics_page_is_its_parts_in_order() {
        let (status, content_type, body) = get(&server(), Method::GET, "/metrics").await;
        assert_eq!((status, content_type.as_str(), body.as_str()), (StatusCode::OK, METRICS, "a 1\nb 2\n"));
    }

    #[tokio::test]
    async fn the_metrics_page_says_which_of_its_forms_it_is() {
        const OPEN: &str = "application/openmetrics-text";
        let ask = async |accept: &str, encoding: &str| {
            let request = Request::builder().uri("/metrics").header("accept", accept);
            let request = request.header("accept-encoding", encoding).body(()).unwrap();
            let answer = answer(&server(), &request).await;
            let header = |name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            let (kind, encoding, vary) = (header(CONTENT_TYPE), header(CONTENT_ENCODING), header(VARY));
            (answer.status().as_u16(), kind.unwrap(), encoding, vary, answer.body().len())
        };
        let (vary, gzip) = (Some("Accept, Accept-Encoding".to_owned()), Some("gzip".to_owned()));
        let open = format!("{OPEN}; version=1.0.0; charset=utf-8");
        assert_eq!(ask(OPEN, "identity").await, (200, open, None, vary.clone(), 6));
        assert_eq!(ask("*/*", "gzip").await, (200, METRICS.to_owned(), gzip, vary, 6));
        let (status, kind, encoding, ..) = ask(OPEN, "gzip").await;
        assert_eq!((status, kind.as_str(), encoding), (500, TEXT, None));
    }

    #[tokio::test]
    async fn readiness_follows_the_stage_and_health_does_not() {
        let server = server();
        server.readiness.waiting(2);
        let (status, _, body) = get(&server, Method::GET, "/-/ready").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body, "not ready: 2 targets are still without a first sweep\n");
        server.readiness.waiting(0);
        assert_eq!(get(&server, Method::GET, "/-/ready").await.0, StatusCode::OK);
        server.readiness.drain();
        assert_eq!(get(&server, Method::GET, "/-/ready").await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(get(&server, Method::GET, "/-/healthy").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_told_what_to_do() {
        let (status, _, body) = get(&server(), Method::GET, "/metric").await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::NOT_FOUND, "not found; the metrics are at /metrics\n")
        );
        assert_eq!(get(&server(), Method::POST, "/metrics").await.0, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn the_status_page_escapes_what_it_shows() {
        let (status, content_type, body) = get(&server(), Method::GET, "/").await;
        assert_eq!((status, content_type.as_str()), (StatusCode::OK, HTML));
        assert!(!body.contains("<script"), "{body}");
        assert!(body.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;"), "{body}");
        for text in ["<b>denied</b>", "25 %", "failing since 2026-01-12T10:21:40Z", "request id DD6B"] {
            assert!(body.contains(text), "{text}: {body}");
        }
    }

    #[tokio::test]
    async fn programs_get_the_status_as_json() {
        let (status, content_type, body) = get(&server(), Method::GET, "/api/v1/status").await;
        assert_eq!((status, content_type.as_str()), (StatusCode::OK, JSON));
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&json["version"], &json["stage"]), (&"1.2.3".into(), &"ready".into()));
        let target = &json["targets"][0];
        assert_eq!((&target["target"], &target["progress"]), (&"livy_sessions".into(), &0.25.into()));
        assert_eq!(target["failing_since"], "2026-01-12T10:21:40Z");
        let failure = &target["last_failure"];
        assert_eq!((&failure["code"], &failure["request_id"]), (&"Forbidden.RAM".into(), &"DD6B".into()));
    }
}
