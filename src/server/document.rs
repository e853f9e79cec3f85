//! What every page for people has in common. Invariant: nothing is loaded from elsewhere, no script runs, no frame shows
//! it, and the one style is known by its hash.

use std::fmt::Display;
use std::sync::LazyLock;

use base64::Engine;
use bytes::Bytes;
use hyper::Response;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use sha2::{Digest, Sha256};

use super::Chunks;
use super::status::Escaped;

/// Where the icon is.
pub(super) const ICON_PATH: &str = "/-/icon.svg";
/// Where browsers look for one where an answer is no page.
pub(super) const ICON_PATH_USUAL: &str = "/favicon.ico";
const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = include_str!("style.css");
const ICON: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\"><rect width=\"16\" height=\"16\" \
    rx=\"3\" fill=\"#0550ae\"/><path d=\"M3 12h2V8H3zm4 0h2V4H7zm4 0h2V6h-2z\" fill=\"#fff\"/></svg>";

/// Of answers that are no pages.
const POLICY_STRICT: &str = "default-src 'none'; frame-ancestors 'none'";

/// Nothing but this one style and the icon.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// A page of this title; `body` is HTML.
pub(super) fn page(title: impl Display, body: impl Display) -> Response<Chunks> {
    ready(html(title, body).into())
}

/// A page that has been made before.
pub(super) fn ready(html: Bytes) -> Response<Chunks> {
    guarded(HTML, Chunks::new([html]))
}

/// The whole text of a page.
pub(super) fn html(title: impl Display, body: impl Display) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{}</title>\
         <link rel=\"icon\" type=\"image/svg+xml\" href=\"{ICON_PATH}\"><style>{STYLE}</style></head>\n\
         <body>{body}</body></html>\n",
        Escaped(title),
    )
}

/// The icon of all pages.
pub(super) fn icon() -> Response<Chunks> {
    guarded("image/svg+xml", ICON.to_owned().into())
}

/// An answer that a browser may show as one of the pages for people.
pub(super) fn guarded(content_type: &'static str, body: Chunks) -> Response<Chunks> {
    let policy = HeaderValue::from_str(&POLICY).unwrap_or(HeaderValue::from_static(POLICY_STRICT));
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Has a browser do no more with an answer than to show it: with any of them, as names of others are in most.
pub(super) fn guard(headers: &mut HeaderMap) {
    let fixed: [(HeaderName, &'static str); 5] = [
        (CONTENT_SECURITY_POLICY, POLICY_STRICT),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}
