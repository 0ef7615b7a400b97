//! The choice of colours, kept in a cookie so that the first paint is right.

use axum::extract::Form;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};

use crate::page::THEME_COOKIE;
use crate::security::is_same_origin;

/// `POST /console/theme`: sets the cookie and goes back to the page.
pub(crate) async fn choose(
    headers: HeaderMap,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Response {
    if !is_same_origin(&headers) {
        return (StatusCode::FORBIDDEN, "The form was not sent by a page of this console.")
            .into_response();
    }
    let field = |name: &str| {
        pairs.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value.as_str())
    };
    // Only pages of ours, so that nobody is sent elsewhere.
    let back = Some(field("back")).filter(|back| {
        back.starts_with("/console/") && back.bytes().all(|byte| byte.is_ascii_graphic())
    });
    let (theme, age) = match field("theme") {
        theme @ ("light" | "dark") => (theme, 31_536_000),
        _ => ("", 0),
    };
    let cookie =
        format!("{THEME_COOKIE}={theme}; Path=/console; Max-Age={age}; SameSite=Lax; HttpOnly");
    ([(SET_COOKIE, cookie)], Redirect::to(back.unwrap_or("/console/sagas"))).into_response()
}
