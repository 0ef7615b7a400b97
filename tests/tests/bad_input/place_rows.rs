//! Lines 18 to 27: names, places and heads of requests.

use serde_json::json;

use crate::row::{Row, define, get, raw, row, send, start};
use crate::stage::{definition, step};

pub(crate) fn rows() -> Vec<Row> {
    [names(), places(), heads()].into_iter().flatten().collect()
}

fn names() -> Vec<Row> {
    let long = "x".repeat(129);
    let participant = |name: &str| {
        send(
            "PUT",
            format!("/v1/participants/{name}"),
            r#"{"endpoints":["http://127.0.0.1:8080"]}"#,
        )
    };
    let named = |name: &str| define(&definition(name, json!([step("only")])));
    let mut rows = vec![
        row(18, "129 characters in a path", participant(&long), 422, "bad-id"),
        row(18, ".. in a path", participant(".."), 422, "bad-id"),
        row(18, "%2e%2e in a path", participant("%2e%2e"), 422, "bad-id"),
        row(18, "..%2f.. in a path", participant("..%2f.."), 422, "bad-id"),
        row(18, "a/b in a path", participant("a/b"), 404, "route-not-found"),
        row(18, "an empty name in a path", participant(""), 404, "route-not-found"),
        row(18, "%ff in a path", get("/v1/definitions/%ff"), 422, "bad-id"),
        row(18, "%00 in a path", get("/v1/definitions/a%00"), 422, "bad-id"),
        row(18, "a bare % in a path", get("/v1/definitions/%zz"), 422, "bad-id"),
    ];
    for (input, name) in [
        ("a definition of 129 characters", long.as_str()),
        ("an empty name", ""),
        ("..", ".."),
        ("a/b", "a/b"),
        ("%2e%2e", "%2e%2e"),
        ("a name that a route has", "validate"),
    ] {
        let refused = row(18, input, named(name), 422, "definition-invalid");
        rows.push(refused.at("/name").fault("bad-id"));
    }
    for (input, id) in [("129 characters", long.as_str()), ("a reserved id", "counts")] {
        let body = json!({ "definition": "good", "id": id }).to_string();
        rows.push(row(18, input, start(body), 422, "bad-id").at("/id"));
    }
    rows
}

fn places() -> Vec<Row> {
    vec![
        row(19, "a space", get("/v1/sagas/a%20b"), 422, "bad-id"),
        row(19, "a path", get("/v1/sagas/..%2f..%2fetc%2fpasswd"), 422, "bad-id"),
        row(19, "an apostrophe", get("/v1/sagas/x'--"), 422, "bad-id"),
        row(20, "no such saga", get("/v1/sagas/no-such"), 404, "saga-not-found"),
        row(20, "the journal of none", get("/v1/sagas/no-such/journal"), 404, "saga-not-found"),
        row(20, "the events of none", get("/v1/sagas/no-such/events"), 404, "saga-not-found"),
        row(
            20,
            "a command to none",
            send("POST", "/v1/sagas/no-such/cancel", ""),
            404,
            "saga-not-found",
        ),
        row(22, "PATCH", send("PATCH", "/v1/sagas", "{}"), 405, "method-not-allowed")
            .header("allow", "POST"),
        row(22, "DELETE", send("DELETE", "/v1/sagas/x", ""), 405, "method-not-allowed")
            .header("allow", "GET"),
        row(22, "a method nobody knows", send("SAGA", "/livez", ""), 405, "method-not-allowed")
            .header("allow", "GET"),
        row(22, "TRACE", send("TRACE", "/v1/sagas", ""), 405, "method-not-allowed"),
        row(22, "GET of a callback", get("/v1/callbacks/a/b/action/c"), 405, "method-not-allowed"),
    ]
}

fn heads() -> Vec<Row> {
    let query = |bytes: usize| get(format!("/v1/sagas?q={}", "a".repeat(bytes)));
    let headed =
        |headers: &str| raw(format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n"));
    let body = "content-type: application/json\r\n";
    let both = |first: &str, second: &str| {
        raw(format!(
            "POST /v1/sagas HTTP/1.1\r\nhost: localhost\r\n{body}{first}\r\n{second}\r\n\r\n\
             2\r\n{{}}\r\n0\r\n\r\nGET /v1/smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n"
        ))
    };
    let (length, chunked) = ("content-length: 30", "transfer-encoding: chunked");
    vec![
        row(
            23,
            "a path of 20 KiB",
            get(format!("/v1/{}", "a".repeat(20_480))),
            414,
            "uri-too-long",
        ),
        row(23, "a query of 20 KiB", query(20_480), 414, "uri-too-long"),
        row(23, "a query of 15 KiB, which is read", query(15_360), 400, "bad-parameter"),
        row(23, "a query of 80 KiB", query(81_920), 431, "").closes(),
        row(24, "200 headers", headed(&"x: y\r\n".repeat(200)), 431, "").closes(),
        row(24, "64 KiB of one", headed(&format!("x: {}\r\n", "y".repeat(65_536))), 431, "")
            .closes(),
        row(
            24,
            "64 KiB of many",
            headed(&format!("x: {}\r\n", "y".repeat(1_024)).repeat(64)),
            431,
            "",
        )
        .closes(),
        row(24, "a name of 64 KiB", headed(&format!("{}: y\r\n", "x".repeat(65_536))), 431, "")
            .closes(),
        // RFC 9112, section 6.1, lets a server read the chunks, if it then closes the connection:
        // what might be a second request to somebody else is never answered.
        row(27, "a length, then chunks", both(length, chunked), 422, "missing-field").closes(),
        row(27, "chunks, then a length", both(chunked, length), 422, "missing-field").closes(),
        row(27, "two lengths", both("content-length: 2", length), 400, "").closes(),
        row(27, "a list of lengths", both("content-length: 2, 30", "x: y"), 400, "").closes(),
        row(27, "chunked, but not last", both("transfer-encoding: chunked, gzip", "x: y"), 400, "")
            .closes(),
        row(27, "a folded header", headed("x: y\r\n z\r\n"), 400, "").closes(),
        row(27, "a space before the colon", headed("content-length : 5\r\n"), 400, "").closes(),
        row(27, "not HTTP", raw("\x16\x03\x01\0\0\r\n\r\n"), 400, "").closes(),
        row(
            27,
            "HTTP/1.0 with chunks",
            raw(format!("POST /v1/sagas HTTP/1.0\r\n{body}{chunked}\r\n\r\n0\r\n\r\n")),
            400,
            "",
        )
        .closes(),
    ]
}
