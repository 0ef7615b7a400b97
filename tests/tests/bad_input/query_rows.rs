//! Lines 92, 95 and 96: conditions, filters and pages.

use crate::row::{Row, get, row, send};

pub(crate) fn rows() -> Vec<Row> {
    let worker = |name, value: &str| {
        let body = r#"{"endpoints":["http://127.0.0.1:8080"]}"#;
        send("PUT", "/v1/participants/worker", body).with(name, value)
    };
    let mut rows = vec![
        row(92, "a stale If-Match", worker("if-match", "\"99\""), 412, "revision-mismatch"),
        row(92, "If-None-Match: *", worker("if-none-match", "*"), 412, "revision-mismatch"),
        row(92, "no ETag", worker("if-match", "99"), 400, "bad-header"),
        row(92, "a list of them", worker("if-match", "\"1\", \"2\""), 400, "bad-header"),
        row(95, "q=%", get("/v1/sagas?q=%25"), 400, "bad-parameter"),
        row(
            95,
            "1,000 terms",
            get(format!("/v1/sagas?{}", "label=a:b&".repeat(1_000))),
            400,
            "bad-parameter",
        ),
        row(95, "10,000 terms", get(format!("/v1/sagas?{}", "label=a:b&".repeat(10_000))), 431, ""),
        row(95, "NUL", get("/v1/sagas?q=a%00"), 400, "nul-character"),
    ];
    for query in [
        "status=';%20drop%20table%20saga",
        "status=done",
        "definition=%25",
        "definition=a'%20or%20'1'='1",
        "q=a_b%25",
        "colour=red",
        "label=noname",
        "label=:value",
        "key=",
        "from=yesterday",
        "from=-1",
        "from=99999-01-01T00:00:00Z",
        "status=running&limit=5&limit=6",
    ] {
        rows.push(row(
            95,
            "a filter that is none",
            get(format!("/v1/sagas?{query}")),
            400,
            "bad-parameter",
        ));
    }
    for path in [
        "/v1/sagas?cursor=forged",
        "/v1/sagas?cursor=MTIzOydkcm9w",
        "/v1/sagas?cursor=%27%3B--",
        "/v1/sagas?limit=1000000000",
        "/v1/sagas?limit=1e9",
        "/v1/sagas?limit=-1",
        "/v1/sagas?limit=0",
        "/v1/sagas/x/journal?from=-1",
        "/v1/sagas/x/journal?limit=501",
        "/v1/definitions?limit=99999999999999999999",
        "/v1/locks?limit=501",
    ] {
        rows.push(row(96, "a page that is none", get(path), 400, "bad-parameter"));
    }
    rows
}
