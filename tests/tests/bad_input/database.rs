//! Lines 51 and 52: starts while PostgreSQL is away, and when the answer to a commit is lost.

use std::sync::Arc;

use amends_testbed::{Postgres, PostgresOptions};
use amends_tests::{Answer, Client, ServerOptions, until};
use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use crate::proxy::{Action, Proxy};
use crate::scenario::{Scenario, scenario};
use crate::stage::{SOON, Stage};

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(51, "PostgreSQL is down", "503; a retry with the same key is safe", away),
    scenario!(52, "the answer to the commit is lost", "503 outcome-unknown; a retry tells", cut),
];

async fn start(client: &Client, key: &str) -> anyhow::Result<Answer> {
    let body = json!({ "definition": "good", "input": { "key": key } });
    let request = client.request(Method::POST, "/v1/sagas").header("idempotency-key", key);
    client.send(request.json(&body)).await
}

async fn on(database: String) -> anyhow::Result<Stage> {
    let settings = vec![
        ("engine.submit-timeout", "2s"),
        ("database.connect-timeout", "1s"),
        ("engine.lease-ttl", "2s"),
    ];
    let options = ServerOptions { database: Some(database), settings, ..Default::default() };
    Stage::start_with(options).await
}

async fn durable() -> anyhow::Result<Postgres> {
    Postgres::start_with(PostgresOptions { durable: true, ..PostgresOptions::default() }).await
}

async fn away(_: Arc<Stage>) -> anyhow::Result<()> {
    let mut postgres = durable().await?;
    let own = on(postgres.url()).await?;
    postgres.stop().await?;
    let answer = start(&own.client, "key-51").await?;
    let code = answer.body["code"].as_str().unwrap_or_default();
    let is_known = ["store-unavailable", "outcome-unknown"].contains(&code);
    ensure!(answer.status == 503 && is_known, "{}", answer.text);
    ensure!(answer.header("retry-after").is_some(), "no Retry-After: {:?}", answer.headers);
    let list = own.client.get("/v1/sagas").await?;
    ensure!(list.body["code"] == "store-unavailable", "{}", list.text);
    ensure!(own.client.get("/livez").await?.status == 200, "it does not live");
    let ready = own.client.get("/readyz").await?;
    ensure!(ready.status == 503, "it is ready: {}", ready.text);

    postgres.start_again().await?;
    let made = repeated(&own, "key-51").await?;
    check_one(&own, &made).await
}

async fn cut(_: Arc<Stage>) -> anyhow::Result<()> {
    let postgres = durable().await?;
    let proxy = Proxy::start(postgres.port()).await;
    let own = on(proxy.url(&postgres.url())).await?;
    // Without a key, a start is one statement that commits itself, found by its id.
    for (id, action) in [("held", Action::Hold), ("cut", Action::CutAnswer)] {
        proxy.set(id, action).await;
        let body = json!({ "definition": "good", "id": id });
        let answer = own.client.post("/v1/sagas", &body).await?;
        if action == Action::Hold {
            let found = (answer.status, &answer.body["code"]);
            ensure!(found == (503, &json!("outcome-unknown")), "{}", answer.text);
            ensure!(answer.header("retry-after").is_some(), "{:?}", answer.headers);
            proxy.let_go();
        } else {
            // The coordinator finds out by itself, since the database is there again at once.
            ensure!(matches!(answer.status, 200 | 201 | 503), "{}", answer.text);
        }
        let again = async || {
            let answer = own.client.post("/v1/sagas", &body).await.ok()?;
            matches!(answer.status, 200 | 201).then_some(answer)
        };
        let made = until("a start with the same id", SOON, again).await?;
        ensure!(made.body["id"] == id, "{}", made.text);
        own.client.until_status(id, "completed", SOON).await?;
    }
    ensure!(proxy.count() == 2, "{} traps have sprung", proxy.count());
    let calls = own.participant.count();
    ensure!(calls >= 2, "{calls} calls for two sagas");
    ensure!(!own.server.log().contains("panicked"), "{}", own.server.log());
    Ok(())
}

/// The saga that repetitions lead to.
async fn repeated(own: &Stage, key: &str) -> anyhow::Result<Value> {
    let answer = until("a start with the same key", SOON, async || {
        start(&own.client, key).await.ok().filter(|answer| matches!(answer.status, 200 | 201))
    });
    Ok(answer.await?.body)
}

/// Its key and input have led to it alone, and it ends.
async fn check_one(own: &Stage, made: &Value) -> anyhow::Result<()> {
    let id = made["id"].as_str().context("no id")?;
    own.client.until_status(id, "completed", SOON).await?;
    let list = own.client.get("/v1/sagas?limit=500").await?.success()?;
    let mut same = 0;
    for row in list["sagas"].as_array().context("no list")? {
        let path = format!("/v1/sagas/{}", row["id"].as_str().unwrap_or_default());
        let saga = own.client.get(&path).await?.success()?;
        same += usize::from(saga["input"] == made["input"]);
    }
    ensure!(same == 1, "{same} sagas of one key: {list:#}");
    let log = own.server.log();
    ensure!(!log.contains("panicked"), "{log}");
    Ok(())
}
