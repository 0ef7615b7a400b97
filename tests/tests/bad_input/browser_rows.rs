//! Lines 97 and 99: what pages of other sites make a browser send, and frames.

use crate::row::{Ask, Row, get, raw, row, send, start};

pub(crate) fn rows() -> Vec<Row> {
    let good = || start(r#"{"definition":"good","id":"no-cross-site"}"#);
    let form = |path: &str| {
        let ask = send("POST", path, "command=cancel");
        ask.with("content-type", "application/x-www-form-urlencoded")
    };

    let line = |target: &str| {
        raw(format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
    };
    let named = |hosts: &str| {
        raw(format!("GET /v1/sagas HTTP/1.1\r\n{hosts}\r\nconnection: close\r\n\r\n"))
    };
    let elsewhere = |ask: Ask| ask.with("sec-fetch-site", "cross-site");
    vec![
        row(97, "a start from another site", elsewhere(good()), 403, "cross-site-request"),
        row(
            97,
            "a start from a sister site",
            good().with("sec-fetch-site", "same-site"),
            403,
            "cross-site-request",
        ),
        row(
            97,
            "a start from another origin",
            good().with("origin", "http://evil.example"),
            403,
            "cross-site-request",
        ),
        row(
            97,
            "a start from a page in a sandbox",
            good().with("origin", "null"),
            403,
            "cross-site-request",
        ),
        row(
            97,
            "a command from another site",
            elsewhere(send("POST", "/v1/sagas/x/cancel", "")),
            403,
            "cross-site-request",
        ),
        row(97, "another host's name", named("host: evil.example"), 403, "cross-site-request"),
        row(
            97,
            "two hosts",
            named("host: localhost\r\nhost: evil.example"),
            403,
            "cross-site-request",
        ),
        row(
            97,
            "a host in the request line",
            line("http://evil.example/v1/sagas"),
            403,
            "cross-site-request",
        ),
        row(
            97,
            "the theme, from another site",
            elsewhere(form("/console/theme")),
            403,
            "cross-site-request",
        ),
        row(99, "the console", get("/console/sagas"), 200, "")
            .header("content-security-policy", "frame-ancestors 'none'")
            .header("x-frame-options", "DENY"),
        row(99, "a page that does not exist", get("/console/sagas/no-such"), 404, "")
            .header("content-security-policy", "frame-ancestors 'none'"),
        row(99, "the docs", get("/docs"), 200, "")
            .header("content-security-policy", "frame-ancestors 'none'"),
        row(99, "data", get("/v1/sagas"), 200, "")
            .header("content-security-policy", "frame-ancestors 'none'"),
    ]
}
