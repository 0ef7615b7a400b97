//! Begins, branches and decisions that cannot be: each is refused with its code and place.

use amends_core::definition::Branch;
use amends_ports::testing::ScriptedParticipants;
use http::StatusCode;
use serde_json::{Value, json};

use crate::interactive::compensation;
use crate::support::{Api, Transcript};

#[tokio::test(start_paused = true)]
async fn every_fault_of_a_begin_is_reported_with_its_place() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    let mut log = Transcript::default();
    let many: Vec<String> = (0..17).map(|index| format!("sku:{index}")).collect();
    for body in [
        json!({ "mode": "manual" }),
        json!({ "mode": 1 }),
        json!({ "mode": "interactive", "definition": "order", "version": 1, "start_at": "2026-01-01T00:00:00Z" }),
        json!({ "mode": "interactive", "name": "a/b", "deadline": "500ms", "lock_wait": "0s" }),
        json!({ "mode": "interactive", "deadline": "367d", "lock_wait": "367d" }),
        json!({ "mode": "interactive", "lock_keys": many }),
        json!({ "mode": "interactive", "lock_keys": ["", "x".repeat(257), "a\nb", 7, "good"] }),
        json!({ "mode": "interactive", "lock_keys": "sku:42" }),
        json!({ "mode": "interactive", "prepared": "yes" }),
        json!({ "mode": "interactive", "prepared": { "participant": "nobody", "url": "/x" } }),
        json!({ "mode": "interactive", "steps": [] }),
        json!({ "definition": "order", "name": "x", "lock_keys": ["a"], "lock_wait": "1s", "prepared": {} }),
    ] {
        let answer = api.post("/v1/sagas", &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        log.add("begin", &answer);
    }
    insta::assert_snapshot!("begin_faults", log.text());
    assert_eq!(api.get("/v1/sagas").await.json()["sagas"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn the_bounds_of_a_begin_are_inclusive() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    let keys: Vec<String> = (0..16).map(|index| format!("{index:02}{}", "k".repeat(254))).collect();
    for (id, body) in [
        ("a", json!({ "deadline": "1s", "lock_keys": keys, "lock_wait": "1ms" })),
        ("b", json!({ "deadline": "366d", "lock_wait": "366d", "lock_keys": [] })),
        ("c", json!({ "name": null, "lock_keys": null, "prepared": null, "definition": null })),
    ] {
        let answer = api.begin(id, body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
    }
    assert_eq!(api.get("/v1/sagas/c").await.json()["definition"], "interactive");
}

#[tokio::test(start_paused = true)]
async fn every_fault_of_a_branch_is_reported_with_its_place() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    let mut log = Transcript::default();
    let pivot = json!({ "name": "ship", "steps": [
        { "id": "send", "participant": "inventory", "action": { "path": "/x" }, "pivot": true }
    ] });
    assert_eq!(api.post("/v1/definitions", &pivot).await.status, StatusCode::CREATED);
    api.begin("t-1", json!({})).await;
    for body in [
        json!({}),
        json!([]),
        json!({ "participant": "inventory" }),
        json!({ "participant": "payment", "confirm": { "path": "/x" } }),
        json!({ "participant": "nobody", "compensation": { "path": "/x" } }),
        json!({ "participant": "inventory", "compensation": { "path": "x", "methd": "PUT", "timeout": "0s" } }),
        json!({ "participant": "inventory", "compensation": { "path": "/x", "headers": { "saga-id": "x" } } }),
        json!({ "participant": "inventory", "compensation": { "path": "/x" }, "action": { "path": "/x" } }),
        json!({ "participant": "inventory", "compensation": { "path": "/x" }, "after": ["nothing"] }),
        json!({ "saga": { "definition": "nothing" } }),
        json!({ "saga": { "definition": "order", "version": 9 } }),
        json!({ "saga": { "definition": "order", "input": { "qty": 0 } } }),
        json!({ "saga": { "definition": "ship" } }),
        json!({ "saga": { "definition": "order", "input": { "qty": 1 } }, "participant": "inventory" }),
    ] {
        let answer = api.enlist("t-1", "one", &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(answer.code(), "branch-invalid", "{body}");
        log.add("enlist", &answer);
    }
    insta::assert_snapshot!("branch_faults", log.text());
    assert_eq!(api.get("/v1/sagas/t-1").await.json()["steps"], json!([]));
    assert_eq!(api.enlist("t-1", "a.b", &compensation()).await.code(), "bad-id");
    assert_eq!(api.enlist("t-1", "1st", &compensation()).await.code(), "bad-id");
}

#[tokio::test(start_paused = true)]
async fn a_transaction_has_a_bound_of_branches() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    api.begin("t-1", json!({})).await;
    for index in 0..Branch::COUNT_MAX {
        let answer = api.enlist("t-1", &format!("b{index}"), &compensation()).await;
        assert_eq!(answer.status, StatusCode::CREATED);
    }
    let answer = api.enlist("t-1", "more", &compensation()).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "too-many-branches"));
    assert_eq!(api.enlist("t-1", "b0", &compensation()).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_or_does_not_fit_is_refused() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    let hour = json!({ "deadline": "1h" });
    for (path, body) in [
        ("/v1/sagas/nothing/commit", json!({})),
        ("/v1/sagas/nothing/rollback", json!({})),
        ("/v1/sagas/nothing/cancel", json!({})),
        ("/v1/sagas/nothing/extend", hour.clone()),
    ] {
        let answer = api.post(path, &body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "saga-not-found"));
    }
    assert_eq!(api.enlist("nothing", "a", &compensation()).await.code(), "saga-not-found");

    api.settle("later", json!({ "start_at": "2026-02-01T00:00:00Z" })).await;
    for (path, body) in [("/v1/sagas/later/commit", json!({})), ("/v1/sagas/later/extend", hour)] {
        let answer = api.post(path, &body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "not-interactive"));
    }
    assert_eq!(api.enlist("later", "a", &compensation()).await.code(), "not-interactive");

    api.begin("t-1", json!({})).await;
    for (body, code) in [
        (json!({}), "missing-field"),
        (json!({ "deadline": null }), "missing-field"),
        (json!({ "deadline": 30 }), "wrong-type"),
        (json!({ "deadline": "soon" }), "wrong-type"),
        (json!({ "deadline": "999ms" }), "out-of-range"),
        (json!({ "deadline": "366d1s" }), "out-of-range"),
        (json!({ "deadline": "30s", "until": "x" }), "unknown-field"),
    ] {
        let answer = api.post("/v1/sagas/t-1/extend", &body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, code), "{body}");
    }
    for path in ["/v1/sagas/t-1/commit", "/v1/sagas/t-1/rollback"] {
        assert_eq!(api.post(path, &json!({ "reson": 1 })).await.code(), "unknown-field", "{path}");
    }
    assert_eq!(api.command("/v1/sagas/t-1/pause").await.status, StatusCode::OK);
    let answer = api.enlist("t-1", "a", &compensation()).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "not-running"));
    assert_eq!(answer.json()["allowed"], json!(["resume", "commit", "cancel"]));
}

#[tokio::test(start_paused = true)]
async fn a_begin_is_told_from_another_one_by_all_that_it_says() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    let base = json!({ "mode": "interactive", "id": "t-1", "lock_keys": ["a", "b"], "lock_wait": "1s",
        "prepared": { "participant": "payment", "path": "/orders/7" } });
    let with = |field: &str, value: Value| {
        let mut body = base.clone();
        body[field] = value;
        body
    };
    assert_eq!(api.post("/v1/sagas", &base).await.status, StatusCode::CREATED);
    let same = with("lock_keys", json!(["b", "a", "b"]));
    assert_eq!(api.post("/v1/sagas", &same).await.status, StatusCode::OK);
    for body in [
        with("name", json!("other")),
        with("lock_keys", json!(["a"])),
        with("lock_wait", json!("2s")),
        with("prepared", json!({ "participant": "payment", "path": "/orders/8" })),
        with("prepared", Value::Null),
        with("deadline", json!("2m")),
    ] {
        assert_eq!(api.post("/v1/sagas", &body).await.code(), "idempotency-mismatch", "{body}");
    }
}

/// A definition may be of this mode too: then it has a name, a deadline and lock keys, and no steps.
#[tokio::test(start_paused = true)]
async fn a_stored_definition_may_be_interactive() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    let definition = json!({
        "name": "cart", "mode": "interactive", "deadline": "5m",
        "lock": { "keys": ["cart:${input.cart}"], "on_lost": "abort" }
    });
    let stored = api.post("/v1/definitions", &definition).await;
    assert_eq!(stored.status, StatusCode::CREATED, "{}", stored.json());
    let start = json!({ "definition": "cart", "id": "t-1", "input": { "cart": 7 } });
    let saga = api.post_with("/v1/sagas", &[("prefer", "wait=5")], &start).await.json();
    assert_eq!((&saga["mode"], &saga["status"]), (&json!("interactive"), &json!("running")));
    assert_eq!(saga["lock"]["keys"][0]["key"], "cart:7");
    assert_eq!(api.enlist("t-1", "a", &compensation()).await.status, StatusCode::CREATED);
    assert_eq!(api.decide("t-1", "commit").await.json()["status"], "completed");
    let explored = api.command("/v1/definitions/cart/explore").await;
    assert_eq!(explored.status, StatusCode::OK, "{}", explored.json());
    let nested = json!({ "saga": { "definition": "cart", "input": { "cart": 7 } } });
    api.begin("t-2", json!({})).await;
    assert_eq!(api.enlist("t-2", "a", &nested).await.code(), "branch-invalid");
}
