//! What the server answers when it is full, shutting down, cut off from its store, or broken.

use std::sync::Arc;
use std::time::Duration;

use amends_api::ApiConfig;
use amends_engine::{EngineConfig, Tracing};
use amends_ports::testing::{Fault, ScriptedAnswer, ScriptedParticipants};
use axum::body::{Body, Bytes};
use futures_util::{FutureExt, stream};
use http::{Request, StatusCode};
use serde_json::json;
use tower::ServiceExt;
use tracing::Span;

use crate::support::{Api, Transcript};

fn start() -> serde_json::Value {
    json!({ "definition": "order", "id": "s-1", "input": { "qty": 1 } })
}

#[tokio::test(start_paused = true)]
async fn a_draining_coordinator_sends_starts_elsewhere() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    let mut log = Transcript::default();
    api.engine.drain().await;
    log.add("start", &api.post("/v1/sagas", &start()).await);
    log.add("events", &api.get("/v1/sagas/events").await);
    assert_eq!(api.get("/v1/sagas").await.status, StatusCode::OK, "reading goes on");
    insta::assert_snapshot!("draining", log.text());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_told_and_may_be_asked_again() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    let mut log = Transcript::default();
    api.store.set_down(true);
    log.add("show", &api.get("/v1/sagas/s-1").await);
    log.add("start", &api.post("/v1/sagas", &start()).await);
    api.store.set_down(false);
    let mut answer = api.post("/v1/sagas", &start()).await;
    for _ in 0..100 {
        if answer.status != StatusCode::SERVICE_UNAVAILABLE {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        answer = api.post("/v1/sagas", &start()).await;
    }
    assert!(answer.status.is_success(), "{}", answer.json());
    insta::assert_snapshot!("store_away", log.text());
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_again_by_the_same_request() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    api.store.fail_next_write(Fault::UnknownApplied);
    let mut answer = api.post("/v1/sagas", &start()).await;
    for _ in 0..100 {
        if answer.status.is_success() {
            break;
        }
        assert!(["outcome-unknown", "store-unavailable"].contains(&answer.code().as_str()));
        assert_eq!(answer.header("retry-after"), Some("1"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        answer = api.post("/v1/sagas", &start()).await;
    }
    assert_eq!(answer.json()["id"], "s-1");
}

#[tokio::test(start_paused = true)]
async fn more_requests_than_allowed_are_turned_away() {
    let config = ApiConfig { requests_max: 1, ..ApiConfig::default() };
    let api = Api::with(ScriptedParticipants::new(), EngineConfig::default(), config).await;
    let slow = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let slow = Request::post("/v1/sagas").header("content-type", "application/json").body(slow);
    let mut slow = Box::pin(api.router.clone().oneshot(slow.unwrap()));
    assert!(slow.as_mut().now_or_never().is_none());
    let answer = api.get("/v1/sagas").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "overloaded"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(api.get("/livez").await.status, StatusCode::OK, "it lives all the same");
    drop(slow);
    assert_eq!(api.get("/v1/sagas").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn an_engine_at_its_bound_is_told_by_name() {
    let engine = EngineConfig { live_sagas_max: 1, ..EngineConfig::default() };
    let participants = ScriptedParticipants::scripted(|_| ScriptedAnswer::never());
    let api = Api::with(participants, engine, ApiConfig::default()).await;
    api.prepare().await;
    assert_eq!(api.post("/v1/sagas", &start()).await.status, StatusCode::CREATED);
    let other = json!({ "definition": "order", "id": "s-2", "input": { "qty": 1 } });
    let answer = api.post("/v1/sagas", &other).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "overloaded"));
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_its_time_and_with_the_process() {
    let participants = ScriptedParticipants::scripted(|_| ScriptedAnswer::never());
    let config = ApiConfig { request_timeout: Duration::from_secs(1), ..ApiConfig::default() };
    let api = Api::with(participants, EngineConfig::default(), config).await;
    api.prepare().await;
    let answer = api.post_with("/v1/sagas", &[("prefer", "wait=3600")], &start()).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.header("preference-applied"), Some("wait=60"));
    let other = json!({ "definition": "order", "id": "s-2", "input": { "qty": 1 } });
    let (answer, ()) =
        tokio::join!(api.post_with("/v1/sagas", &[("prefer", "wait=60")], &other), async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            api.engine.drain().await;
        });
    assert_eq!(answer.json()["id"], "s-2");
}

#[derive(Debug)]
struct Broken;

impl Tracing for Broken {
    fn records(&self) -> bool {
        true
    }

    fn adopt(&self, _: &Span, _: &str) {}

    fn traceparent(&self, _: &Span) -> Option<String> {
        panic!("secret: canary")
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_ours_is_not_told_to_others() {
    let config = ApiConfig { tracing: Arc::new(Broken), ..ApiConfig::default() };
    let api = Api::with(ScriptedParticipants::new(), EngineConfig::default(), config).await;
    let mut log = Transcript::default();
    let answer = api.post("/v1/sagas", &start()).await;
    log.add("a panic", &answer);
    assert!(answer.header("x-request-id").is_some());
    let text = log.text();
    assert!(!text.contains("canary"));
    insta::assert_snapshot!("internal", text);
}

#[tokio::test(start_paused = true)]
async fn every_answer_is_hardened_and_named() {
    let api = Api::new().await;
    let named = |id: &str| {
        Request::get("/v1/sagas").header("x-request-id", id).body(Body::empty()).unwrap()
    };
    let answer = api.send(named("mine-1")).await;
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let answer = api.send(named("a b")).await;
    assert_ne!(answer.header("x-request-id"), Some("a b"));
    assert!(api.get("/v2").await.header("content-security-policy").is_some());
}
