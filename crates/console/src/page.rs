//! What all pages have in common: theme, links, the time, and how a page becomes an answer.

use std::convert::Infallible;

use amends_core::Timestamp;
use askama::Template;
use axum::extract::FromRequestParts;
use axum::response::{Html, IntoResponse, Response};
use http::header::{COOKIE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::assets::AssetLinks;

/// Name of the cookie that keeps the choice of theme.
pub(crate) const THEME_COOKIE: &str = "amends_theme";

/// The frame around a page's content.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// `light`, `dark`, or empty: as the system has it.
    pub(crate) theme: &'static str,
    /// Path and query of this page, for the forms that come back to it.
    pub(crate) here: String,
    pub(crate) links: AssetLinks,
}

impl<S: Sync> FromRequestParts<S> for Frame {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let here = parts.uri.path_and_query().map_or("/console/sagas", |here| here.as_str());
        Ok(Self { theme: theme(&parts.headers), here: here.to_owned(), links: AssetLinks::new() })
    }
}

fn theme(headers: &HeaderMap) -> &'static str {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let chosen = cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == THEME_COOKIE);
    match chosen {
        Some((_, "light")) => "light",
        Some((_, "dark")) => "dark",
        _ => "",
    }
}

/// A page that says what is wrong and what to do.
#[derive(Debug, Template)]
#[template(path = "problem.html")]
pub(crate) struct ProblemPage {
    pub(crate) frame: Frame,
    pub(crate) now: Timestamp,
    pub(crate) title: String,
    pub(crate) detail: String,
    pub(crate) advice: String,
}

/// Renders `page` with `status`.
pub(crate) fn respond(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made.").into_response()
        }
    }
}

/// The page for a store that does not answer.
pub(crate) fn store_away(
    frame: Frame,
    now: Timestamp,
    error: &amends_ports::store::Error,
) -> Response {
    tracing::warn!(%error, "the console could not read the store");
    let page = ProblemPage {
        frame,
        now,
        title: "The store does not answer".to_owned(),
        detail: error.to_string(),
        advice: "Sagas are safe: what was accepted goes on when the store is back. Look at \
                 /readyz and at the coordinator's log, then load this page again."
            .to_owned(),
    };
    let mut response = respond(StatusCode::SERVICE_UNAVAILABLE, &page);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

/// The page for something that is not there.
pub(crate) fn not_found(frame: Frame, now: Timestamp, title: &str, detail: String) -> Response {
    let page = ProblemPage {
        frame,
        now,
        title: title.to_owned(),
        detail,
        advice: "Ids are matched whole and with their case. Ended sagas are deleted after their \
                 retention, so an old one may be gone."
            .to_owned(),
    };
    respond(StatusCode::NOT_FOUND, &page)
}
