//! What happens around every request, in one layer, so that it costs little: request id, span,
//! bounds on requests and event streams, checks of host and site, time-out, panics, security
//! headers, metrics.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use http_body_util::BodyExt as _;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::problem::RequestFailure;
use crate::state::AppState;
use crate::{ErrorCode, Problem, headers, host};

/// Names a request in logs, and in the answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is taken over from the caller.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Longest path and query, in bytes: a list that asks for every bound of it but its labels fits.
const URI_BYTES_MAX: usize = 16 * 1024;

/// What a browser says about where a request comes from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Routes that answer however much there is to do.
const ALWAYS: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// The media type of event streams.
const EVENT_STREAM: &[u8] = b"text/event-stream";

/// Name of the route of requests that match none.
const NO_ROUTE: &str = "none";

/// The layer.
pub(crate) async fn edge(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let started = tokio::time::Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let method = method_name(request.method());
    let (id, header) = request_id(&state, request.headers());
    let span = span(&state, method, route, &id, request.headers());
    let mut response = answer(&state, route, request, next).instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.record("http.response.status_code", status);
    if let Some(failure) = response.extensions_mut().remove::<RequestFailure>() {
        failure.log(method, route, &id);
    }
    harden(response.headers_mut());
    response.headers_mut().insert(REQUEST_ID, header);
    state.engine.metrics().http(route, method, status, started.elapsed().as_secs_f64());
    response
}

/// The span of a request; none where nothing records spans.
fn span(state: &AppState, method: &str, route: &str, id: &str, headers: &HeaderMap) -> Span {
    if !state.config.tracing.records() {
        return Span::none();
    }
    let span = tracing::info_span!(
        "http.request",
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        request.id = id,
        saga.id = Empty,
        otel.kind = "server",
    );
    if let Some(traceparent) = headers::traceparent(headers) {
        state.config.tracing.adopt(&span, traceparent);
    }
    span
}

async fn answer(state: &AppState, route: &str, request: Request, next: Next) -> Response {
    let permit = match (ALWAYS.contains(&route), state.requests.try_acquire()) {
        (_, Ok(permit)) => Some(permit),
        (true, Err(_)) => None,
        (false, Err(_)) => return overloaded(state).into_response(),
    };
    let checked = host::check(&request, state.config.host_names.as_deref())
        .and_then(|()| check_length(request.uri()))
        .and_then(|()| check_site(state, &request));
    if let Err(problem) = checked {
        return problem.into_response();
    }
    let wait = headers::wait(request.headers(), state.config.wait_max).unwrap_or_default();
    let bound = state.config.request_timeout + wait;
    let running = AssertUnwindSafe(next.run(request)).catch_unwind();
    let response = match tokio::time::timeout(bound, running).await {
        Ok(Ok(response)) => admit_stream(state, response),
        Ok(Err(panic)) => Problem::internal(panic_text(&*panic)).into_response(),
        Err(_) => timed_out(bound).into_response(),
    };
    drop(permit);
    response
}

/// Takes a place for an answer that goes on and on, until its body is dropped.
fn admit_stream(state: &AppState, response: Response) -> Response {
    let media = response.headers().get(header::CONTENT_TYPE);
    if !media.is_some_and(|own| own.as_bytes().starts_with(EVENT_STREAM)) {
        return response;
    }
    let Ok(place) = Arc::clone(&state.streams).try_acquire_owned() else {
        let max = state.config.sse_clients_max;
        let detail = format!("{max} event streams are open, as many as allowed (sse_clients_max)");
        return Problem::new(ErrorCode::Overloaded, detail).into_response();
    };
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _held = &place;
            frame
        }))
    })
}

fn overloaded(state: &AppState) -> Problem {
    let bound = state.config.requests_max;
    let detail = format!("the server is at its bound of {bound} requests at once (requests_max)");
    Problem::new(ErrorCode::Overloaded, detail)
}

fn timed_out(bound: Duration) -> Problem {
    let detail = format!("no answer was found within {} ms (request_timeout)", bound.as_millis());
    Problem::new(ErrorCode::TimedOut, detail)
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a handler panicked: {}", text.unwrap_or_default())
}

/// Metrics must not grow with whatever somebody sends as a method.
fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        _ => "other",
    }
}

/// The caller's request id if it can stand in a log, or a new one.
fn request_id(state: &AppState, headers: &HeaderMap) -> (String, HeaderValue) {
    let given = headers.get(REQUEST_ID).filter(|value| {
        let bytes = value.as_bytes();
        (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    });
    if let Some((header, Ok(text))) = given.map(|header| (header, header.to_str())) {
        return (text.to_owned(), header.clone());
    }
    let id = state.request_id();
    // Hex digits and a hyphen are always a header value.
    let header = HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("-"));
    (id, header)
}

/// HTTP itself would take up to 64 KiB.
fn check_length(uri: &Uri) -> Result<(), Problem> {
    let length = uri.path_and_query().map_or(0, |own| own.as_str().len());
    if length <= URI_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("path and query have {length} bytes, at most {URI_BYTES_MAX} are allowed");
    Err(Problem::new(ErrorCode::UriTooLong, detail))
}

/// Refuses what a page of another site makes a browser send. Programs send neither header.
fn check_site(state: &AppState, request: &Request) -> Result<(), Problem> {
    if request.method().is_safe() {
        return Ok(());
    }
    let headers = request.headers();
    let public = state.config.public_url.trim_end_matches('/');
    let origin = headers.get(header::ORIGIN).map(|own| own.to_str().unwrap_or("null"));
    if !public.is_empty() && origin == Some(public) {
        return Ok(());
    }
    let is_own = match (headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes), origin) {
        (Some(b"same-origin" | b"none"), _) | (None, None) => true,
        (Some(_), _) => false,
        (None, Some(origin)) => {
            let authority = origin.split_once("://").map(|(_, authority)| authority.as_bytes());
            authority.is_some() && authority == headers.get(header::HOST).map(HeaderValue::as_bytes)
        }
    };
    if is_own {
        return Ok(());
    }
    let detail = "the request comes from a page of another site; browsers may send changes only \
                  from this server's own pages (public_url)";
    Err(Problem::new(ErrorCode::CrossSiteRequest, detail))
}

/// Answers are data, not pages: nothing may be guessed, framed, run or kept.
fn harden(headers: &mut HeaderMap) {
    const DEFAULTS: [(HeaderName, HeaderValue); 4] = [
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        ),
    ];
    for (name, value) in DEFAULTS {
        headers.entry(name).or_insert(value);
    }
}
