//! Lines 12, 60 to 63 and 84: inputs that only tell when they are used.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::raw_participant::{RawParticipant, Script};
use crate::scenario::{Scenario, scenario};
use crate::stage::{MEANT, Stage, definition, step};

/// What a refusal may take on a busy machine, however bad the input.
const REFUSAL_MAX: Duration = Duration::from_secs(20);

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(12, "-0, 2^53 + 1, 30 digits", "kept as they were written", numbers),
    scenario!(60, "an expression that works long", "refused, nothing is sent", long_work),
    scenario!(61, "pattern (a+)+$ and what it hates", "422 input-invalid at once", hated),
    scenario!(62, "an expression that makes 100 MB", "refused, nothing is sent", much),
    scenario!(63, "CR and LF in a header, from the input", "refused, nothing is sent", header),
    scenario!(63, "a path that leaves its place", "refused, nothing is sent", path),
    scenario!(84, "text/html where JSON is read", "a success without output", no_json),
];

async fn numbers(stage: Arc<Stage>) -> anyhow::Result<()> {
    let text = "[-0,9007199254740993,123456789012345678901234567890,0.1000000000000000055]";
    let input = format!("{{\"amounts\":{text}}}");
    let body = format!(r#"{{"definition":"good","id":"ok-12","input":{input}}}"#);
    let request = stage.client.request(reqwest::Method::POST, "/v1/sagas");
    let request = request.header("content-type", "application/json").body(body);
    let started = stage.client.send(request).await?;
    ensure!(started.status == 201, "{}", started.text);
    let view = stage.client.get("/v1/sagas/ok-12").await?;
    ensure!(started.text.contains(text) && view.text.contains(text), "{}", view.text);
    Ok(())
}

async fn long_work(stage: Arc<Stage>) -> anyhow::Result<()> {
    let list: Vec<u32> = (0..9_000).collect();
    let loops = "input.l | map('string') | map('upper') | map('lower') | map('upper') | \
                 map('lower') | map('upper') | map('lower') | map('upper') | join";
    let action = json!({ "path": "/do", "body": format!("${{{loops}}}") });
    fails(&stage, "60", action, json!({ "l": list }), "too long").await
}

async fn much(stage: Arc<Stage>) -> anyhow::Result<()> {
    for (id, expression) in [
        ("62-a", "'x' * 100000000"),
        ("62-b", "[0] * 100000000"),
        ("62-c", "input.t | replace('', input.t)"),
        ("62-d", "'%100000000s' | format('x')"),
        ("62-e", "(input.t * 100) | upper"),
    ] {
        let action = json!({ "path": "/do", "body": format!("${{{expression}}}") });
        let input = json!({ "t": "0123456789".repeat(5_000) });
        fails(&stage, id, action, input, "").await?;
    }
    Ok(())
}

async fn header(stage: Arc<Stage>) -> anyhow::Result<()> {
    for (id, value) in [("63-a", "a\r\nx: y"), ("63-b", "a\nb"), ("63-c", "\u{e9}")] {
        let action = json!({ "path": "/do", "headers": { "x-order": "${input.value}" } });
        fails(&stage, id, action, json!({ "value": value }), "header").await?;
    }
    Ok(())
}

async fn path(stage: Arc<Stage>) -> anyhow::Result<()> {
    for (id, value) in [("63-d", ".."), ("63-e", "."), ("63-f", "")] {
        let action = json!({ "path": "/do/${input.value}/x" });
        fails(&stage, id, action, json!({ "value": value }), "").await?;
    }
    Ok(())
}

/// The saga ends, soon and without a call, since its expression failed.
async fn fails(
    stage: &Stage,
    id: &str,
    action: Value,
    input: Value,
    says: &str,
) -> anyhow::Result<()> {
    let mut only = step("only");
    only["action"] = action;
    let body = json!({
        "id": format!("{MEANT}{id}"), "input": input,
        "definition": definition("ad-hoc", json!([only])),
    });
    let started = Instant::now();
    let saga = stage.start_saga(&body).await?.success()?;
    ensure!(started.elapsed() < REFUSAL_MAX, "{id} took {:?}", started.elapsed());
    let call = &saga["steps"][0]["calls"][0];
    let found = (&saga["status"], &call["state"], &call["problem"]["kind"]);
    let expected = (&json!("compensated"), &json!("refused"), &json!("expression"));
    ensure!(found == expected, "{id}: {saga:#}");
    let detail = call["problem"]["detail"].as_str().unwrap_or_default();
    ensure!(detail.contains(says) && detail.len() < 1_100, "{id} says {detail:?}");
    let saga_id = format!("{MEANT}{id}");
    let called = stage.participant.attempts().into_iter().any(|own| own.saga == saga_id);
    ensure!(!called, "{id}: something was sent");
    Ok(())
}

async fn hated(stage: Arc<Stage>) -> anyhow::Result<()> {
    let mut own = definition("ok-61", json!([step("only")]));
    own["input_schema"] = json!({
        "type": "object",
        "properties": { "a": { "type": "string", "pattern": "^(a+)+$" } },
    });
    stage.client.define(&own).await?;
    let started = Instant::now();
    let input = json!({ "a": format!("{}!", "a".repeat(100_000)) });
    let answer =
        stage.client.post("/v1/sagas", &json!({ "definition": "ok-61", "input": input })).await?;
    ensure!(answer.body["code"] == "input-invalid", "{}", answer.text);
    ensure!(answer.text.len() < 10_000, "the answer has {} bytes", answer.text.len());
    ensure!(started.elapsed() < REFUSAL_MAX, "it took {:?}", started.elapsed());
    // A pattern that only another kind of engine could run is refused.
    own["name"] = json!("no-61");
    own["input_schema"]["properties"]["a"]["pattern"] = json!(r"(a)\1");
    let refused = stage.client.post("/v1/definitions", &own).await?;
    ensure!(refused.body["faults"][0]["code"] == "bad-schema", "{}", refused.text);
    Ok(())
}

async fn no_json(stage: Arc<Stage>) -> anyhow::Result<()> {
    let page = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\n\r\n<p>hi";
    let participant = RawParticipant::start(Script::Bytes(page.to_vec())).await?;
    let spec = json!({ "endpoints": [participant.url()] });
    stage.client.register("ok-84", &spec).await?;
    let (mut first, mut second) = (step("first"), step("second"));
    first["participant"] = json!("ok-84");
    second["action"]["body"] = json!("${steps.first.output.id}");
    let body = json!({
        "id": "ok-84", "definition": definition("ad-hoc", json!([first, second])),
    });
    let saga = stage.start_saga(&body).await?.success()?;
    // The page is no output; the step that wants one fails, and the first is undone.
    ensure!(saga["steps"][0]["output"].is_null(), "{saga:#}");
    ensure!(saga["steps"][1]["calls"][0]["problem"]["kind"] == "expression", "{saga:#}");
    ensure!(saga["status"] == "compensated", "{saga:#}");
    ensure!(participant.seen().requests.len() == 2, "{:?}", participant.seen());
    Ok(())
}
