//! Pages for people: the OpenAPI document, a page that shows it, and the error codes. Everything
//! is in the binary; nothing is fetched from elsewhere.

use std::sync::LazyLock;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};

use crate::state::AppState;
use crate::{openapi, reference};

const PAGE: &str = include_str!("../assets/docs.html");
const SCRIPT: &str = include_str!("../assets/docs.js");
const STYLE: &str = include_str!("../assets/docs.css");

/// The pages run their own script and read the document; nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| openapi::document().to_string().into());

static ERRORS: LazyLock<Bytes> = LazyLock::new(|| reference::page().into());

pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/openapi.json", get(|| async { asset("application/json", DOCUMENT.clone()) }))
        .route("/docs", get(|| async { page(Bytes::from_static(PAGE.as_bytes())) }))
        .route("/docs/errors", get(|| async { page(ERRORS.clone()) }))
        .route("/docs/docs.js", get(|| async { fixed("text/javascript; charset=utf-8", SCRIPT) }))
        .route("/docs/docs.css", get(|| async { fixed("text/css; charset=utf-8", STYLE) }))
}

fn fixed(media_type: &'static str, text: &'static str) -> Response {
    asset(media_type, Bytes::from_static(text.as_bytes()))
}

fn asset(media_type: &'static str, body: Bytes) -> Response {
    ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-cache")], body)
        .into_response()
}

fn page(body: Bytes) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    (HEADERS, body).into_response()
}
