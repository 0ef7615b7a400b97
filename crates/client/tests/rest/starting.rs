//! Start requests and their waits.

use std::time::Duration;

use amends_client::rest::Status;
use serde::Deserialize;
use serde_json::json;

use crate::script::{Script, json_reply, saga};

#[tokio::test]
async fn a_start_says_all_that_was_asked_for() {
    let script = Script::of([json_reply(201, &saga("queued", 1))]).await;
    script
        .client()
        .start("d")
        .version(3)
        .id("order-1")
        .input(&json!({"n": 1}))
        .label("shop", "berlin")
        .label("kind", "web")
        .deadline(Duration::from_millis(1500))
        .start_at("2026-11-22T14:00:00Z".parse().unwrap())
        .key("k")
        .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .send()
        .await
        .unwrap();
    let heard = script.end();
    assert_eq!(
        heard[0].json(),
        json!({"definition": "d", "version": 3, "id": "order-1", "input": {"n": 1},
            "labels": {"shop": "berlin", "kind": "web"}, "deadline": "1500ms",
            "start_at": "2026-11-22T14:00:00Z"})
    );
    assert_eq!(heard[0].header("content-type"), Some("application/json"));
    assert!(heard[0].header("traceparent").is_some());
    assert_eq!(heard[0].header("prefer"), None);
}

#[derive(Debug, PartialEq, Deserialize)]
struct Output {
    n: u32,
}

#[tokio::test]
async fn a_wait_is_asked_for_again_under_the_same_key() {
    let script = Script::of([
        json_reply(201, &saga("running", 2)),
        json_reply(200, &saga("running", 3)),
        json_reply(200, &saga("completed", 9)),
    ])
    .await;
    let wait = Duration::from_secs(90);
    let saga = script.client().start_ad_hoc(&json!({"steps": []})).wait(wait).send().await.unwrap();
    assert!(saga.is_completed() && saga.is_ended());
    assert_eq!(saga.output_as::<Output>().unwrap(), Output { n: 7 });
    let heard = script.end();
    for request in &heard {
        assert_eq!(request.json(), json!({"definition": {"steps": []}}));
        assert_eq!(request.header("prefer"), Some("wait=60"));
        assert_eq!(request.header("idempotency-key"), heard[0].header("idempotency-key"));
    }
}

#[tokio::test]
async fn a_wait_that_is_over_gives_the_saga_as_it_is() {
    let script = Script::of([json_reply(201, &saga("running", 2))]).await;
    let wait = Duration::from_millis(100);
    let saga = script.client().start("d").wait(wait).send().await.unwrap();
    assert_eq!(saga.status, Status::Running);
    assert_eq!(script.end()[0].header("prefer"), Some("wait=1"));
}
