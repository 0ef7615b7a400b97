//! Lines 72 to 75, 83 and 88: where a name leads, when a participant wants to be called again, and
//! who it says it is.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use amends_tests::{Participant, Server, ServerOptions, until};
use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::raw_participant::{RawParticipant, Script};
use crate::scenario::{Scenario, scenario};
use crate::stage::{MEANT, SOON, Stage, definition, step};
use crate::tls_participant::TlsParticipant;

const DONE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(
        72,
        "a name that leads to a private address",
        "blocked_target, no packet",
        private_name
    ),
    scenario!(73, "a name that was fine when it was registered", "blocked_target", rebound),
    scenario!(74, "a name with allowed and other addresses", "blocked_target", mixed),
    scenario!(75, "A allowed, AAAA ::1", "blocked_target", mixed_families),
    scenario!(83, "Retry-After: 999999999", "at most ten times the longest delay", far_off),
    scenario!(83, "Retry-After in the past", "at once", past),
    scenario!(88, "a certificate for another host", "tls; two attempts, nothing sent", other_host),
    scenario!(88, "a certificate that nobody trusts", "tls; two attempts", self_signed),
    scenario!(88, "no TLS where it is expected", "tls; two attempts", no_tls),
];

/// A saga of one step at `http://localhost`, with a server that allows these targets only.
async fn at_localhost(allow: &str) -> anyhow::Result<(Value, RawParticipant)> {
    let participant = RawParticipant::start(Script::Bytes(DONE.to_vec())).await?;
    let settings = vec![("targets.allow", leaked(allow)), ("targets.allow-private", "no")];
    let server = Server::start(ServerOptions { settings, ..Default::default() }).await?;
    let url = participant.url().replace("127.0.0.1", "localhost");
    let saga = one_at(&server, &url).await?;
    Ok((saga, participant))
}

/// Settings live as long as the process, as test data may.
fn leaked(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

async fn one_at(server: &Server, url: &str) -> anyhow::Result<Value> {
    let client = server.client()?;
    client.register("named", &json!({ "endpoints": [url] })).await?;
    let mut only = step("only");
    only["participant"] = json!("named");
    only["retry"] = json!({ "max_attempts": 2, "initial": "1ms", "max": "1ms" });
    let body = json!({ "definition": definition("ad-hoc", json!([only])) });
    let request = client.request(reqwest::Method::POST, "/v1/sagas").header("prefer", "wait=30");
    client.send(request.json(&body)).await?.success()
}

/// It failed for its address, twice, and nothing was connected to.
fn blocked(saga: &Value, participant: &RawParticipant) -> anyhow::Result<()> {
    let call = &saga["steps"][0]["calls"][0];
    ensure!(call["problem"]["kind"] == "blocked_target", "{saga:#}");
    ensure!(saga["status"] == "compensated" && call["attempts"] == 2, "{saga:#}");
    let detail = call["problem"]["detail"].as_str().unwrap_or_default();
    ensure!(!detail.contains("127.0.0.1") && !detail.contains("::1"), "it tells: {detail}");
    ensure!(participant.seen().connections == 0, "{:?}", participant.seen());
    Ok(())
}

async fn private_name(_: Arc<Stage>) -> anyhow::Result<()> {
    let (saga, participant) = at_localhost("203.0.113.0/24").await?;
    blocked(&saga, &participant)
}

async fn mixed(_: Arc<Stage>) -> anyhow::Result<()> {
    mixed_at("127.0.0.1/32", "::1").await
}

async fn mixed_families(_: Arc<Stage>) -> anyhow::Result<()> {
    mixed_at("::1/128", "127.0.0.1").await
}

/// `localhost` is called exactly if all its addresses are allowed; on most machines it has two.
async fn mixed_at(allowed: &str, other: &str) -> anyhow::Result<()> {
    let other: IpAddr = other.parse()?;
    let mut addresses = tokio::net::lookup_host(("localhost", 80)).await?;
    let is_mixed = addresses.any(|address| address.ip() == other);
    let (saga, participant) = at_localhost(allowed).await?;
    if is_mixed {
        return blocked(&saga, &participant);
    }
    ensure!(saga["steps"][0]["calls"][0]["problem"]["kind"] != "blocked_target", "{saga:#}");
    Ok(())
}

async fn rebound(_: Arc<Stage>) -> anyhow::Result<()> {
    let participant = RawParticipant::start(Script::Bytes(DONE.to_vec())).await?;
    let mut server = Server::start(ServerOptions::default()).await?;
    let url = participant.url().replace("127.0.0.1", "localhost");
    let before = one_at(&server, &url).await?;
    let connections = participant.seen().connections;
    ensure!(before["status"] == "completed" && connections > 0, "{before:#}");
    // The address that was allowed is not any more, and the name is the same.
    server.kill()?;
    server.set("targets.allow", "*.example.org,localhost.example.org,203.0.113.0/24");
    server.launch()?;
    server.until_ready().await?;
    let after = one_more(&server).await?;
    let call = &after["steps"][0]["calls"][0];
    ensure!(call["problem"]["kind"] == "blocked_target", "{after:#}");
    ensure!(participant.seen().connections == connections, "it was connected to");
    Ok(())
}

/// A second saga at the participant that is registered.
async fn one_more(server: &Server) -> anyhow::Result<Value> {
    let client = server.client()?;
    let mut only = step("only");
    only["participant"] = json!("named");
    only["retry"] = json!({ "max_attempts": 1 });
    let body = json!({ "definition": definition("ad-hoc", json!([only])) });
    let request = client.request(reqwest::Method::POST, "/v1/sagas").header("prefer", "wait=30");
    client.send(request.json(&body)).await?.success()
}

async fn far_off(stage: Arc<Stage>) -> anyhow::Result<()> {
    let (id, saga, _participant) = busy(&stage, "83-a", "999999999").await?;
    let call = &saga["steps"][0]["calls"][0];
    let at = call["next_attempt_at"].as_str().context("no next attempt")?;
    let seconds = seconds_between(saga["updated_at"].as_str().unwrap_or_default(), at)?;
    ensure!((9.0..=11.0).contains(&seconds), "after {seconds} s instead of 10: {saga:#}");
    let cancel = stage.client.post(&format!("/v1/sagas/{id}/cancel"), &json!({})).await?;
    ensure!(cancel.status == 200, "{}", cancel.text);
    stage.client.until_status(&id, "compensated", SOON).await.map(drop)
}

async fn past(stage: Arc<Stage>) -> anyhow::Result<()> {
    for (id, when) in
        [("83-b", "Sun, 06 Nov 1994 08:49:37 GMT"), ("83-c", "-1"), ("83-d", "soon"), ("83-e", "0")]
    {
        let (id, _, participant) = busy(&stage, id, when).await?;
        let saga = stage.client.until_status(&id, "compensated", SOON).await?;
        let seen = participant.seen();
        ensure!(seen.forward() == 2, "{} attempts: {saga:#}", seen.forward());
    }
    Ok(())
}

/// A saga whose participant answers 503 with this wish, once it was called.
async fn busy(
    stage: &Stage,
    id: &str,
    when: &str,
) -> anyhow::Result<(String, Value, RawParticipant)> {
    let head = format!("HTTP/1.1 503 Busy\r\nretry-after: {when}\r\ncontent-length: 0\r\n\r\n");
    let participant = RawParticipant::start(Script::Bytes(head.into_bytes())).await?;
    let id = format!("{MEANT}{id}");
    stage.client.register(&id, &json!({ "endpoints": [participant.url()] })).await?;
    let mut only = step("only");
    only["participant"] = json!(id);
    only["retry"] = json!({ "max_attempts": 2, "initial": "1ms", "max": "1s", "jitter": "none" });
    let body = json!({ "id": id, "definition": definition("ad-hoc", json!([only])) });
    stage.client.post("/v1/sagas", &body).await?.success()?;
    let path = format!("/v1/sagas/{id}");
    let saga = until("the first answer", SOON, async || {
        let saga = stage.client.get(&path).await.ok()?.body;
        let state = saga["steps"][0]["calls"][0]["state"].as_str()?.to_owned();
        (state != "in_flight").then_some(saga)
    });
    Ok((id, saga.await?, participant))
}

fn seconds_between(from: &str, to: &str) -> anyhow::Result<f64> {
    let read = |text: &str| {
        amends_core::Timestamp::parse(text).map_err(|error| anyhow::anyhow!("{text:?} {error}"))
    };
    Ok(read(to)?.since(read(from)?).as_secs_f64())
}

async fn other_host(_: Arc<Stage>) -> anyhow::Result<()> {
    let own = TlsParticipant::start("localhost").await?;
    let trusted = own.trusted()?;
    let mut server = Server::start(ServerOptions::default()).await?;
    server.kill()?;
    server.set_variable("SSL_CERT_FILE", trusted.path().display().to_string());
    server.launch()?;
    server.until_ready().await?;
    // What the certificate says is believed; only its name is another one.
    tls_failed(&one_at(&server, &format!("https://127.0.0.1:{}", own.port())).await?, "name")?;
    ensure!(own.requests() == 0, "a request was sent");
    let saga = one_at(&server, &format!("https://localhost:{}", own.port())).await?;
    ensure!(saga["status"] == "completed" && own.requests() == 1, "{saga:#}");
    Ok(())
}

async fn self_signed(stage: Arc<Stage>) -> anyhow::Result<()> {
    let own = TlsParticipant::start("127.0.0.1").await?;
    let url = format!("https://127.0.0.1:{}", own.port());
    stage.client.register("ok-88", &json!({ "endpoints": [url] })).await?;
    tls_failed(&stage.start_one("88", "ok-88").await?, "")?;
    ensure!(own.requests() == 0, "a request was sent");
    Ok(())
}

async fn no_tls(stage: Arc<Stage>) -> anyhow::Result<()> {
    let own = Participant::start(Duration::ZERO).await?;
    let spec = own.spec();
    let plain = spec["endpoints"][0].as_str().unwrap_or_default().replace("http:", "https:");
    stage.client.register("ok-88-plain", &json!({ "endpoints": [plain] })).await?;
    tls_failed(&stage.start_one("88-plain", "ok-88-plain").await?, "")?;
    ensure!(own.count() == 0, "a request was sent");
    Ok(())
}

/// Nothing was sent, twice, so there is nothing to undo.
fn tls_failed(saga: &Value, says: &str) -> anyhow::Result<()> {
    let calls = &saga["steps"][0]["calls"];
    ensure!(calls[0]["problem"]["kind"] == "tls", "{saga:#}");
    let detail = calls[0]["problem"]["detail"].as_str().unwrap_or_default();
    ensure!(detail.contains(says), "it says {detail}");
    ensure!(saga["status"] == "compensated" && calls[0]["attempts"] == 2, "{saga:#}");
    ensure!(calls.as_array().is_some_and(|calls| calls.len() == 1), "{saga:#}");
    Ok(())
}
