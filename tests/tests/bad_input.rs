//! What comes over real sockets and must not get in: a problem document, the right status, nothing
//! stored.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use amends_tests::{Answer, Client, Participant, Server, ServerOptions};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest body that is taken, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_get_in_is_refused_and_nothing_is_stored() {
    let server = Server::start(ServerOptions::default()).await.unwrap();
    let client = server.client().unwrap();
    let participant = Participant::start(Duration::ZERO).await.unwrap();
    client.register("worker", &participant.spec()).await.unwrap();
    client.define(&definition("good")).await.unwrap();

    bodies_of_sagas(&client).await;
    fields_of_sagas(&client).await;
    definitions(&client).await;
    places(&client).await;

    let counts = client.get("/v1/sagas/counts").await.unwrap().body;
    let stored: u64 =
        counts["counts"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(stored, 0, "{counts}");
    let stored = client.get("/v1/definitions").await.unwrap().body;
    assert_eq!(stored["definitions"].as_array().unwrap().len(), 1, "{stored}");
    let stored = client.get("/v1/participants").await.unwrap().body;
    assert_eq!(stored["participants"].as_array().unwrap().len(), 1, "{stored}");
    assert_eq!(participant.count(), 0, "a call was made");
}

async fn bodies_of_sagas(client: &Client) {
    let deep = format!(r#"{{"definition":"good","input":{}1{}}}"#, "[".repeat(65), "]".repeat(65));
    let utf_16: String = "{}".chars().flat_map(|c| [c, '\0']).collect();
    for (what, body, status, code) in [
        ("cut off", r#"{"definition":"good""#, 400, "json-syntax"),
        ("empty", "", 400, "json-syntax"),
        ("no JSON", "definition: good", 400, "json-syntax"),
        ("two values", "{} {}", 400, "json-syntax"),
        ("a list", "[]", 422, "wrong-type"),
        ("65 levels", &deep, 400, "too-deep"),
        ("NUL", r#"{"definition":"good","input":"a\u0000b"}"#, 400, "nul-character"),
        ("a raw NUL", &utf_16, 400, "json-syntax"),
        ("a name twice", r#"{"definition":"good","definition":"good"}"#, 400, "duplicate-name"),
    ] {
        let request = client.request(Method::POST, "/v1/sagas");
        let request = request.header("content-type", "application/json").body(body.to_owned());
        check(what, &client.send(request).await.unwrap(), status, code);
    }
    let request = client.request(Method::POST, "/v1/sagas").header("content-type", "text/plain");
    let answer = client.send(request.body("{}")).await.unwrap();
    check("plain text", &answer, 415, "unsupported-media-type");
}

async fn fields_of_sagas(client: &Client) {
    for (what, body, status, code) in [
        ("an unknown field", json!({ "definition": "good", "inptu": 1 }), 422, "unknown-field"),
        ("no definition", json!({ "input": 1 }), 422, "missing-field"),
        ("an unknown name", json!({ "definition": "other" }), 404, "definition-not-found"),
        (
            "an unknown version",
            json!({ "definition": "good", "version": 9 }),
            404,
            "definition-not-found",
        ),
        ("a bad id", json!({ "definition": "good", "id": "a b" }), 422, "bad-id"),
        ("a long id", json!({ "definition": "good", "id": "x".repeat(129) }), 422, "bad-id"),
        ("a wrong type", json!({ "definition": 7 }), 422, "wrong-type"),
        (
            "labels of a wrong type",
            json!({ "definition": "good", "labels": [1] }),
            422,
            "wrong-type",
        ),
        ("no time", json!({ "definition": "good", "start_at": "soon" }), 422, "wrong-type"),
        ("a wrong input", json!({ "definition": "good", "input": "text" }), 422, "input-invalid"),
    ] {
        let answer = client.post("/v1/sagas", &body).await.unwrap();
        check(what, &answer, status, code);
    }
    let request = client.request(Method::POST, "/v1/sagas").header("idempotency-key", "a b");
    let answer = client.send(request.json(&json!({ "definition": "good" }))).await.unwrap();
    check("a bad key", &answer, 400, "bad-header");
}

async fn definitions(client: &Client) {
    let mut cycle = definition("cycle");
    cycle["steps"] = json!([step("a", &["b"]), step("b", &["a"])]);
    let mut stranger = definition("stranger");
    stranger["steps"][0]["participant"] = json!("nobody");
    let mut unknown = definition("unknown");
    unknown["stpes"] = json!([]);
    let mut number = definition("number");
    number["steps"] = json!(3);
    for (what, document, pointer) in [
        ("a cycle", cycle, "/steps"),
        ("an unknown participant", stranger, "/steps/0/participant"),
        ("an unknown field", unknown, "/stpes"),
        ("a wrong type", number, "/steps"),
    ] {
        let answer = client.post("/v1/definitions", &document).await.unwrap();
        check(what, &answer, 422, "definition-invalid");
        let faults = answer.body["faults"].as_array().unwrap();
        let is_there = |fault: &Value| fault["pointer"].as_str().unwrap().starts_with(pointer);
        assert!(faults.iter().any(is_there), "{what}: {faults:#?}");
        // As part of a start, too.
        let answer = client.post("/v1/sagas", &json!({ "definition": document })).await.unwrap();
        check(what, &answer, 422, "definition-invalid");
    }
    let answer = client.put("/v1/participants/new", &json!({ "endpoints": "x" })).await.unwrap();
    assert_eq!(answer.status, 422, "{}", answer.text);
}

async fn places(client: &Client) {
    for (path, status, code) in [
        ("/v1/nothing", 404, "route-not-found"),
        ("/v1/sagas/", 404, "route-not-found"),
        ("/v1/sagas/no-such-saga", 404, "saga-not-found"),
        ("/v1/sagas/a%20b", 422, "bad-id"),
        ("/v1/sagas/..%2f..%2fetc", 422, "bad-id"),
        ("/v1/sagas?status=done", 400, "bad-parameter"),
        ("/v1/sagas?limit=0", 400, "bad-parameter"),
        ("/v1/sagas?colour=red", 400, "bad-parameter"),
    ] {
        check(path, &client.get(path).await.unwrap(), status, code);
    }
    let answer = client.send(client.request(Method::PATCH, "/v1/sagas")).await.unwrap();
    check("a wrong method", &answer, 405, "method-not-allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_over_one_mebibyte_are_refused_with_and_without_their_length() {
    let server = Server::start(ServerOptions::default()).await.unwrap();
    let address = server.url().trim_start_matches("http://").to_owned();
    let head = "POST /v1/sagas HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";

    // Judged by its length alone: the body never comes.
    let announced = format!("{head}content-length: {}\r\n\r\n", BODY_BYTES_MAX + 1);
    let answer = converse(&address, &[announced.as_bytes()]).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body-too-large"), "{answer}");

    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
    let mut parts = vec![format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes()];
    parts.extend(std::iter::repeat_n(chunk.into_bytes(), BODY_BYTES_MAX / 0x1_0000 + 1));
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let answer = converse(&address, &parts).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body-too-large"), "{answer}");

    // One that is just long enough is read, and found to lack something else.
    let body = format!("{}{{}}", " ".repeat(BODY_BYTES_MAX - 2));
    let whole =
        format!("{head}connection: close\r\ncontent-length: {BODY_BYTES_MAX}\r\n\r\n{body}");
    let answer = converse(&address, &[whole.as_bytes()]).await;
    assert!(answer.starts_with("HTTP/1.1 422 ") && answer.contains("missing-field"), "{answer}");
}

/// Sends all parts, as far as they are taken, and reads the beginning of the answer.
async fn converse(address: &str, parts: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let mut answer = vec![0; 4096];
    let send = async {
        for part in parts {
            // The server may have answered and left already.
            if writing.write_all(part).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let receive = async {
        let mut read = 0;
        loop {
            let more = reading.read(&mut answer[read..]).await.unwrap_or(0);
            read += more;
            let text = String::from_utf8_lossy(&answer[..read]).into_owned();
            if more == 0 || text.contains("\"code\"") {
                return text;
            }
        }
    };
    let both = async {
        tokio::select! {
            () = send => String::new(),
            text = receive => text,
        }
    };
    tokio::time::timeout(Duration::from_secs(30), both).await.unwrap()
}

#[track_caller]
fn check(what: &str, answer: &Answer, status: u16, code: &str) {
    let (text, body) = (&answer.text, &answer.body);
    assert_eq!(
        (answer.status, body["code"].as_str().unwrap_or_default()),
        (status, code),
        "{what}: {text}"
    );
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}: {text}");
    assert_eq!(body["status"], status, "{what}: {text}");
    assert!(body["detail"].as_str().is_some_and(|detail| detail.len() > 5), "{what}: {text}");
}

fn definition(name: &str) -> Value {
    json!({ "name": name, "input_schema": { "type": "object" }, "steps": [step("only", &[])] })
}

fn step(id: &str, after: &[&str]) -> Value {
    json!({
        "id": id, "participant": "worker", "after": after,
        "action": { "path": "/do" }, "compensation": { "path": "/undo" },
    })
}
