//! Lines 49 and 50: starts at a server that drains, or is at a bound.

use std::sync::Arc;

use amends_tests::{Answer, ServerOptions, until};
use anyhow::ensure;
use serde_json::json;

use crate::scenario::{Scenario, scenario};
use crate::stage::{SOON, Stage};

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(49, "a start while draining", "503 draining, Retry-After, nothing stored", draining),
    scenario!(
        50,
        "a start above the bound",
        "503 overloaded, Retry-After, nothing stored",
        too_many
    ),
    scenario!(50, "a start above the bound in bytes", "503 overloaded, Retry-After", too_large),
    scenario!(50, "a request above the bound", "503 overloaded, Retry-After", too_many_requests),
    scenario!(50, "an event stream above the bound", "503 overloaded", too_many_streams),
];

async fn draining(_: Arc<Stage>) -> anyhow::Result<()> {
    let mut own = Stage::start_with(ServerOptions::default()).await?;
    own.participant.gate(false);
    own.client
        .post("/v1/sagas", &json!({ "definition": "good", "id": "ok-49" }))
        .await?
        .success()?;
    until("the call", SOON, async || (own.participant.count() > 0).then_some(())).await?;

    own.server.signal("TERM")?;
    let draining = until("the drain", SOON, async || {
        own.client.get("/readyz").await.ok().filter(|answer| answer.body["draining"] == true)
    });
    ensure!(draining.await?.status == 503, "still ready");
    let body = json!({ "definition": "good", "id": "no-49" });
    refused(&own.client.post("/v1/sagas", &body).await?, "draining")?;
    refused(&own.client.get("/v1/sagas/events").await?, "draining")?;

    own.participant.gate(true);
    let status = own.server.wait(SOON).await?;
    ensure!(status.success(), "it ended with {status}");
    own.server.launch()?;
    own.server.until_ready().await?;
    own.client.until_status("ok-49", "completed", SOON).await?;
    own.check_unharmed().await
}

async fn too_many(_: Arc<Stage>) -> anyhow::Result<()> {
    let settings = vec![("engine.live-sagas-max", "5")];
    let own = Stage::start_with(ServerOptions { settings, ..Default::default() }).await?;
    own.participant.gate(false);
    let start = async |index: usize| {
        let body = json!({ "definition": "good", "id": format!("ok-50-{index}") });
        own.client.post("/v1/sagas", &body).await
    };
    for index in 0..5 {
        start(index).await?.success()?;
    }
    let sixth = start(5).await?;
    refused(&sixth, "overloaded")?;
    let detail = sixth.body["detail"].as_str().unwrap_or_default();
    ensure!(detail.contains('5'), "the bound is not named: {detail}");
    ensure!(own.client.get("/v1/sagas/ok-50-5").await?.status == 404, "it was stored");
    let again = start(4).await?;
    ensure!(again.status == 200, "a repetition: {}", again.text);
    own.participant.gate(true);
    let later = until("room", SOON, async || start(5).await.ok().filter(|own| own.status == 201));
    later.await?;
    own.client.until_status("ok-50-5", "completed", SOON).await?;
    own.check_unharmed().await
}

async fn too_large(_: Arc<Stage>) -> anyhow::Result<()> {
    let settings = vec![("engine.live-bytes-max", "1048576")];
    let own = Stage::start_with(ServerOptions { settings, ..Default::default() }).await?;
    own.participant.gate(false);
    let start = async |index: usize| {
        let input = json!({ "x": "x".repeat(100_000) });
        let id = format!("ok-50-{index}");
        own.client
            .post("/v1/sagas", &json!({ "definition": "good", "id": id, "input": input }))
            .await
    };
    for index in 0..2 {
        start(index).await?.success()?;
    }
    let third = start(2).await?;
    refused(&third, "overloaded")?;
    let detail = third.body["detail"].as_str().unwrap_or_default();
    ensure!(detail.contains("engine.live-bytes-max"), "the bound is not named: {detail}");
    ensure!(start(1).await?.status == 200, "a repetition is refused");
    let taken = own.client.metric("amends_saga_live_bytes").await?;
    ensure!((800_000..1_048_576).contains(&taken), "{taken} bytes");
    own.participant.gate(true);
    own.client.until_status("ok-50-1", "completed", SOON).await?;
    let later = until("room", SOON, async || start(2).await.ok().filter(|own| own.status == 201));
    later.await.map(drop)?;
    own.client.until_status("ok-50-2", "completed", SOON).await?;
    let given_back = until("all to be given back", SOON, async || {
        (own.client.metric("amends_saga_live_bytes").await.ok()? == 0).then_some(())
    });
    given_back.await
}

async fn too_many_requests(_: Arc<Stage>) -> anyhow::Result<()> {
    let settings = vec![("server.requests-max", "1")];
    let own = Stage::start_with(ServerOptions { settings, ..Default::default() }).await?;
    own.participant.gate(false);
    let body = json!({ "definition": "good", "id": "ok-50" });
    // The first look at the list may have the place.
    let waiting = until("a place", SOON, async || {
        own.start_saga(&body).await.ok().filter(|answer| answer.status != 503)
    });
    let refusal = async {
        let found = until("a refusal", SOON, async || {
            own.client.get("/v1/sagas").await.ok().filter(|answer| answer.status != 200)
        });
        let answer = found.await?;
        // Who looks whether it lives is answered all the same.
        let ready = own.client.get("/readyz").await?;
        own.participant.gate(true);
        ensure!(ready.status == 200, "not ready: {}", ready.text);
        refused(&answer, "overloaded")
    };
    let (waited, refusal) = tokio::join!(waiting, refusal);
    refusal?;
    ensure!(waited?.body["status"] == "completed", "the saga has not ended");
    Ok(())
}

async fn too_many_streams(_: Arc<Stage>) -> anyhow::Result<()> {
    let settings = vec![("server.sse-clients-max", "2")];
    let own = Stage::start_with(ServerOptions { settings, ..Default::default() }).await?;
    let open = || own.client.request(reqwest::Method::GET, "/v1/sagas/events").send();
    let streams = [open().await?, open().await?];
    ensure!(streams.iter().all(|stream| stream.status() == 200), "{streams:?}");
    refused(&own.client.get("/v1/sagas/events").await?, "overloaded")?;
    drop(streams);
    let again =
        until("a place", SOON, async || open().await.ok().filter(|own| own.status() == 200));
    again.await.map(drop)
}

pub(crate) fn refused(answer: &Answer, code: &str) -> anyhow::Result<()> {
    ensure!((answer.status, &answer.body["code"]) == (503, &json!(code)), "{}", answer.text);
    ensure!(answer.body["retryable"] == true, "{}", answer.text);
    let after = answer.header("retry-after").and_then(|text| text.parse::<u32>().ok());
    ensure!(after.is_some(), "no Retry-After: {:?}", answer.headers);
    Ok(())
}
