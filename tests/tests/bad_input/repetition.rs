//! Lines 42 to 46: repeated starts.

use std::sync::Arc;

use amends_tests::{Answer, ServerOptions, until};
use anyhow::ensure;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::scenario::{Scenario, scenario};
use crate::stage::{SOON, Stage};

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(42, "same key, same body", "200, same id, Idempotent-Replayed", same_body),
    scenario!(43, "same key, other body", "422 idempotency-mismatch", other_body),
    scenario!(44, "same key, at once", "one 201, the others wait and get 200", at_once),
    scenario!(46, "same key, after retention", "201, a new saga", after_retention),
];

async fn start(stage: &Stage, key: &str, body: &Value) -> anyhow::Result<Answer> {
    let request = stage.client.request(Method::POST, "/v1/sagas").header("idempotency-key", key);
    stage.client.send(request.json(body)).await
}

async fn same_body(stage: Arc<Stage>) -> anyhow::Result<()> {
    let body = json!({ "definition": "good", "id": "ok-42", "input": { "n": 1 } });
    let first = start(&stage, "key-42", &body).await?;
    for key in ["key-42", "\"key-42\""] {
        let again = start(&stage, key, &body).await?;
        ensure!((first.status, again.status) == (201, 200), "{}", again.text);
        ensure!(again.body["id"] == "ok-42", "{}", again.text);
        ensure!(again.header("idempotent-replayed") == Some("true"), "{:?}", again.headers);
    }
    Ok(())
}

async fn other_body(stage: Arc<Stage>) -> anyhow::Result<()> {
    let body = json!({ "definition": "good", "id": "ok-43", "input": { "n": 1 } });
    let first = start(&stage, "key-43", &body).await?;
    ensure!(first.status == 201, "{}", first.text);
    for other in [
        json!({ "definition": "good", "id": "ok-43", "input": { "n": 2 } }),
        json!({ "definition": "good", "id": "no-43", "input": { "n": 1 } }),
        json!({ "definition": "good", "id": "ok-43", "input": { "n": 1 }, "labels": { "a": "b" } }),
        json!({ "definition": "good", "id": "ok-43", "input": { "n": 1 }, "deadline": "1h" }),
        json!({ "definition": "good", "input": { "n": 1 } }),
    ] {
        let answer = start(&stage, "key-43", &other).await?;
        ensure!(answer.status == 422, "{other}: {}", answer.text);
        ensure!(answer.body["code"] == "idempotency-mismatch", "{other}: {}", answer.text);
    }
    Ok(())
}

async fn at_once(stage: Arc<Stage>) -> anyhow::Result<()> {
    let body = json!({ "definition": "good", "id": "ok-44" });
    let answers = join_all((0..30).map(|_| start(&stage, "key-44", &body))).await;
    let answers = answers.into_iter().collect::<anyhow::Result<Vec<Answer>>>()?;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    ensure!(statuses[..29] == [200; 29] && statuses[29] == 201, "{statuses:?}");
    Ok(())
}

async fn after_retention(_: Arc<Stage>) -> anyhow::Result<()> {
    let settings = vec![("engine.retention", "100ms")];
    let own = Stage::start_with(ServerOptions { settings, ..Default::default() }).await?;
    let body = json!({ "definition": "good" });
    let first = start(&own, "key-46", &body).await?;
    ensure!(first.status == 201, "{}", first.text);
    let again = until("the saga to be forgotten", SOON, async || {
        start(&own, "key-46", &body).await.ok().filter(|answer| answer.status != 200)
    });
    let again = again.await?;
    ensure!(again.status == 201 && again.body["id"] != first.body["id"], "{}", again.text);
    Ok(())
}
