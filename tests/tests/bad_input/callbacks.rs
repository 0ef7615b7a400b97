//! Lines 89 to 91: completions that come with a wrong token, twice, late, or as nonsense.

use std::sync::Arc;

use amends_tests::{Answer, until};
use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::json;

use crate::scenario::{Scenario, scenario};
use crate::stage::{MEANT, SOON, Stage, definition, step};

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(
        89,
        "a wrong token; the same completion again",
        "404; 409 callback-late",
        wrong_and_again
    ),
    scenario!(
        89,
        "completions that cannot be read",
        "400, 415, 422; nothing is completed",
        nonsense
    ),
    scenario!(90, "a completion after the end", "409 callback-late", late),
    scenario!(91, "the token of another saga", "404 callback-not-found", of_another),
];

/// A saga that waits for its completion; path of its callback URL.
async fn pending(stage: &Stage, id: &str) -> anyhow::Result<String> {
    pending_for(stage, id, "5m").await
}

/// The same, which then gives up.
async fn pending_for(stage: &Stage, id: &str, timeout: &str) -> anyhow::Result<String> {
    let id = format!("{MEANT}{id}");
    let mut only = step("only");
    only["action"]["path"] = json!("/later");
    only["completion"] = json!("callback");
    only["timeout"] = json!(timeout);
    only["retry"] = json!({ "max_attempts": 1 });
    let body = json!({ "id": id, "definition": definition("ad-hoc", json!([only])) });
    stage.client.post("/v1/sagas", &body).await?.success()?;
    let path = format!("/v1/sagas/{id}");
    let waits = until("the call to be pending", SOON, async || {
        let saga = stage.client.get(&path).await.ok()?.body;
        let is_late = saga["status"] == "compensated";
        (is_late || saga["steps"][0]["calls"][0]["state"] == "pending").then_some(())
    });
    waits.await?;
    let attempts = stage.participant.attempts();
    let mut own = attempts.iter().filter(|own| own.saga == id);
    let url = own.find_map(|own| own.callback_url.as_deref()).context("no call with a URL")?;
    Ok(url.strip_prefix(&stage.server.url()).context("another server's URL")?.to_owned())
}

async fn complete(stage: &Stage, path: &str) -> anyhow::Result<Answer> {
    stage.client.post(path, &json!({ "done": true })).await
}

fn is(answer: &Answer, status: u16, code: &str) -> anyhow::Result<()> {
    let found = (answer.status, answer.body["code"].as_str().unwrap_or_default());
    ensure!(found == (status, code), "{found:?} instead of {status} {code}: {}", answer.text);
    Ok(())
}

async fn wrong_and_again(stage: Arc<Stage>) -> anyhow::Result<()> {
    let path = pending(&stage, "89-a").await?;
    let (rest, token) = path.rsplit_once('/').context("no token")?;
    let turned: String = token.chars().rev().collect();
    for wrong in [turned.as_str(), "x", &"x".repeat(300), "%00", &token[1..]] {
        is(&complete(&stage, &format!("{rest}/{wrong}")).await?, 404, "callback-not-found")?;
    }
    for (from, to) in [("/only/", "/other/"), ("/action/", "/compensation/"), ("/action/", "/x/")] {
        let elsewhere = path.replace(from, to);
        is(&complete(&stage, &elsewhere).await?, 404, "callback-not-found")?;
    }
    let first = complete(&stage, &path).await?;
    ensure!(first.status == 204, "{}", first.text);
    is(&complete(&stage, &path).await?, 409, "callback-late")?;
    let saga = stage.client.until_status("ok-89-a", "completed", SOON).await?;
    ensure!(saga["steps"][0]["output"] == json!({ "done": true }), "{saga:#}");
    Ok(())
}

async fn nonsense(stage: Arc<Stage>) -> anyhow::Result<()> {
    const WORDS: &str = "application/vnd.amends.completion+json";
    let path = pending(&stage, "89-b").await?;
    for (media, body, status, code) in [
        ("application/json", "{", 400, "json-syntax"),
        ("application/json", "\"\\u0000\"", 400, "nul-character"),
        ("application/json", "{\"a\":1,\"a\":2}", 400, "duplicate-name"),
        ("text/plain", "done", 415, "unsupported-media-type"),
        (WORDS, "", 400, "json-syntax"),
        (WORDS, "{}", 422, "missing-field"),
        (WORDS, "{\"outcome\":\"perhaps\"}", 422, "wrong-type"),
        (WORDS, "{\"outcome\":\"succeeded\",\"more\":1}", 422, "unknown-field"),
    ] {
        let request = stage.client.request(Method::POST, &path).header("content-type", media);
        is(&stage.client.send(request.body(body)).await?, status, code)?;
    }
    let saga = stage.client.get("/v1/sagas/ok-89-b").await?.body;
    ensure!(saga["steps"][0]["calls"][0]["state"] == "pending", "{saga:#}");
    let refusal = stage.client.request(Method::POST, &path).header("content-type", WORDS);
    let refusal = refusal.body("{\"outcome\":\"refused\",\"detail\":\"no stock\"}");
    ensure!(stage.client.send(refusal).await?.status == 204, "the completion is not taken");
    stage.client.until_status("ok-89-b", "compensated", SOON).await.map(drop)
}

async fn late(stage: Arc<Stage>) -> anyhow::Result<()> {
    let path = pending_for(&stage, "90", "5s").await?;
    let saga = stage.client.until_status("ok-90", "compensated", SOON).await?;
    is(&complete(&stage, &path).await?, 409, "callback-late")?;
    let after = stage.client.get("/v1/sagas/ok-90").await?.body;
    ensure!(saga["seq"] == after["seq"], "the journal went on: {after:#}");
    Ok(())
}

async fn of_another(stage: Arc<Stage>) -> anyhow::Result<()> {
    let (one, two) = (pending(&stage, "91-a").await?, pending(&stage, "91-b").await?);
    let token = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    ensure!(token(&one) != token(&two), "both have one token");
    let mixed = two.replace(&token(&two), &token(&one));
    is(&complete(&stage, &mixed).await?, 404, "callback-not-found")?;
    let saga = stage.client.get("/v1/sagas/ok-91-b").await?.body;
    ensure!(saga["steps"][0]["calls"][0]["state"] == "pending", "{saga:#}");
    for (path, id) in [(one, "ok-91-a"), (two, "ok-91-b")] {
        ensure!(complete(&stage, &path).await?.status == 204, "{id} is not completed");
        stage.client.until_status(id, "completed", SOON).await?;
    }
    Ok(())
}
