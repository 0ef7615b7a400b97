//! Lock keys: who holds them, who waits, and taking them away.

use std::sync::Arc;
use std::time::Duration;

use amends_api::ApiConfig;
use amends_engine::EngineConfig;
use amends_ports::testing::{MemoryLocks, ScriptedParticipants};
use http::StatusCode;
use serde_json::{Value, json};

use crate::interactive::compensation;
use crate::support::{Api, Transcript};

/// The key `user:1`, once this saga holds it.
async fn held_by(api: &Api, id: &str) -> Value {
    for _ in 0..100 {
        let lock = api.get("/v1/locks/user:1").await.json();
        if lock["holder"]["saga"] == id {
            return lock;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{id} does not get the key: {:#}", api.get("/v1/locks/user:1").await.json());
}

#[tokio::test(start_paused = true)]
async fn transactions_with_one_key_run_one_after_the_other() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    let mut log = Transcript::default();
    let keys = json!({ "lock_keys": ["user:1", "sku:4/2 ä", "user:1"] });
    log.add("the first holds them", &api.begin("t-1", keys).await);
    let one = json!({ "lock_keys": ["user:1"], "deadline": "1h" });
    log.add("the second waits", &api.begin("t-2", one.clone()).await);
    log.add("enlist", &api.enlist("t-1", "reserve", &compensation()).await);
    log.add("enlist too early", &api.enlist("t-2", "reserve", &compensation()).await);
    log.add("commit too early", &api.command("/v1/sagas/t-2/commit").await);
    api.begin("t-3", one).await;
    log.add("the third waits", &api.get("/v1/sagas/t-3").await);
    log.add("list", &api.get("/v1/locks").await);
    log.add("list of a prefix", &api.get("/v1/locks?prefix=sku%3A").await);
    log.add("one key", &api.get("/v1/locks/user%3A1").await);
    log.add("a key to be encoded", &api.get("/v1/locks/sku%3A4%2F2%20%C3%A4").await);
    log.add("unknown key", &api.get("/v1/locks/user:2").await);
    assert_eq!(api.decide("t-1", "commit").await.json()["status"], "completed");
    held_by(&api, "t-2").await;
    let third = api.get("/v1/sagas/t-3").await.json();
    assert_eq!(api.get("/v1/sagas/t-2").await.json()["lock"]["keys"][0]["position"], 0);
    assert_eq!(third["lock"]["keys"][0]["position"], 1);
    assert_eq!(api.get("/v1/sagas/t-1").await.json()["lock"], Value::Null);
    insta::assert_snapshot!("locks", log.text());
}

#[tokio::test(start_paused = true)]
async fn an_operator_takes_a_key_away_and_its_token_grows() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    let mut log = Transcript::default();
    let one = json!({ "lock_keys": ["user:1"], "deadline": "1h" });
    for id in ["t-1", "t-2"] {
        api.begin(id, one.clone()).await;
    }
    let before = api.get("/v1/locks/user:1").await.json()["token"].as_u64().unwrap();
    let reason = json!({ "reason": "its client is gone" });
    let headers = [("amends-actor", "ann")];
    let path = "/v1/locks/user:1/release";
    assert_eq!(api.post_with(path, &headers, &reason).await.status, StatusCode::OK);
    let lock = held_by(&api, "t-2").await;
    assert!(lock["token"].as_u64().unwrap() > before, "{lock:#}");
    assert_eq!(lock["queue"][0]["saga"], "t-1", "it stands at the end again");
    assert_eq!(api.enlist("t-1", "reserve", &compensation()).await.code(), "not-running");
    log.add("journal", &api.get("/v1/sagas/t-1/journal").await);
    log.add("unknown key", &api.command("/v1/locks/user:2/release").await);
    log.add("odd body", &api.post(path, &json!({ "reson": "x" })).await);
    insta::assert_snapshot!("release", log.text());
}

#[tokio::test(start_paused = true)]
async fn lists_of_keys_are_paged() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    let keys = ["a%", "a&b", "b", "c"];
    api.begin("t-1", json!({ "lock_keys": keys })).await;
    let mut found = Vec::new();
    let mut path = "/v1/locks?limit=1".to_owned();
    loop {
        let page = api.get(&path).await.json();
        found.push(page["locks"][0]["key"].as_str().unwrap().to_owned());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/locks?limit=1&cursor={}", next.replace('%', "%25").replace('&', "%26"));
    }
    let mut expected = keys;
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(api.get("/v1/locks?prefix=a%25").await.json()["locks"].as_array().unwrap().len(), 1);
    assert_eq!(api.get("/v1/locks?prefix=").await.json()["locks"].as_array().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn keys_and_parameters_that_cannot_be_used() {
    let api = Api::new().await;
    let long = "x".repeat(257);
    for (path, status, code) in [
        ("/v1/locks?limit=0", 400, "bad-parameter"),
        ("/v1/locks?limit=501", 400, "bad-parameter"),
        ("/v1/locks?cursor=", 400, "bad-parameter"),
        ("/v1/locks?prefix=%01", 400, "bad-parameter"),
        ("/v1/locks?prefix=a%00", 400, "nul-character"),
        ("/v1/locks?key=a", 400, "bad-parameter"),
        ("/v1/locks/a?x=1", 400, "bad-parameter"),
        ("/v1/locks/a%00", 422, "bad-id"),
        ("/v1/locks/%0a", 422, "bad-id"),
        ("/v1/locks/%ff", 422, "bad-id"),
        (&format!("/v1/locks/{long}"), 422, "bad-id"),
        ("/v1/locks/a", 404, "lock-not-found"),
        ("/v1/locks/", 404, "route-not-found"),
    ] {
        let answer = api.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_service_without_a_quorum_is_told_and_keeps_only_locked_sagas_waiting() {
    let service = Arc::new(MemoryLocks::new(3, Duration::from_secs(10)));
    let (engine, config) = (EngineConfig::default(), ApiConfig::default());
    let locks = Some(service.clone() as Arc<_>);
    let api = Api::guarded(ScriptedParticipants::new(), engine, config, locks).await;
    api.prepare().await;
    let mut log = Transcript::default();
    log.add("well", &api.get("/readyz").await);
    service.partition(2);
    log.add("cut off", &api.get("/readyz").await);
    let locked = api.begin("locked", json!({ "lock_keys": ["user:1"] })).await.json();
    assert_eq!(locked["status"], "queued", "{locked:#}");
    assert_eq!(api.begin("free", json!({})).await.json()["status"], "running");
    insta::assert_snapshot!("readiness", log.text());
}
