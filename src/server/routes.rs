//! What each route answers.

use bytes::Bytes;
use hyper::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{Request, Response, StatusCode};

use super::negotiate::{self, Form};
use super::route::Route;
use super::{Chunks, NotRendered, Server, Stage, document, lifecycle, series, status};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Answers a request; its body, if any, is not read.
pub(super) async fn answer<B>(server: &Server, request: &Request<B>) -> Response<Chunks> {
    let Some(route) = Route::of(request.uri().path(), &server.telemetry_path) else {
        let advice = format!("not found; the metrics are at {}\n", server.telemetry_path);
        return text(StatusCode::NOT_FOUND, advice);
    };
    if !route.methods().contains(request.method()) {
        return wrong_method(route);
    }
    match route {
        Route::Status => page(server),
        Route::Metrics => {
            let form = negotiate::form(request.headers());
            let rendered = server.content.metrics(form.format, form.gzip).await;
            metrics(&form, rendered)
        }
        Route::Healthy => text(StatusCode::OK, "healthy\n".into()),
        Route::Ready => stage(server.readiness.stage()),
        Route::Reload => lifecycle::answer(server).await,
        Route::Icon => document::icon(),
        Route::StatusJson => status_json(server),
        Route::Series => match series::parse(request.uri().query().unwrap_or_default()) {
            Ok(query) => series::respond(&server.content.series(query).await),
            Err(wrong) => series::respond(&Err(wrong)),
        },
        Route::Document(document) => document.answer(),
    }
}

fn wrong_method(route: Route) -> Response<Chunks> {
    let methods: Vec<&str> = route.methods().iter().map(|method| method.as_str()).collect();
    let advice = format!("Only {} requests allowed.\n", methods.join(" or "));
    let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, advice);
    // Made of the names of methods.
    if let Ok(allowed) = HeaderValue::try_from(methods.join(", ")) {
        refusal.headers_mut().insert(ALLOW, allowed);
    }
    refusal
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

fn stage(stage: Stage) -> Response<Chunks> {
    match stage {
        Stage::Ready => text(StatusCode::OK, "ready\n".into()),
        Stage::Starting { waiting } => text(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {waiting} targets are still without a first sweep\n"),
        ),
        Stage::Draining => text(StatusCode::SERVICE_UNAVAILABLE, "not ready: about to end\n".into()),
    }
}

fn status_json(server: &Server) -> Response<Chunks> {
    match status::json(&server.content.status()) {
        Ok(json) => document::guarded(JSON, Chunks::new([json.into()])),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn page(server: &Server) -> Response<Chunks> {
    let status = server.content.status();
    let failing = status.targets.iter().filter(|target| target.failing_since.is_some()).count();
    let title = "EMR Serverless Spark exporter";
    let body = status::render(&status, &server.telemetry_path);
    match failing {
        0 => document::page(title, body),
        // Where many tabs are open, this one tells.
        failing => document::page(format_args!("({failing} failing) {title}"), body),
    }
}

pub(super) fn text(status: StatusCode, text: String) -> Response<Chunks> {
    with_type(status, TEXT, text.into())
}

fn with_type(status: StatusCode, content_type: &'static str, body: Chunks) -> Response<Chunks> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::BoxFuture;
    use http_body_util::BodyExt;

    use hyper::Method;

    use super::*;
    use crate::model::Format;
    use crate::server::status::tests::hostile;
    use crate::server::{Content, Readiness, SeriesAnswer, SeriesError, SeriesQuery, Status};

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
            hostile()
        }

        fn series(&self, query: SeriesQuery) -> SeriesAnswer {
            Box::pin(std::future::ready(Err(SeriesError::Unknown(format!("no {}", query.metric)))))
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
        for (method, path, allowed) in [
            (Method::POST, "/metrics", ["GET", "HEAD"]),
            (Method::DELETE, "/-/docs/web", ["GET", "HEAD"]),
            (Method::GET, "/-/reload", ["POST", "PUT"]),
        ] {
            let request = Request::builder().method(method).uri(path).body(()).unwrap();
            let answer = answer(&server(), &request).await;
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(answer.headers()[ALLOW], allowed.join(", "));
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, format!("Only {} requests allowed.\n", allowed.join(" or ")));
        }
    }

    #[tokio::test]
    async fn what_a_browser_shows_may_load_and_run_nothing() {
        for path in ["/", "/api/v1/status", "/api/v1/series", "/-/docs/", "/-/docs/ledger", "/-/icon.svg"] {
            let request = Request::builder().uri(path).body(()).unwrap();
            let answer = answer(&server(), &request).await;
            let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
            let policy = header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{path}: {policy}");
            assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{path}: {policy}");
        }
    }

    #[tokio::test]
    async fn the_title_tells_how_many_fail() {
        let (status, content_type, body) = get(&server(), Method::GET, "/").await;
        assert_eq!((status, content_type.as_str()), (StatusCode::OK, "text/html; charset=utf-8"));
        assert!(body.contains("<title>(1 failing) EMR Serverless Spark exporter</title>"), "{body}");
        assert!(!body.contains("<script"), "{body}");
    }

    #[tokio::test]
    async fn a_counter_is_asked_for_by_its_name() {
        let (status, content_type, body) = get(&server(), Method::GET, "/api/v1/series?metric=up").await;
        assert_eq!((status, content_type.as_str()), (StatusCode::NOT_FOUND, JSON));
        assert_eq!(body, "{\"api_version\":1,\"error\":\"no up\"}\n");
        assert_eq!(get(&server(), Method::GET, "/api/v1/series").await.0, StatusCode::BAD_REQUEST);
        assert_eq!(get(&server(), Method::POST, "/api/v1/series").await.0, StatusCode::METHOD_NOT_ALLOWED);
    }
}
