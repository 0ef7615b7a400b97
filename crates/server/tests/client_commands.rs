//! The client commands against a server that answers what the API promises: tables, JSON, problem
//! documents and events, through the real binary.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::convert::Infallible;
use std::fmt::Write as _;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

/// What the server was asked: method, path with query, headers that matter, body.
type Asked = Arc<Mutex<Vec<String>>>;

/// What came of a run.
#[derive(Debug)]
struct End {
    status: i32,
    out: String,
    err: String,
}

/// A server of canned answers, and what it was asked.
struct Server {
    url: String,
    asked: Asked,
}

impl Server {
    async fn start() -> Self {
        let asked = Asked::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&asked));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
        Self { url, asked }
    }

    async fn amends(&self, arguments: &[&str]) -> End {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let url = self.url.clone();
        let run = tokio::task::spawn_blocking(move || {
            Command::new(env!("CARGO_BIN_EXE_amends"))
                .args(arguments)
                .env_clear()
                .env("AMENDS_URL", url)
                .output()
                .unwrap()
        });
        let output = run.await.unwrap();
        End {
            status: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().drain(..).collect()
    }
}

async fn answer(State(asked): State<Asked>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut line = format!("{} {}", parts.method, parts.uri);
    for name in ["idempotency-key", "prefer", "amends-actor"] {
        if let Some(value) = parts.headers.get(name) {
            write!(line, " {name}={}", value.to_str().unwrap()).unwrap();
        }
    }
    if !body.is_empty() {
        write!(line, " {}", String::from_utf8_lossy(&body)).unwrap();
    }
    asked.lock().unwrap().push(line);
    match (parts.method.as_str(), parts.uri.path()) {
        ("GET", "/v1/sagas") if parts.uri.query().is_some_and(|q| q.contains("cursor=c1")) => {
            Json(json!({ "sagas": [summary("order-2", "compensated")], "next": null }))
                .into_response()
        }
        ("GET", "/v1/sagas") => {
            Json(json!({ "sagas": [summary("order-1", "completed")], "next": "c1" }))
                .into_response()
        }
        ("POST", "/v1/sagas") | ("GET", "/v1/sagas/order-1") => {
            Json(saga("order-1", "completed")).into_response()
        }
        ("GET", "/v1/sagas/stuck" | "/v1/sagas/moving/none") => {
            Json(saga("stuck", "suspended")).into_response()
        }
        ("GET", "/v1/sagas/moving") => {
            let is_first = asked.lock().unwrap().len() == 1;
            Json(saga("moving", if is_first { "running" } else { "completed" })).into_response()
        }
        ("GET", "/v1/sagas/moving/events") => {
            let events = [": heartbeat\n\nevent: saga\nid: 4\ndata: {\"id\":\"moving\"}\n\n"];
            let body =
                Body::from_stream(futures_util::stream::iter(events.map(Ok::<_, Infallible>)));
            ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
        }
        ("POST", "/v1/sagas/order-1/cancel") => problem(&json!({
            "type": "/docs/errors#saga-ended", "title": "The saga has ended", "status": 409,
            "code": "saga-ended", "detail": "saga order-1 has completed", "retryable": false,
            "allowed": [],
        })),
        ("POST", "/v1/sagas/order-1/steps/pay/resolve-succeeded") => {
            Json(saga("order-1", "running")).into_response()
        }
        ("GET", "/v1/locks") => {
            let lock = json!({ "key": "sku:42", "token": 1201, "holder": place(), "waiting": 3 });
            Json(json!({ "locks": [lock], "next": "c1" })).into_response()
        }
        ("GET", "/v1/locks/sku%3A42" | "/v1/locks/sku:42") => Json(lock()).into_response(),
        ("POST", "/v1/locks/sku%3A42/release" | "/v1/locks/sku:42/release") => Json(
            json!({ "key": "sku:42", "token": 1202, "holder": null, "waiting": 0, "queue": [] }),
        )
        .into_response(),
        ("GET", "/v1/sagas/trip") => Json(transaction("running")).into_response(),
        ("POST", "/v1/sagas/trip/commit" | "/v1/sagas/trip/rollback" | "/v1/sagas/trip/extend") => {
            Json(transaction("confirming")).into_response()
        }
        ("GET", "/v1/participants") => problem(&json!({
            "type": "/docs/errors#store-unavailable", "title": "t", "status": 503,
            "code": "store-unavailable", "detail": "the database does not answer",
            "retryable": true,
        })),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn problem(document: &Value) -> Response {
    let status = u16::try_from(document["status"].as_u64().unwrap()).unwrap();
    let mut response =
        (StatusCode::from_u16(status).unwrap(), document.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, "application/problem+json".parse().unwrap());
    headers.insert(header::RETRY_AFTER, "7".parse().unwrap());
    response
}

fn summary(id: &str, status: &str) -> Value {
    json!({
        "id": id, "status": status, "definition": "place-order", "step": null,
        "labels": { "shop": "berlin" },
        "created_at": "2026-11-22T13:06:00.123Z", "updated_at": "2026-11-22T13:06:01Z",
    })
}

fn saga(id: &str, status: &str) -> Value {
    json!({
        "id": id, "definition": "place-order", "version": 3, "status": status, "paused": false,
        "explanation": "what happens next", "labels": {}, "lock_keys": ["sku:42"],
        "created_at": "2026-11-22T13:06:00Z", "updated_at": "2026-11-22T13:06:01Z",
        "steps": [{
            "id": "pay", "kind": "tcc", "participant": "payment",
            "status": if status == "running" { "running" } else { "succeeded" }, "pivot": true,
            "calls": [
                { "op": "try", "state": "succeeded", "attempts": 2, "problem": null },
                { "op": "confirm", "state": "waiting_retry", "attempts": 1,
                  "next_attempt_at": "2026-11-22T13:06:05Z",
                  "problem": { "kind": "retryable", "status": 503, "detail": "busy" } },
            ],
        }],
        "allowed": ["pause"],
    })
}

fn place() -> Value {
    json!({
        "saga": "order-1", "definition": "place-order", "status": "running",
        "since": "2026-11-22T13:06:00.123Z",
    })
}

fn lock() -> Value {
    let mut waiter = place();
    waiter["saga"] = json!("order-2");
    waiter["status"] = json!("queued");
    waiter["position"] = json!(1);
    json!({ "key": "sku:42", "token": 1201, "holder": place(), "waiting": 1, "queue": [waiter] })
}

/// An interactive transaction that is itself a branch of another saga.
fn transaction(status: &str) -> Value {
    let mut trip = saga("trip", status);
    trip["mode"] = json!("interactive");
    trip["version"] = Value::Null;
    trip["parent"] = json!({ "saga": "holiday", "branch": "trip" });
    trip["lock"] = json!({ "keys": [
        { "key": "seat:1", "token": 7, "position": 0, "holder": "trip" },
        { "key": "seat:2", "token": null, "position": 2, "holder": "other" },
    ] });
    trip["steps"][0]["child"] = json!("trip.pay");
    trip["steps"][0]["status"] = json!("with_client");
    trip
}

fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_tables_for_people_and_pages_for_programs() {
    let server = Server::start().await;
    let end =
        server.amends(&["saga", "list", "--status", "completed", "--label", "shop=berlin"]).await;
    assert_eq!(end.status, 0, "{end:?}");
    assert_has(&end.out, &["ID ", "order-1  completed  place-order", "shop=berlin", "--cursor c1"]);
    assert!(!end.out.contains('\u{1b}'), "colour without a terminal");
    assert_eq!(server.asked(), ["GET /v1/sagas?status=completed&label=shop%3Aberlin&limit=50"]);

    let end = server.amends(&["saga", "list", "--all", "--json"]).await;
    let answer: Value = serde_json::from_str(&end.out).unwrap();
    assert_eq!(answer["sagas"].as_array().unwrap().len(), 2);
    assert_eq!(answer["next"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_is_shown_step_by_step() {
    let server = Server::start().await;
    let end = server.amends(&["saga", "show", "order-1"]).await;
    assert_eq!(end.status, 0, "{end:?}");
    assert_has(
        &end.out,
        &[
            "saga order-1 is completed",
            "what happens next",
            "definition: place-order version 3",
            "lock keys: sku:42",
            "pay (pivot)",
            "retryable, 503, busy, next try 2026-11-22T13:06:05Z",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_sends_what_was_given_and_waits() {
    let server = Server::start().await;
    let end = server
        .amends(&[
            "saga",
            "start",
            "place-order",
            "--input",
            r#"{"sku":"42"}"#,
            "--id",
            "order-1",
            "--label",
            "shop=berlin",
            "--version",
            "3",
            "--idempotency-key",
            "k",
            "--wait",
            "--wait-max",
            "20s",
        ])
        .await;
    assert_eq!(end.status, 0, "{end:?}");
    let asked = server.asked();
    let (head, body) = asked[0].split_once(" {").unwrap();
    assert_eq!(head, "POST /v1/sagas idempotency-key=k prefer=wait=20");
    assert_eq!(
        serde_json::from_str::<Value>(&format!("{{{body}")).unwrap(),
        json!({
            "definition": "place-order", "version": 3, "id": "order-1",
            "input": { "sku": "42" }, "labels": { "shop": "berlin" },
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_why_and_has_its_own_exit_status() {
    let server = Server::start().await;
    let end =
        server.amends(&["saga", "cancel", "order-1", "--reason", "typo", "--actor", "ann"]).await;
    assert_eq!(end.status, 3, "{end:?}");
    assert_has(
        &end.err,
        &["saga order-1 has completed", "saga-ended (HTTP 409)", "/docs/errors#saga-ended"],
    );
    let expected = r#"POST /v1/sagas/order-1/cancel amends-actor=ann {"reason":"typo"}"#;
    assert_eq!(server.asked(), [expected]);

    let end = server.amends(&["participant", "list"]).await;
    assert_eq!(end.status, 1, "an overloaded server is no refusal: {end:?}");
    assert_has(&end.err, &["the database does not answer", "try again in 7 s"]);

    let end = server.amends(&["definition", "show", "x"]).await;
    assert_eq!(end.status, 1, "{end:?}");
    assert_has(&end.err, &["404 Not Found without a problem document", "is this an amends server"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_resolved_with_its_output() {
    let server = Server::start().await;
    let resolve = ["saga", "resolve", "order-1", "pay", "--as"];
    let of = |more: &[&'static str]| [&resolve[..], more].concat();
    let end = server.amends(&of(&["succeeded", "--op", "try", "--output", "{\"a\":1}"])).await;
    assert_eq!(end.status, 0, "{end:?}");
    let path = "POST /v1/sagas/order-1/steps/pay/resolve-succeeded";
    assert_eq!(server.asked(), [format!(r#"{path} {{"op":"try","output":{{"a":1}}}}"#)]);

    // Without the operation it might be taken of a call that nobody has looked into.
    let end = server.amends(&of(&["succeeded"])).await;
    assert_eq!(end.status, 2, "{end:?}");
    assert_has(&end.err, &["--op"]);
    let end = server.amends(&of(&["undone", "--op", "try"])).await;
    assert_eq!(end.status, 2, "{end:?}");
    assert!(server.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_follows_events_to_the_end() {
    let server = Server::start().await;
    let end = server.amends(&["saga", "watch", "moving"]).await;
    assert_eq!(end.status, 0, "{end:?}");
    let lines: Vec<&str> = end.out.lines().collect();
    assert_eq!(
        lines,
        [
            "2026-11-22T13:06:01Z  saga moving running",
            "2026-11-22T13:06:01Z    pay running",
            "2026-11-22T13:06:01Z  saga moving completed",
            "2026-11-22T13:06:01Z    pay succeeded",
        ]
    );
    let asked = server.asked();
    assert_eq!(asked[..2], ["GET /v1/sagas/moving", "GET /v1/sagas/moving/events"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_are_listed_shown_and_taken_away() {
    let server = Server::start().await;
    let end = server.amends(&["locks", "--prefix", "sku:"]).await;
    assert_eq!(end.status, 0, "{end:?}");
    assert_has(&end.out, &["KEY ", "sku:42  1201   order-1  running", "more: --cursor c1"]);
    assert_eq!(server.asked(), ["GET /v1/locks?limit=50&prefix=sku%3A"]);

    let end = server.amends(&["locks", "sku:42"]).await;
    assert_eq!(end.status, 0, "{end:?}");
    let parts = [
        "sku:42 is held by saga order-1 (place-order, running)",
        "token: 1201",
        "waiting: 1",
        "1      order-2  queued",
    ];
    assert_has(&end.out, &parts);
    server.asked();

    let release = ["locks", "release", "sku:42", "--reason", "gone for good", "--actor", "ann"];
    let end = server.amends(&release).await;
    assert_eq!(end.status, 0, "{end:?}");
    assert_has(&end.out, &["sku:42 was taken away", "held by nobody just now"]);
    let asked = server.asked();
    assert_has(
        &asked[0],
        &["POST /v1/locks/sku", r#"amends-actor=ann {"reason":"gone for good"}"#],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interactive_transaction_is_shown_and_decided() {
    let server = Server::start().await;
    let end = server.amends(&["saga", "show", "trip"]).await;
    assert_eq!(end.status, 0, "{end:?}");
    let parts = [
        "definition: place-order, an interactive transaction",
        "part of: saga holiday, branch trip",
        "lock keys: seat:1 (token 7), seat:2 (waits, 2 before it, held by other)",
        "with_client  saga trip.pay",
    ];
    assert_has(&end.out, &parts);
    server.asked();
    for (arguments, expected) in [
        (&["commit", "trip"][..], "POST /v1/sagas/trip/commit {}"),
        (&["rollback", "trip"], "POST /v1/sagas/trip/rollback {}"),
        (
            &["extend", "trip", "--deadline", "5m"],
            r#"POST /v1/sagas/trip/extend {"deadline":"5m"}"#,
        ),
    ] {
        let end = server.amends(&[&["saga"], arguments].concat()).await;
        assert_eq!(end.status, 0, "{end:?}");
        assert_has(&end.out, &["saga trip is confirming"]);
        assert_eq!(server.asked(), [expected]);
    }
}
