//! Which path is for what, and by which methods. Invariant: this is the one place that knows the paths of the server.

use hyper::Method;

use super::docs::{self, Document};
use super::document::{ICON_PATH, ICON_PATH_USUAL};

/// What a path is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route {
    /// The status page.
    Status,
    /// The metrics page.
    Metrics,
    /// `/-/healthy`
    Healthy,
    /// `/-/ready`
    Ready,
    /// `/-/reload`
    Reload,
    /// The icon of all pages.
    Icon,
    /// `/api/v1/status`
    StatusJson,
    /// `/api/v1/series`
    Series,
    /// A page of the documentation.
    Document(&'static Document),
}

impl Route {
    /// Finds it; `telemetry_path` is that of the metrics page, which takes the place of another there.
    pub(super) fn of(path: &str, telemetry_path: &str) -> Option<Self> {
        Some(match path {
            "/-/reload" => Self::Reload,
            path if path == telemetry_path => Self::Metrics,
            "/" => Self::Status,
            "/-/healthy" => Self::Healthy,
            "/-/ready" => Self::Ready,
            ICON_PATH | ICON_PATH_USUAL => Self::Icon,
            "/api/v1/status" => Self::StatusJson,
            "/api/v1/series" => Self::Series,
            path => Self::Document(docs::find(path)?),
        })
    }

    /// The methods that it has.
    pub(super) fn methods(self) -> &'static [Method] {
        match self {
            Self::Reload => &[Method::POST, Method::PUT],
            _ => &[Method::GET, Method::HEAD],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_page_takes_the_place_of_others_but_not_of_the_reload() {
        let of = |path, telemetry_path| Route::of(path, telemetry_path);
        assert!(matches!(of("/metrics", "/metrics"), Some(Route::Metrics)));
        assert!(matches!(of("/", "/"), Some(Route::Metrics)));
        assert!(matches!(of("/", "/metrics"), Some(Route::Status)));
        assert!(matches!(of("/-/reload", "/-/reload"), Some(Route::Reload)));
        assert!(matches!(of("/-/docs/web", "/metrics"), Some(Route::Document(_))));
        for path in ["", "/metrics/", "/-/docs", "/-/docs/nothing", "/nowhere"] {
            assert!(of(path, "/metrics").is_none(), "{path}");
        }
    }

    #[test]
    fn only_a_reload_changes_anything() {
        for path in
            ["/", "/m", "/-/healthy", "/-/ready", ICON_PATH, "/api/v1/status", "/api/v1/series", "/-/docs/"]
        {
            assert_eq!(Route::of(path, "/m").unwrap().methods(), [Method::GET, Method::HEAD], "{path}");
        }
        assert_eq!(Route::of("/-/reload", "/m").unwrap().methods(), [Method::POST, Method::PUT]);
    }
}
