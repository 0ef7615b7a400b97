//! Every route's good and bad answers.

use amends_core::saga::{Answer as CallAnswer, Op, OutcomeKind};
use amends_core::{Json, ParticipantName};
use amends_ports::testing::{ScriptedAnswer, ScriptedParticipants};
use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::support::{Api, Transcript, order, refused};

fn with_fields(mut value: Value, fields: &Value) -> Value {
    value.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    value
}

#[tokio::test(start_paused = true)]
async fn participants() {
    let (api, mut log) = (Api::new().await, Transcript::default());
    let spec = json!({
        "endpoints": ["http://127.0.0.1:9001"], "health": "/health", "timeout": "2s",
        "auth": { "type": "bearer", "token": "canary-token" }, "labels": { "team": "stock" }
    });
    let path = "/v1/participants/inventory";
    log.add("PUT new", &api.put(path, &spec).await);
    log.add(
        "PUT again",
        &api.put(path, &with_fields(spec.clone(), &json!({ "name": "inventory" }))).await,
    );
    log.add(
        "PUT with another name",
        &api.put(path, &with_fields(spec.clone(), &json!({ "name": "x" }))).await,
    );
    let faulty = json!({ "endpoint": "http://x", "endpoints": ["ftp://x"], "timeout": 3 });
    log.add("PUT with faults", &api.put(path, &faulty).await);
    let tagged = |tag: &str| {
        Request::put(path).header("content-type", "application/json").header("if-match", tag)
    };
    let body = || Body::from(spec.to_string());
    log.add("PUT If-Match", &api.send(tagged("\"2\"").body(body()).unwrap()).await);
    log.add("PUT old If-Match", &api.send(tagged("\"2\"").body(body()).unwrap()).await);
    log.add("PUT odd If-Match", &api.send(tagged("W/\"2\"").body(body()).unwrap()).await);
    let named = with_fields(spec.clone(), &json!({ "name": "payment" }));
    log.add("POST new", &api.post("/v1/participants", &named).await);
    log.add(
        "POST only if new",
        &api.post_with("/v1/participants", &[("if-none-match", "*")], &named).await,
    );
    log.add("POST nameless", &api.post("/v1/participants", &spec).await);
    log.add("GET list", &api.get("/v1/participants").await);
    log.add("GET one", &api.get(path).await);
    log.add("GET unknown", &api.get("/v1/participants/nobody").await);
    log.add("GET ill-formed", &api.get("/v1/participants/%2e%2e").await);
    log.add("check", &api.command("/v1/participants/inventory/check").await);
    let payment = ParticipantName::new("payment").unwrap();
    api.participants.set_unhealthy(&payment, "it answered 503");
    log.add("check unhealthy", &api.command("/v1/participants/payment/check").await);
    log.add("check unknown", &api.command("/v1/participants/nobody/check").await);
    assert_eq!(api.post("/v1/definitions", &order()).await.status, StatusCode::CREATED);
    log.add("DELETE in use", &api.delete(path).await);
    log.add("DELETE by force", &api.delete("/v1/participants/inventory?force=true").await);
    log.add("DELETE again", &api.delete("/v1/participants/inventory?force=true").await);
    log.add("DELETE oddly", &api.delete("/v1/participants/inventory?force=maybe").await);
    let text = log.text();
    assert!(!text.contains("canary"), "a secret was shown");
    insta::assert_snapshot!("participants", text);
}

#[tokio::test(start_paused = true)]
async fn definitions() {
    let (api, mut log) = (Api::new().await, Transcript::default());
    for name in ["inventory", "payment"] {
        let spec = json!({ "name": name, "endpoints": ["http://x.test"], "timeout": "1s" });
        api.post("/v1/participants", &spec).await;
    }
    log.add("validate", &api.post("/v1/definitions/validate", &order()).await);
    let faulty = json!({
        "name": "order", "stepps": [], "steps": [
            { "id": "a", "participant": "nobody", "action": { "path": "/x" }, "after": ["b"] },
            { "id": "b", "participant": "payment", "action": { "path": "/x" }, "after": ["a"] },
            { "id": "a", "participant": "payment", "try": { "path": "/x" } }
        ]
    });
    log.add("validate with faults", &api.post("/v1/definitions/validate", &faulty).await);
    log.add("POST", &api.post("/v1/definitions", &order()).await);
    log.add("POST again", &api.post("/v1/definitions", &order()).await);
    let changed = with_fields(order(), &json!({ "description": "changed" }));
    log.add("POST changed", &api.post("/v1/definitions", &changed).await);
    log.add("POST with faults", &api.post("/v1/definitions", &faulty).await);
    let reserved = with_fields(order(), &json!({ "name": "validate" }));
    log.add("POST reserved name", &api.post("/v1/definitions", &reserved).await);
    let yaml = "name: ship\nsteps:\n  - id: send\n    participant: inventory\n    \
                action: { path: /send, timeout: 1s }\n    compensation: { path: /back }\n";
    let send_yaml = |path: &str, text: &str| {
        let request = Request::post(path).header("content-type", "application/yaml");
        request.body(Body::from(text.to_owned())).unwrap()
    };
    log.add("POST yaml", &api.send(send_yaml("/v1/definitions", yaml)).await);
    log.add("POST bad yaml", &api.send(send_yaml("/v1/definitions", "a: [")).await);
    log.add("GET list", &api.get("/v1/definitions?limit=1").await);
    log.add("GET next page", &api.get("/v1/definitions?limit=1&after=order").await);
    log.add("GET newest", &api.get("/v1/definitions/order").await);
    log.add("GET version", &api.get("/v1/definitions/order/versions/1").await);
    log.add("GET unknown version", &api.get("/v1/definitions/order/versions/9").await);
    log.add("GET odd version", &api.get("/v1/definitions/order/versions/0").await);
    log.add("GET unknown", &api.get("/v1/definitions/nothing").await);
    log.add("explore", &api.command("/v1/definitions/ship/explore").await);
    log.add(
        "explore unknown version",
        &api.command("/v1/definitions/ship/explore?version=2").await,
    );
    log.add("explore with faults", &api.post("/v1/definitions/explore", &faulty).await);
    let explored = api.send(send_yaml("/v1/definitions/explore", yaml)).await;
    assert_eq!(explored.json(), api.command("/v1/definitions/ship/explore").await.json());
    insta::assert_snapshot!("definitions", log.text());
}

#[tokio::test(start_paused = true)]
async fn sagas_are_started_once_and_shown() {
    let participants = ScriptedParticipants::answering(|call| {
        let output = Json::parse(r#"{"no":1}"#).unwrap();
        CallAnswer::succeeded(call.key.op.is_forward().then_some(output))
    });
    let (api, mut log) = (Api::ready_with(participants).await, Transcript::default());
    let request =
        json!({ "definition": "order", "input": { "qty": 2 }, "labels": { "shop": "eu" } });
    let key = [("idempotency-key", "\"order-42\""), ("prefer", "wait=10")];
    let first = api.post_with("/v1/sagas", &key, &request).await;
    log.add("start and wait", &first);
    let again = api.post_with("/v1/sagas", &[("idempotency-key", "order-42")], &request).await;
    log.add("again with the same key", &again);
    assert_eq!(again.json()["id"], first.json()["id"]);
    let other = with_fields(request.clone(), &json!({ "input": { "qty": 3 } }));
    log.add("same key, other content", &api.post_with("/v1/sagas", &key, &other).await);
    let own = api.post("/v1/sagas", &with_fields(request.clone(), &json!({ "id": "mine" }))).await;
    assert_eq!(own.status, StatusCode::CREATED);
    assert_eq!(own.header("location"), Some("/v1/sagas/mine"));
    log.add(
        "same id, other content",
        &api.post("/v1/sagas", &with_fields(other, &json!({ "id": "mine" }))).await,
    );
    let ad_hoc = with_fields(request.clone(), &json!({ "id": "ad-hoc", "definition": order() }));
    let answer = api.post_with("/v1/sagas", &[("prefer", "wait=5")], &ad_hoc).await;
    assert_eq!((answer.status, &answer.json()["version"]), (StatusCode::CREATED, &Value::Null));
    let later = json!({ "id": "later", "start_at": "2026-01-05T00:00:00Z", "deadline": "10d" });
    log.add("start later", &api.post("/v1/sagas", &with_fields(request.clone(), &later)).await);
    log.add(
        "unknown definition",
        &api.post("/v1/sagas", &json!({ "definition": "nothing" })).await,
    );
    log.add(
        "unknown version",
        &api.post("/v1/sagas", &json!({ "definition": "order", "version": 9 })).await,
    );
    log.add(
        "bad input",
        &api.post("/v1/sagas", &json!({ "definition": "order", "input": { "qty": 0 } })).await,
    );
    let faulty = with_fields(order(), &json!({ "steps": [{ "id": "a" }] }));
    log.add("faulty ad hoc", &api.post("/v1/sagas", &json!({ "definition": faulty })).await);
    log.add("GET", &api.get("/v1/sagas/later").await);
    log.add("GET unknown", &api.get("/v1/sagas/nothing").await);
    log.add("journal", &api.get("/v1/sagas/mine/journal").await);
    log.add("journal page", &api.get("/v1/sagas/mine/journal?from=2&limit=1").await);
    log.add("journal of unknown", &api.get("/v1/sagas/nothing/journal").await);
    log.add("counts", &api.get("/v1/sagas/counts").await);
    insta::assert_snapshot!("sagas", log.text());
}

#[tokio::test(start_paused = true)]
async fn lists_are_filtered_and_paged() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    for (id, shop) in [("a-1", "eu"), ("a-2", "us"), ("b-1", "eu")] {
        api.settle(id, json!({ "labels": { "shop": shop } })).await;
    }
    api.settle("z-1", json!({ "start_at": "2026-02-01T00:00:00Z" })).await;
    let ids = |answer: &crate::support::Answer| -> Vec<String> {
        let value = answer.json();
        let rows = value["sagas"].as_array().unwrap();
        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    for (query, expected) in [
        ("", vec!["z-1", "b-1", "a-2", "a-1"]),
        ("?status=completed", vec!["b-1", "a-2", "a-1"]),
        ("?status=queued,suspended", vec!["z-1"]),
        ("?label=shop:eu", vec!["b-1", "a-1"]),
        ("?q=a-&status=completed&status=running", vec!["a-2", "a-1"]),
        ("?definition=other", vec![]),
        ("?key=sku:1", vec![]),
        ("?before=2020-01-01T00:00:00Z", vec![]),
        ("?from=2020-01-01T00:00:00Z&limit=1", vec!["z-1"]),
    ] {
        let answer = api.get(&format!("/v1/sagas{query}")).await;
        assert_eq!(ids(&answer), expected, "{query}");
    }
    let mut log = Transcript::default();
    let first = api.get("/v1/sagas?limit=2").await;
    let cursor = first.json()["next"].as_str().unwrap().to_owned();
    let second = api.get(&format!("/v1/sagas?limit=2&cursor={cursor}")).await;
    assert_eq!(ids(&second), ["a-2", "a-1"]);
    assert_eq!(second.json()["next"], Value::Null);
    log.add("a row", &api.get("/v1/sagas?q=a-1").await);
    insta::assert_snapshot!("list", log.text());
}

/// The card is declined, and the shelf cannot be given back.
fn stuck() -> ScriptedParticipants {
    ScriptedParticipants::answering(|call| match call.key.op {
        Op::Try => refused("card declined"),
        Op::Compensation => refused("no such shelf"),
        Op::Action | Op::Confirm | Op::Cancel => CallAnswer::succeeded(None),
    })
}

#[tokio::test(start_paused = true)]
async fn a_suspended_saga_is_mended_by_commands() {
    let (api, mut log) = (Api::ready_with(stuck()).await, Transcript::default());
    log.add("suspended", &api.settle("s-1", json!({})).await);
    let reason = json!({ "reason": "looked at the shelf" });
    log.add("skip", &api.post("/v1/sagas/s-1/steps/charge/skip", &reason).await);
    log.add(
        "resolve failed",
        &api.post("/v1/sagas/s-1/steps/reserve/resolve-failed", &reason).await,
    );
    log.add("unknown step", &api.post("/v1/sagas/s-1/steps/nothing/resolve-undone", &reason).await);
    log.add(
        "retry unknown step",
        &api.post("/v1/sagas/s-1/retry", &json!({ "step": "nothing" })).await,
    );
    let actor = [("amends-actor", "ann")];
    let retried = api.post_with("/v1/sagas/s-1/retry", &actor, &json!({ "step": "reserve" })).await;
    assert_eq!(retried.status, StatusCode::OK, "{}", retried.json());
    log.add("pause", &api.post_with("/v1/sagas/s-1/pause", &actor, &reason).await);
    log.add("pause again", &api.command("/v1/sagas/s-1/pause").await);
    log.add("retry while paused", &api.command("/v1/sagas/s-1/retry").await);
    assert_eq!(api.command("/v1/sagas/s-1/resume").await.status, StatusCode::OK);
    api.engine.wait(&"s-1".parse().unwrap(), std::time::Duration::from_mins(1)).await.unwrap();
    log.add("cancel", &api.command("/v1/sagas/s-1/cancel").await);
    let undone = api.post_with("/v1/sagas/s-1/steps/reserve/resolve-undone", &actor, &reason).await;
    log.add("resolve undone", &undone);
    log.add("pause an ended saga", &api.command("/v1/sagas/s-1/pause").await);
    log.add("pause an unknown saga", &api.command("/v1/sagas/nothing/pause").await);
    insta::assert_snapshot!("commands", log.text());
}

#[tokio::test(start_paused = true)]
async fn a_running_saga_takes_what_fits_it() {
    let participants = ScriptedParticipants::scripted(|call| match call.key.op {
        Op::Action => ScriptedAnswer::now(CallAnswer::failed(
            OutcomeKind::Unknown,
            true,
            refused("it did not answer").problem.unwrap(),
        )),
        Op::Compensation | Op::Try | Op::Confirm | Op::Cancel => {
            ScriptedAnswer::now(CallAnswer::succeeded(None))
        }
    });
    let api = Api::ready_with(participants).await;
    let slow = json!({
        "name": "slow",
        "steps": [
            { "id": "one", "participant": "inventory",
              "action": { "path": "/x", "timeout": "1s",
                "retry": { "max_attempts": 9, "initial": "1h", "factor": 1, "max": "1h", "jitter": "none" } },
              "compensation": { "path": "/y" } },
            { "id": "two", "participant": "payment", "action": { "path": "/x" }, "on_failure": "ignore" }
        ],
        "output": "${steps.one.output}"
    });
    let start = |id: &str| json!({ "definition": slow, "id": id });
    let mut log = Transcript::default();
    for id in ["r-1", "r-2", "r-3"] {
        assert_eq!(
            api.post_with("/v1/sagas", &[("prefer", "wait=1")], &start(id)).await.status,
            StatusCode::CREATED
        );
    }
    log.add("waiting for a retry", &api.get("/v1/sagas/r-1").await);
    let skipped = api.command("/v1/sagas/r-1/steps/two/skip").await;
    assert_eq!(skipped.json()["steps"][1]["status"], "skipped");
    let of_try = json!({ "op": "try", "reason": "seen" });
    log.add("another call", &api.post("/v1/sagas/r-1/steps/one/resolve-succeeded", &of_try).await);
    let of_undo = json!({ "op": "compensation" });
    log.add("no such op", &api.post("/v1/sagas/r-1/steps/one/resolve-succeeded", &of_undo).await);
    let output = json!({ "output": { "no": 7 }, "op": "action", "reason": "seen" });
    api.post("/v1/sagas/r-1/steps/one/resolve-succeeded", &output).await;
    let id = "r-1".parse().unwrap();
    api.engine.wait(&id, std::time::Duration::from_secs(9)).await.unwrap();
    log.add("resolved as succeeded", &api.get("/v1/sagas/r-1").await);
    log.add("nothing to retry", &api.command("/v1/sagas/r-1/retry").await);
    log.add("abandon", &api.command("/v1/sagas/r-2/abandon").await);
    let failed = api.command("/v1/sagas/r-2/steps/one/resolve-failed").await;
    assert_eq!(failed.status, StatusCode::OK, "{}", failed.json());
    let cancelled = api.post("/v1/sagas/r-3/cancel", &json!({ "reason": "changed my mind" })).await;
    assert_eq!(cancelled.status, StatusCode::OK);
    let id = "r-3".parse().unwrap();
    // What is reported as ended is in the store.
    let ended = api.engine.wait(&id, std::time::Duration::from_secs(9)).await.unwrap().unwrap();
    assert!(ended.saga.status().is_terminal());
    log.add("cancelled", &api.get("/v1/sagas/r-3").await);
    insta::assert_snapshot!("running", log.text());
}

#[tokio::test(start_paused = true)]
async fn pending_calls_are_completed_once() {
    let participants = ScriptedParticipants::answering(|call| {
        let mut answer = CallAnswer::succeeded(None);
        if call.key.op == Op::Action {
            answer.outcome = OutcomeKind::Pending;
        }
        answer
    });
    let api = Api::ready_with(participants).await;
    let slow = json!({
        "name": "slow",
        "steps": [{
            "id": "one", "participant": "inventory", "completion": "callback",
            "action": { "path": "/x", "timeout": "10m" }, "compensation": { "path": "/y" }
        }],
        "output": "${steps.one.output}"
    });
    let mut log = Transcript::default();
    for id in ["c-1", "c-2"] {
        let start = json!({ "definition": slow, "id": id });
        api.post_with("/v1/sagas", &[("prefer", "wait=1")], &start).await;
    }
    let url = |index: usize| {
        let url = api.participants.calls()[index].context.callback_url.clone().unwrap();
        url[url.find("/v1/").unwrap()..].to_owned()
    };
    log.add("pending", &api.get("/v1/sagas/c-1").await);
    let output = json!({ "no": 1 });
    log.add("wrong token", &api.post("/v1/callbacks/c-1/one/action/nothing", &output).await);
    log.add(
        "ill-formed",
        &api.post("/v1/callbacks/c 1/one/action/nothing".replace(' ', "%20").as_str(), &output)
            .await,
    );
    log.add("completed", &api.post(&url(0), &output).await);
    log.add("completed again", &api.post(&url(0), &output).await);
    let completion = |text: &str| {
        let request =
            Request::post(url(1)).header("content-type", "application/vnd.amends.completion+json");
        request.body(Body::from(text.to_owned())).unwrap()
    };
    log.add("odd outcome", &api.send(completion(r#"{"outcome":"done","x":1}"#)).await);
    log.add("no outcome", &api.send(completion("{}")).await);
    let refusal = r#"{"outcome":"refused","detail":"no more of it"}"#;
    log.add("refused", &api.send(completion(refusal)).await);
    for id in ["c-1", "c-2"] {
        let own = id.parse().unwrap();
        api.engine.wait(&own, std::time::Duration::from_secs(9)).await.unwrap();
        log.add("after it", &api.get(&format!("/v1/sagas/{id}")).await);
    }
    insta::assert_snapshot!("callbacks", log.text());
}

#[tokio::test(start_paused = true)]
async fn the_process_shows_how_it_is() {
    let (api, mut log) = (Api::new().await, Transcript::default());
    log.add("live", &api.get("/livez").await);
    log.add("ready", &api.get("/readyz").await);
    api.store.set_down(true);
    log.add("store down", &api.get("/readyz").await);
    api.store.set_down(false);
    let metrics = api.get("/metrics").await;
    assert_eq!(
        metrics.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains("/readyz") && text.ends_with("# EOF\n"), "{text}");
    api.engine.drain().await;
    log.add("draining", &api.get("/readyz").await);
    insta::assert_snapshot!("process", log.text());
}

/// Nothing is documented that does not exist: each operation is asked once, with names of nothing.
#[tokio::test(start_paused = true)]
async fn every_documented_operation_answers() {
    let api = Api::new().await;
    for operation in api.contract.operations() {
        let (method, template) = operation.split_once(' ').unwrap();
        let path: String = template.replace("{op}", "action").replace(['{', '}'], "");
        let path = path.replace("versions/version", "versions/1");
        if path == "/v1/sagas/events" {
            continue;
        }
        let request = Request::builder().method(method).uri(&path);
        let request = request.header("content-type", "application/json");
        let answer = api.send(request.body(Body::from("{}")).unwrap()).await;
        let missing = ["route-not-found", "method-not-allowed"];
        assert!(!missing.contains(&answer.code().as_str()), "{operation}");
    }
}
