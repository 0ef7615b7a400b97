//! Lines 98 and 100: what the console shows, and event streams that begin with nonsense.

use std::sync::Arc;
use std::time::Duration;

use amends_tests::until;
use anyhow::{Context as _, ensure};
use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::json;

use crate::scenario::{Scenario, scenario};
use crate::stage::{MEANT, SOON, Stage, definition, step};

/// Longest wait for the first event.
const EVENT_MAX: Duration = Duration::from_secs(20);

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(98, "markup and templates in payloads", "shown as text", markup),
    scenario!(97, "forms of the console, sent by others", "403, nothing is done", forms),
    scenario!(100, "a Last-Event-ID that is none", "200, from now on", events),
];

async fn markup(stage: Arc<Stage>) -> anyhow::Result<()> {
    const PAYLOADS: [&str; 5] = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "{{7*7}}",
        "javascript:alert(1)",
        "</pre></textarea><svg/onload=alert(1)>",
    ];
    let mut only = step("only");
    only["action"]["body"] = json!("${input.payloads}");
    let body = json!({
        "id": "ok-98",
        "input": { "payloads": PAYLOADS, "<b>": "</script>" },
        "labels": { "markup": "<script>alert(2)</script>" },
        "definition": definition("ad-hoc", json!([only])),
    });
    stage.start_saga(&body).await?.success()?;
    let actor = stage.client.request(Method::POST, "/v1/sagas/ok-98/pause");
    let actor = actor.header("amends-actor", "<script>alert(3)</script>");
    ensure!(stage.client.send(actor).await?.status == 409, "the saga has not ended");
    for path in ["/console/sagas/ok-98", "/console/sagas?q=ok-9", "/console/sagas"] {
        let page = stage.client.get(path).await?;
        ensure!(page.status == 200, "{path}: {}", page.text);
        let html = page.header("content-type").unwrap_or_default().to_owned();
        ensure!(html.starts_with("text/html") && html.contains("utf-8"), "{html}");
        for bad in
            ["<script>alert", "<img src=x", "<svg/onload", "href=\"javascript:", "</pre></text"]
        {
            ensure!(!page.text.contains(bad), "{path} has {bad:?}: {}", page.text);
        }
    }
    let page = stage.client.get("/console/sagas/ok-98").await?.text;
    for shown in ["&#60;script&#62;", "{{7*7}}", "javascript:alert"] {
        ensure!(page.contains(shown), "it does not show {shown:?}: {page}");
    }
    ensure!(!page.contains(">49<"), "a template was run: {page}");
    // What a query holds is shown again in its form.
    let echo = "/console/sagas?q=%22%3E%3Cscript%3Ealert(4)%3C/script%3E";
    let page = stage.client.get(echo).await?;
    ensure!(!page.text.contains("<script>alert"), "{}", page.text);
    Ok(())
}

async fn forms(stage: Arc<Stage>) -> anyhow::Result<()> {
    let mut only = step("only");
    only["action"]["path"] = json!("/later");
    only["completion"] = json!("callback");
    only["timeout"] = json!("5m");
    let mut own = definition("ad-hoc", json!([only]));
    own["lock"] = json!({ "keys": ["ok-97"] });
    stage
        .client
        .post("/v1/sagas", &json!({ "id": "ok-97", "definition": own }))
        .await?
        .success()?;
    let path = "/v1/sagas/ok-97";
    let waits = until("the call to be pending", SOON, async || {
        let saga = stage.client.get(path).await.ok()?.body;
        (saga["steps"][0]["calls"][0]["state"] == "pending").then_some(saga)
    });
    let before = waits.await?;
    let release = "key=ok-97&holder=ok-97&sure=yes&reason=because";
    for (path, body) in [
        ("/console/sagas/ok-97/commands", "command=cancel&reason=because"),
        ("/console/lock?key=ok-97", release),
    ] {
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("x-nothing", "neither"),
        ] {
            let request = stage.client.request(Method::POST, path).header(name, value);
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            let answer = stage.client.send(request.body(body)).await?;
            ensure!(answer.status == 403, "{path} {name} {value}: {}", answer.status);
        }
    }
    let after = stage.client.get(path).await?.body;
    ensure!(before["seq"] == after["seq"], "something was done: {after:#}");
    let attempts = stage.participant.attempts();
    let own = attempts.iter().find(|own| own.saga == "ok-97").context("no call")?;
    let url = own.callback_url.as_deref().unwrap_or_default();
    let callback = url.strip_prefix(&stage.server.url()).context("another server's URL")?;
    ensure!(stage.client.post(callback, &json!({})).await?.status == 204, "not completed");
    stage.client.until_status("ok-97", "completed", SOON).await.map(drop)
}

async fn events(stage: Arc<Stage>) -> anyhow::Result<()> {
    let id = format!("{MEANT}100");
    stage.start_saga(&json!({ "definition": "good", "id": id })).await?.success()?;
    let long = "9".repeat(1_000);
    for garbage in ["garbage", "-1", "1e9", "18446744073709551616", "';--", long.as_str()] {
        for (path, begins) in [
            (format!("/v1/sagas/{id}/events"), "event: saga"),
            ("/v1/sagas/events".to_owned(), ":"),
        ] {
            let request = stage.client.request(Method::GET, &path);
            let answer = request.header("last-event-id", garbage).send().await?;
            ensure!(answer.status() == 200, "{path} {garbage}: {}", answer.status());
            let mut chunks = answer.bytes_stream();
            let first = async {
                let mut text = String::new();
                while !text.contains(begins) {
                    let chunk = chunks.next().await.context("the stream has ended")??;
                    text.push_str(&String::from_utf8_lossy(&chunk));
                }
                Ok::<_, anyhow::Error>(text)
            };
            let text = tokio::time::timeout(EVENT_MAX, first).await.context("no event")??;
            let is_one = begins == ":" || text.contains("\"status\":\"completed\"");
            ensure!(is_one, "{path} {garbage}: {text}");
        }
    }
    Ok(())
}
