//! Lists, journals, definitions, participants and locks.

use std::time::Duration;

use amends_client::rest::{Document, Op, Outcome, ParticipantSpec, Status};
use serde_json::json;

use crate::script::{Script, json_reply, problem};

#[tokio::test]
async fn a_list_is_read_page_by_page_under_the_same_filter() {
    let row = |id: &str| json!({"id": id, "definition": "d", "status": "suspended", "more": 1});
    let script = Script::of([
        json_reply(200, &json!({"sagas": [row("a"), row("b")], "next": "c+1"})),
        json_reply(200, &json!({"sagas": [], "next": "c2"})),
        json_reply(200, &json!({"sagas": [row("c")], "next": null})),
    ])
    .await;
    let query = script
        .client()
        .sagas()
        .status(Status::Suspended)
        .status(Status::Running)
        .label("shop", "berlin & co")
        .lock_key("sku:42")
        .before("2026-11-22T14:00:00Z".parse().unwrap())
        .limit(2);
    let ids: Vec<_> = query.stream().all().await.unwrap().into_iter().map(|own| own.id).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    let filter = "GET /v1/sagas?status=suspended&status=running&label=shop%3Aberlin+%26+co\
        &key=sku%3A42&before=2026-11-22T14%3A00%3A00Z&limit=2";
    let lines: Vec<_> = script.end().into_iter().map(|own| own.line).collect();
    assert_eq!(
        lines,
        [filter.to_owned(), format!("{filter}&cursor=c%2B1"), format!("{filter}&cursor=c2")]
    );
}

#[tokio::test]
async fn an_error_ends_a_list() {
    let script = Script::of([
        json_reply(200, &json!({"sagas": [{"id": "a", "status": "running"}], "next": "x"})),
        problem(400, "bad-parameter"),
    ])
    .await;
    let mut rows = script.client().sagas().stream();
    assert_eq!(rows.next().await.unwrap().unwrap().id, "a");
    assert_eq!(rows.next().await.unwrap().unwrap_err().code(), Some("bad-parameter"));
    assert!(rows.next().await.is_none());
    script.end();
}

#[tokio::test]
async fn a_journal_is_read_to_its_end() {
    let script = Script::of([
        json_reply(
            200,
            &json!({"from": 0, "next": 1, "records":
            [{"seq": 0, "at": "2026-11-22T14:00:00Z", "event": "accepted"}]}),
        ),
        json_reply(
            200,
            &json!({"from": 1, "next": null, "records":
            [{"seq": 1, "at": "2026-11-22T14:00:01Z", "event": "call_answered", "step": "pay",
              "op": "action", "attempt": 2, "outcome": "refused", "sent": true,
              "problem": {"kind": "status", "status": 402, "detail": "no"}}]}),
        ),
    ])
    .await;
    let records = script.client().saga("s1").journal().all().await.unwrap();
    assert_eq!((records[0].event.as_str(), records[1].seq), ("accepted", 1));
    assert_eq!((&records[1].op, &records[1].outcome), (&Some(Op::Action), &Some(Outcome::Refused)));
    assert_eq!(records[1].more["sent"], true);
    assert_eq!(records[1].problem.as_ref().unwrap().status, Some(402));
    assert_eq!(script.end()[1].line, "GET /v1/sagas/s1/journal?from=1&limit=200");
}

#[tokio::test]
async fn definitions_are_put_checked_and_explored() {
    let stored = json!({"name": "d", "version": 2, "digest": "ab",
        "created_at": "2026-11-22T14:00:00Z", "warnings": []});
    let faults = json!({"valid": false, "faults":
        [{"pointer": "/steps", "code": "cycle", "severity": "error", "detail": "x"}]});
    let runs = json!({"definition": "d", "runs": [
        {"failure": null, "failures": [], "calls": [], "status": "completed", "reason": null},
        {"failure": {"step": "s", "op": "action", "outcome": "timed_out"}, "status": "compensated",
         "calls": [{"step": "s", "op": "action", "attempts": 2, "outcome": "unknown"}]}]});
    let script = Script::of([
        json_reply(201, &stored),
        json_reply(200, &faults),
        json_reply(200, &runs),
        json_reply(200, &json!({"definitions": [stored], "next": null})),
    ])
    .await;
    let definitions = script.client().definitions();
    assert_eq!(definitions.put("name: d\nsteps: []\n").await.unwrap().version, 2);
    let checked = definitions.validate(Document::json(&json!({"name": "d"}))).await.unwrap();
    assert!(!checked.valid && checked.faults[0].code == "cycle");
    let explored = definitions.explore("d", Some(2)).await.unwrap();
    assert_eq!(explored.runs[1].failure.as_ref().unwrap().outcome, Outcome::TimedOut);
    assert_eq!(definitions.list().all().await.unwrap().len(), 1);
    let heard = script.end();
    assert_eq!(heard[0].header("content-type"), Some("application/yaml"));
    assert_eq!(heard[1].header("content-type"), Some("application/json"));
    assert_eq!(heard[2].line, "POST /v1/definitions/d/explore?version=2");
}

#[tokio::test]
async fn participants_are_registered_and_checked() {
    let view = json!({"name": "p", "protocol": "http", "endpoints": ["http://a/"], "revision": 3});
    let script = Script::of([
        json_reply(200, &view),
        json_reply(200, &json!({"participants": [view]})),
        json_reply(
            200,
            &json!({"name": "p", "healthy": false, "endpoints":
            [{"url": "http://a/", "healthy": false, "detail": "away"}]}),
        ),
    ])
    .await;
    let participants = script.client().participants();
    let spec = ParticipantSpec::new("p")
        .endpoint("http://a")
        .endpoint("http://b")
        .health("/health")
        .timeout(Duration::from_secs(2))
        .bearer_token("secret")
        .field("breaker", &json!(false));
    assert!(!format!("{spec:?}").contains("secret"));
    let stored = participants.put(&spec).await.unwrap();
    assert_eq!((stored.revision, &stored.more["protocol"]), (3, &json!("http")));
    assert_eq!(participants.list().await.unwrap(), [stored]);
    assert!(!participants.check("p").await.unwrap().healthy);
    let heard = script.end();
    assert_eq!(heard[0].line, "PUT /v1/participants/p");
    assert_eq!(
        heard[0].json(),
        json!({"endpoints": ["http://a", "http://b"], "health": "/health", "timeout": "2s",
            "auth": {"type": "bearer", "token": "secret"}, "breaker": false})
    );
}

#[tokio::test]
async fn lock_keys_of_any_shape_are_asked_for() {
    let holder = json!({"saga": "s1", "definition": "d", "status": "running",
        "since": "2026-11-22T14:00:00Z"});
    let lock = json!({"key": "sku/4 2%", "token": 7, "holder": holder, "waiting": 1,
        "queue": [{"position": 1, "saga": "s2", "definition": "d", "status": "queued",
            "since": "2026-11-22T14:00:00Z"}]});
    let script = Script::of([
        json_reply(200, &lock),
        json_reply(200, &json!({"locks": [lock], "next": null})),
        json_reply(200, &json!({"key": "k", "token": 8, "holder": null, "waiting": 0})),
    ])
    .await;
    let locks = script.client().locks();
    let found = locks.get("sku/4 2%").await.unwrap();
    assert_eq!((found.holder.unwrap().saga.as_str(), found.queue[0].position), ("s1", 1));
    assert_eq!(locks.list("sku/").all().await.unwrap()[0].token, Some(7));
    assert_eq!(locks.release("k").reason("stuck").send().await.unwrap().holder, None);
    let lines: Vec<_> = script.end().into_iter().map(|own| own.line).collect();
    assert_eq!(
        lines,
        ["GET /v1/locks/sku%2F4%202%25", "GET /v1/locks?prefix=sku%2F", "POST /v1/locks/k/release"]
    );
}
