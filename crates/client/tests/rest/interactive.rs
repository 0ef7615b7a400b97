//! Interactive transactions.

use std::time::Duration;

use amends_client::Client;
use amends_client::rest::{Call, Error, Nested, Status, Transaction};
use serde_json::json;

use crate::script::{Reply, Script, json_reply, problem, saga};

fn begun() -> Reply {
    json_reply(201, &saga("running", 2))
}

#[tokio::test]
async fn beginning_says_all_that_was_asked_for() {
    let script = Script::of([json_reply(201, &saga("queued", 1)), begun()]).await;
    let tx = script
        .client()
        .begin("checkout")
        .id("s1")
        .deadline(Duration::from_secs(30))
        .lock_key("sku:42")
        .lock_key("user:1")
        .lock_wait(Duration::from_secs(5))
        .label("shop", "berlin")
        .input(&json!({"order": 1}))
        .prepared("shop", Call::get("/checkouts/s1").timeout(Duration::from_secs(1)))
        .send()
        .await
        .unwrap();
    assert_eq!((tx.id(), &tx.begun().unwrap().status), ("s1", &Status::Running));
    let heard = script.end();
    assert_eq!(heard[0].header("prefer"), Some("wait=30"));
    assert_eq!(
        heard[1].json(),
        json!({"mode": "interactive", "name": "checkout", "id": "s1", "deadline": "30s",
            "lock_keys": ["sku:42", "user:1"], "lock_wait": "5s", "labels": {"shop": "berlin"},
            "input": {"order": 1}, "prepared": {"participant": "shop", "method": "GET",
                "path": "/checkouts/s1", "timeout": "1s"}})
    );
}

#[tokio::test]
async fn branches_are_enlisted_and_their_headers_go_with_the_call() {
    let headers = json!({"Idempotency-Key": "\"s1/reserve/action\"", "Saga-Id": "s1",
        "Saga-Lock-Keys": "\"sku:42\"", "Saga-Fencing-Token": "42"});
    let enlisted = |more: serde_json::Value| {
        let mut body = json!({"saga": "s1", "branch": "b", "later": 1});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json_reply(201, &body)
    };
    let script = Script::of([
        Reply::Broken,
        enlisted(json!({ "headers": headers })),
        enlisted(json!({ "headers": {} })),
        enlisted(json!({})),
        enlisted(json!({"child": "s1.flight"})),
    ])
    .await;
    let tx = script.client().interactive("s1");

    let reserve = tx
        .branch("reserve")
        .participant("inventory")
        .compensation(Call::post("/cancel").json(&json!({"n": 1})).header("X-A", "b"))
        .after("other")
        .enlist()
        .await
        .unwrap();
    let request = reqwest::Client::new().post("http://inventory/reserve");
    let request = reserve.apply(request).build().unwrap();
    assert_eq!(request.headers()["idempotency-key"], "\"s1/reserve/action\"");
    assert_eq!(request.headers()["saga-fencing-token"], "42");
    assert_eq!((reserve.id(), reserve.saga(), reserve.headers().len()), ("reserve", "s1", 4));

    let pay = tx.branch("pay").participant("bank");
    let retry = json!({"max_attempts": 3});
    pay.confirm(Call::put("/c").retry(&retry)).cancel(Call::delete("/c")).enlist().await.unwrap();
    let mail = tx.branch("mail").participant("mail").action(Call::post("/send"));
    assert!(mail.enlist().await.unwrap().headers().is_empty());
    let flight = Nested::new("book-flight").version(2).input(&json!({"to": "LIS"}));
    let flight = tx.branch("flight").nested(flight).enlist().await.unwrap();
    assert_eq!(flight.child(), Some("s1.flight"));

    let heard = script.end();
    assert_eq!(heard[0].line, "PUT /v1/sagas/s1/branches/reserve");
    assert_eq!(heard[0].body, heard[1].body);
    let bodies: Vec<_> = heard[1..].iter().map(crate::script::Heard::json).collect();
    assert_eq!(
        bodies,
        [
            json!({"participant": "inventory", "after": ["other"], "compensation":
                {"method": "POST", "path": "/cancel", "body": {"n": 1}, "headers": {"X-A": "b"}}}),
            json!({"participant": "bank", "confirm":
                {"method": "PUT", "path": "/c", "retry": {"max_attempts": 3}},
                "cancel": {"method": "DELETE", "path": "/c"}}),
            json!({"participant": "mail", "action": {"method": "POST", "path": "/send"}}),
            json!({"saga": {"definition": "book-flight", "version": 2, "input": {"to": "LIS"}}}),
        ]
    );
}

#[tokio::test]
async fn a_closure_commits_what_it_did() {
    let script = Script::of([
        begun(),
        json_reply(201, &json!({"saga": "s1", "branch": "a"})),
        Reply::Broken,
        json_reply(200, &saga("confirming", 5)),
    ])
    .await;
    let client = script.client();
    let done = client
        .transaction("checkout", async |tx| {
            tx.branch("a").participant("p").compensation(Call::post("/undo")).enlist().await?;
            Ok::<_, Error>(tx.id().to_owned())
        })
        .await;
    assert_eq!(done.unwrap(), "s1");
    let lines: Vec<_> = script.end().into_iter().map(|own| own.line).collect();
    let commit = "POST /v1/sagas/s1/commit";
    assert_eq!(lines, ["POST /v1/sagas", "PUT /v1/sagas/s1/branches/a", commit, commit]);
}

/// An error of the program's own.
#[derive(Debug)]
enum Failure {
    Ours(&'static str),
    Amends(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Amends(error)
    }
}

#[tokio::test]
async fn a_closure_that_fails_is_rolled_back_and_its_error_told() {
    for answer in [json_reply(200, &saga("compensating", 5)), problem(409, "commit-decided")] {
        let script = Script::of([begun(), answer]).await;
        let client = script.client();
        let failed =
            client.transaction("t", async |_| Err::<(), _>(Failure::Ours("sold out"))).await;
        assert!(matches!(failed, Err(Failure::Ours("sold out"))), "{failed:?}");
        let heard = script.end();
        assert_eq!(heard[1].line, "POST /v1/sagas/s1/cancel");
        assert_eq!(heard[1].json(), json!({"reason": "the work of its client failed"}));
    }
    let script = Script::of([problem(422, "lock-key-invalid")]).await;
    let failed = script.client().transaction("t", async |_| Err::<(), _>(Failure::Ours("x"))).await;
    assert!(matches!(failed, Err(Failure::Amends(Error::Problem(_)))), "{failed:?}");
}

#[tokio::test]
async fn a_commit_without_an_answer_is_undecided_and_a_refused_one_is_not() {
    let script = Script::of((0..5).map(|_| Reply::Broken)).await;
    let error = script.client().interactive("s1").commit().await.unwrap_err();
    let Error::CommitUnknown { saga: id, .. } = &error else { panic!("{error}") };
    assert_eq!(id, "s1");
    assert!(error.may_have_taken_effect() && error.is_retryable());
    script.end();

    let script = Script::of([Reply::Broken, problem(409, "abort-decided")]).await;
    let error = script.client().interactive("s1").commit().await.unwrap_err();
    assert!(matches!(error, Error::Problem(_)), "{error}");
    assert_eq!(error.code(), Some("abort-decided"));
    script.end();
}

#[tokio::test]
async fn a_closure_does_not_run_in_a_transaction_that_does_not() {
    let script =
        Script::of([json_reply(201, &saga("queued", 1)), json_reply(200, &saga("compensated", 2))])
            .await;
    let begin = script.client().begin("t").lock_key("k").wait(Duration::ZERO);
    let failed = begin.run(async |_| -> Result<(), Error> { panic!("it ran") }).await;
    let Err(Error::NotRunning { status, .. }) = &failed else { panic!("{failed:?}") };
    assert_eq!(*status, Status::Queued);
    assert_eq!(script.end()[1].line, "POST /v1/sagas/s1/cancel");

    let script = Script::of([json_reply(200, &saga("completed", 9))]).await;
    let begin = script.client().begin("t").id("s1");
    let failed = begin.run(async |_| -> Result<(), Error> { panic!("it ran") }).await;
    assert!(matches!(failed, Err(Error::NotRunning { .. })), "{failed:?}");
    assert_eq!(script.end().len(), 1);
}

#[tokio::test]
async fn a_transaction_is_extended_committed_and_waited_for() {
    let script = Script::of([
        json_reply(200, &saga("running", 3)),
        json_reply(200, &saga("confirming", 4)),
        json_reply(200, &saga("completed", 8)),
    ])
    .await;
    let tx = script.client().interactive("s1");
    tx.extend(Duration::from_secs(30)).await.unwrap();
    let saga = tx.commit_and_wait(Duration::from_secs(20)).await.unwrap();
    assert!(saga.is_completed());
    let heard = script.end();
    assert_eq!(heard[0].line, "POST /v1/sagas/s1/extend");
    assert_eq!(heard[0].json(), json!({"deadline": "30s"}));
    assert_eq!(heard[1].header("prefer"), Some("wait=20"));
}

/// Handlers of web frameworks must be `Send`; only compiled.
#[test]
fn futures_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let client = Client::new("http://127.0.0.1:1").unwrap();
    let work = async |tx: Transaction| {
        tx.branch("a").participant("p").compensation(Call::post("/undo")).enlist().await?;
        Ok::<_, Error>(())
    };
    is_send(&client.transaction("t", work));
    is_send(&client.start("d").send());
    is_send(&client.saga("s").wait(Duration::ZERO));
    is_send(&client.sagas().stream());
}
