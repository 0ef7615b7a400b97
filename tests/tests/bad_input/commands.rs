//! Lines 57 and 93: commands and branches that come too late or make no sense.

use std::sync::Arc;

use amends_tests::Answer;
use anyhow::ensure;
use serde_json::{Value, json};

use crate::scenario::{Scenario, scenario};
use crate::stage::{SOON, Stage, definition, step};

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(57, "transactions in one another without end", "422 branch-invalid", nested),
    scenario!(93, "commands to a saga that has ended", "409 saga-ended", ended),
    scenario!(
        93,
        "to cancel after the pivot",
        "409 commit-decided, with what is allowed",
        past_pivot
    ),
    scenario!(93, "commands to a step in another state", "409 wrong-step-state", wrong_state),
];

async fn command(stage: &Stage, id: &str, command: &str) -> anyhow::Result<Answer> {
    stage.client.post(&format!("/v1/sagas/{id}/{command}"), &json!({})).await
}

fn refused(answer: &Answer, code: &str) -> anyhow::Result<Vec<String>> {
    let found = (answer.status, answer.body["code"].as_str().unwrap_or_default());
    ensure!(found == (409, code), "{found:?} instead of 409 {code}: {}", answer.text);
    let allowed = answer.body["allowed"].as_array().cloned();
    ensure!(allowed.is_some(), "what is allowed is not listed: {}", answer.text);
    let words = allowed.into_iter().flatten();
    Ok(words.filter_map(|own| own.as_str().map(str::to_owned)).collect())
}

async fn nested(stage: Arc<Stage>) -> anyhow::Result<()> {
    let shell = json!({ "name": "ok-57", "mode": "interactive" });
    stage.client.define(&shell).await?;
    let begun = json!({ "mode": "interactive", "id": "ok-57", "deadline": "5m" });
    stage.client.post("/v1/sagas", &begun).await?.success()?;
    for (definition, fault) in [("ok-57", "/saga/definition"), ("no-such", "/saga/definition")] {
        let branch = json!({ "saga": { "definition": definition } });
        let answer = stage.client.put("/v1/sagas/ok-57/branches/inner", &branch).await?;
        ensure!(answer.body["code"] == "branch-invalid", "{}", answer.text);
        ensure!(answer.body["faults"][0]["pointer"] == fault, "{}", answer.text);
    }
    let itself = json!({ "participant": "worker", "saga": { "definition": "good" } });
    let answer = stage.client.put("/v1/sagas/ok-57/branches/inner", &itself).await?;
    ensure!(answer.body["code"] == "branch-invalid", "{}", answer.text);
    for index in 0..101 {
        let branch = json!({ "participant": "worker", "compensation": { "path": "/undo" } });
        let path = format!("/v1/sagas/ok-57/branches/b{index}");
        let answer = stage.client.put(&path, &branch).await?;
        let code = answer.body["code"].as_str().unwrap_or_default();
        let expected = if index < 100 { "" } else { "too-many-branches" };
        ensure!(code == expected, "branch {index}: {}", answer.text);
    }
    command(&stage, "ok-57", "rollback").await?.success()?;
    stage.client.until_status("ok-57", "compensated", SOON).await.map(drop)
}

async fn ended(stage: Arc<Stage>) -> anyhow::Result<()> {
    stage.start_saga(&json!({ "definition": "good", "id": "ok-93-a" })).await?.success()?;
    for word in ["cancel", "retry", "pause", "resume", "steps/only/skip"] {
        let allowed = refused(&command(&stage, "ok-93-a", word).await?, "saga-ended")?;
        ensure!(allowed.is_empty(), "{word}: {allowed:?}");
    }
    Ok(())
}

async fn past_pivot(stage: Arc<Stage>) -> anyhow::Result<()> {
    let pivot = json!({
        "id": "pivot", "participant": "worker", "action": { "path": "/do" }, "pivot": true,
    });
    let late = json!({
        "id": "late", "participant": "worker", "action": { "path": "/later" },
        "completion": "callback", "timeout": "5m",
    });
    waiting(&stage, "ok-93-b", json!([pivot, late])).await?;
    for word in ["cancel", "steps/late/resolve-failed"] {
        let answer = command(&stage, "ok-93-b", word).await?;
        ensure!(answer.status == 409, "{word}: {}", answer.text);
    }
    let allowed = refused(&command(&stage, "ok-93-b", "cancel").await?, "commit-decided")?;
    ensure!(allowed.iter().any(|own| own == "pause"), "{allowed:?}");
    ensure!(!allowed.iter().any(|own| own.contains("cancel")), "{allowed:?}");
    finish(&stage, "ok-93-b").await
}

async fn wrong_state(stage: Arc<Stage>) -> anyhow::Result<()> {
    let mut only = step("only");
    only["action"]["path"] = json!("/later");
    only["completion"] = json!("callback");
    only["timeout"] = json!("5m");
    waiting(&stage, "ok-93-c", json!([only])).await?;
    for (word, code) in [
        ("steps/only/skip", "wrong-step-state"),
        ("steps/only/resolve-undone", "wrong-step-state"),
        ("abandon", "wrong-status"),
        ("retry", "nothing-to-retry"),
        ("commit", "not-interactive"),
    ] {
        refused(&command(&stage, "ok-93-c", word).await?, code)?;
    }
    let nobody = command(&stage, "ok-93-c", "steps/ghost/skip").await?;
    ensure!(
        (nobody.status, &nobody.body["code"]) == (404, &json!("step-not-found")),
        "{}",
        nobody.text
    );
    finish(&stage, "ok-93-c").await
}

/// Starts a saga whose last step waits for its completion.
async fn waiting(stage: &Stage, id: &str, steps: Value) -> anyhow::Result<()> {
    let last = steps.as_array().map_or(0, Vec::len) - 1;
    let body = json!({ "id": id, "definition": definition("ad-hoc", steps) });
    stage.client.post("/v1/sagas", &body).await?.success()?;
    let path = format!("/v1/sagas/{id}");
    let pending = amends_tests::until("the last call to be pending", SOON, async || {
        let saga = stage.client.get(&path).await.ok()?.body;
        (saga["steps"][last]["calls"][0]["state"] == "pending").then_some(())
    });
    pending.await
}

/// Completes what waits.
async fn finish(stage: &Stage, id: &str) -> anyhow::Result<()> {
    let attempts = stage.participant.attempts();
    let own = attempts.iter().filter(|own| own.saga == id).find_map(|own| own.callback_url.clone());
    let url = own.unwrap_or_default();
    let path = url.strip_prefix(&stage.server.url()).unwrap_or_default();
    let done = stage.client.post(path, &json!({})).await?;
    ensure!(done.status == 204, "{}", done.text);
    stage.client.until_status(id, "completed", SOON).await.map(drop)
}
