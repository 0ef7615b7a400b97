//! Journeys over the REST surface with the real binary: from a start to an end, and what an
//! accepted saga survives.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use amends_testbed::{Postgres, PostgresOptions};
use amends_tests::{Client, Participant, Server, ServerOptions, until};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

/// Longest wait for something that should happen at once.
const SOON: Duration = Duration::from_secs(30);

/// A coordinator and a participant that it knows as `worker`.
struct Stage {
    server: Server,
    client: Client,
    participant: Participant,
}

impl Stage {
    async fn start(database: Option<String>) -> Self {
        let settings = vec![("engine.lease-ttl", "1s")];
        let server =
            Server::start(ServerOptions { database, settings, redis: Vec::new() }).await.unwrap();
        let client = server.client().unwrap();
        let participant = Participant::start(Duration::ZERO).await.unwrap();
        client.register("worker", &participant.spec()).await.unwrap();
        client.define(&definition("two-steps", &["/do", "/do"])).await.unwrap();
        client.define(&definition("refused", &["/do", "/refuse"])).await.unwrap();
        Self { server, client, participant }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_is_answered_with_the_end() {
    let stage = Stage::start(None).await;
    for (name, status) in [("two-steps", "completed"), ("refused", "compensated")] {
        let request = stage.client.request(Method::POST, "/v1/sagas").header("prefer", "wait=30");
        let answer = stage.client.send(request.json(&json!({ "definition": name }))).await.unwrap();
        assert_eq!(
            (answer.status, &answer.body["status"]),
            (201, &json!(status)),
            "{}",
            answer.text
        );
        assert_eq!(answer.header("preference-applied"), Some("wait=30"));
        let location = answer.header("location").unwrap();
        let view = stage.client.get(location).await.unwrap().success().unwrap();
        assert_eq!((&view["id"], &view["status"]), (&answer.body["id"], &json!(status)));
    }
    let undone: Vec<String> = stage.participant.attempts().into_iter().map(|own| own.op).collect();
    assert_eq!(undone.iter().filter(|op| *op == "compensation").count(), 1, "{undone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_in_vain_is_answered_with_where_the_saga_stands() {
    let stage = Stage::start(None).await;
    stage.participant.gate(false);
    let request = stage.client.request(Method::POST, "/v1/sagas").header("prefer", "wait=1");
    let request = request.json(&json!({ "definition": "two-steps", "id": "waits" }));
    let answer = stage.client.send(request).await.unwrap();
    assert_eq!(
        (answer.status, &answer.body["status"]),
        (201, &json!("running")),
        "{}",
        answer.text
    );
    stage.participant.gate(true);
    stage.client.until_status("waits", "completed", SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_start_gives_the_same_saga_and_another_content_is_refused() {
    let stage = Stage::start(None).await;
    let start = async |key: &str, body: Value| {
        let request = stage.client.request(Method::POST, "/v1/sagas");
        stage.client.send(request.header("idempotency-key", key).json(&body)).await.unwrap()
    };
    let body = json!({ "definition": "two-steps", "input": { "n": 1 } });
    let first = start("\"key-1\"", body.clone()).await;
    let again = start("\"key-1\"", body.clone()).await;
    assert_eq!((first.status, again.status), (201, 200), "{}", again.text);
    assert_eq!(first.body["id"], again.body["id"]);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let other = start("\"key-1\"", json!({ "definition": "two-steps", "input": { "n": 2 } })).await;
    assert_eq!(other.status, 422, "{}", other.text);
    assert_eq!(other.body["code"], "idempotency-mismatch");
    let id = first.body["id"].as_str().unwrap();
    let same_id =
        stage.client.post("/v1/sagas", &json!({ "definition": "refused", "id": id })).await;
    assert_eq!(same_id.unwrap().body["code"], "idempotency-mismatch");
    stage.client.until_status(id, "completed", SOON).await.unwrap();
    assert_eq!(stage.participant.count(), 2, "{:?}", stage.participant.attempts());
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_equal_starts_at_once_make_one_saga() {
    let postgres = durable_postgres().await;
    for database in [None, Some(postgres.url())] {
        let stage = Stage::start(database).await;
        let start = async |_| {
            let request = stage.client.request(Method::POST, "/v1/sagas");
            let request = request.header("idempotency-key", "\"the-one\"");
            stage.client.send(request.json(&json!({ "definition": "two-steps" }))).await.unwrap()
        };
        let answers = join_all((0..50).map(start)).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        let found = answers.iter().filter(|answer| answer.status == 200).count();
        let last = &answers[49];
        assert_eq!((made, found), (1, 49), "{}: {}", last.status, last.text);
        let id = last.body["id"].as_str().unwrap();
        assert!(answers.iter().all(|answer| answer.body["id"] == id));
        stage.client.until_status(id, "completed", SOON).await.unwrap();
        assert_eq!(stage.participant.count(), 2, "{:?}", stage.participant.attempts());
        let list = stage.client.get("/v1/sagas").await.unwrap().body;
        assert_eq!(list["sagas"].as_array().unwrap().len(), 1, "{list}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_follow_a_saga_to_its_end() {
    let stage = Stage::start(None).await;
    stage.participant.gate(false);
    let body = json!({ "definition": "two-steps", "id": "followed" });
    stage.client.post("/v1/sagas", &body).await.unwrap().success().unwrap();
    let request = stage.client.request(Method::GET, "/v1/sagas/followed/events");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut stream = response.bytes_stream();
    let mut text = String::new();
    let mut read = async |until: Option<&str>| {
        let reading = async {
            while until.is_none_or(|words| !text.contains(words)) {
                let Some(part) = stream.next().await else { return };
                text.push_str(std::str::from_utf8(&part.unwrap()).unwrap());
            }
        };
        tokio::time::timeout(SOON, reading).await.unwrap();
    };
    read(Some("\"status\":\"running\"")).await;
    stage.participant.gate(true);
    // To the end of the stream.
    read(None).await;
    let last = text.lines().rfind(|line| line.starts_with("data:")).unwrap();
    assert!(last.contains("\"status\":\"completed\""), "{text}");
    assert!(text.lines().any(|line| line.starts_with("id:")), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_completes_a_step_once() {
    let stage = Stage::start(None).await;
    let mut definition = definition("later", &["/later"]);
    definition["steps"][0]["completion"] = json!("callback");
    definition["steps"][0]["id"] = json!("ask");
    definition["output"] = json!({ "answer": "${steps.ask.output.answer}" });
    stage.client.define(&definition).await.unwrap();
    let body = json!({ "definition": "later", "id": "called-back" });
    stage.client.post("/v1/sagas", &body).await.unwrap().success().unwrap();
    let pending = until("the call to be pending", SOON, async || {
        let view = stage.client.get("/v1/sagas/called-back").await.ok()?.body;
        (view["steps"][0]["calls"][0]["state"] == "pending").then_some(())
    });
    pending.await.unwrap();

    let url = stage.participant.attempts()[0].callback_url.clone().unwrap();
    let path = url.strip_prefix(&stage.server.url()).unwrap().to_owned();
    let (front, last) = path.split_at(path.len() - 1);
    let forged = format!("{front}{}", if last == "0" { "1" } else { "0" });
    let answer = stage.client.post(&forged, &json!({})).await.unwrap();
    assert_eq!((answer.status, &answer.body["code"]), (404, &json!("callback-not-found")));
    let answer = stage.client.post(&path, &json!({ "answer": 42 })).await.unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text);
    let answer = stage.client.post(&path, &json!({ "answer": 43 })).await.unwrap();
    assert_eq!((answer.status, &answer.body["code"]), (409, &json!("callback-late")));
    let view = stage.client.until_status("called-back", "completed", SOON).await.unwrap();
    assert_eq!(view["output"], json!({ "answer": 42 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_while_draining_is_refused_and_not_stored() {
    let mut stage = Stage::start(None).await;
    stage.participant.gate(false);
    let body = json!({ "definition": "two-steps", "id": "before" });
    stage.client.post("/v1/sagas", &body).await.unwrap().success().unwrap();
    let called =
        until("the first call", SOON, async || (stage.participant.count() == 1).then_some(()));
    called.await.unwrap();

    stage.server.signal("TERM").unwrap();
    let draining = until("the drain", SOON, async || {
        let answer = stage.client.get("/readyz").await.ok()?;
        (answer.status == 503).then_some(())
    });
    draining.await.unwrap();
    let body = json!({ "definition": "two-steps", "id": "too-late" });
    let answer = stage.client.post("/v1/sagas", &body).await.unwrap();
    assert_eq!((answer.status, &answer.body["code"]), (503, &json!("draining")), "{}", answer.text);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(answer.body["retryable"], true);

    stage.participant.gate(true);
    assert!(stage.server.wait(SOON).await.unwrap().success());
    stage.server.launch().unwrap();
    stage.server.until_ready().await.unwrap();
    assert_eq!(stage.client.get("/v1/sagas/too-late").await.unwrap().status, 404);
    stage.client.until_status("before", "completed", SOON).await.unwrap();
    assert_eq!(stage.participant.count(), 2, "{:?}", stage.participant.attempts());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_saga_survives_a_kill_right_after_the_answer() {
    let postgres = durable_postgres().await;
    for database in [None, Some(postgres.url())] {
        let mut stage = Stage::start(database).await;
        for round in 0..5 {
            let id = format!("survivor-{round}");
            let body = json!({ "definition": "two-steps", "id": id });
            let answer = stage.client.post("/v1/sagas", &body).await.unwrap();
            stage.server.kill().unwrap();
            assert_eq!(answer.status, 201, "{}", answer.text);
            stage.server.launch().unwrap();
            stage.server.until_ready().await.unwrap();
            stage.client.until_status(&id, "completed", SOON).await.unwrap();
        }
    }
}

fn definition(name: &str, paths: &[&str]) -> Value {
    let steps = paths.iter().enumerate().map(|(index, path)| {
        json!({
            "id": format!("step-{index}"), "participant": "worker",
            "action": { "path": path }, "compensation": { "path": "/undo" },
        })
    });
    json!({ "name": name, "steps": steps.collect::<Vec<_>>() })
}

async fn durable_postgres() -> Postgres {
    let options = PostgresOptions { durable: true, ..PostgresOptions::default() };
    Postgres::start_with(options).await.unwrap()
}
