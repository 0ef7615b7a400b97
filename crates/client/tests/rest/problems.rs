//! Errors are typed, and what cannot be sent is not sent.

use amends_client::rest::{Call, Error, Op, Severity};
use serde::{Serialize, Serializer, ser};
use serde_json::json;

use crate::script::{Reply, Script, json_reply, problem, saga, text_reply};

#[tokio::test]
async fn a_problem_document_is_read_whole() {
    let body = json!({
        "type": "/docs/errors#input-invalid", "title": "The input does not fit", "status": 422,
        "code": "input-invalid", "detail": "2 faults", "retryable": false, "pointer": "/input",
        "faults": [
            {"pointer": "/input/n", "code": "input-invalid", "severity": "error", "detail": "a"},
            {"pointer": "", "code": "later", "severity": "odd", "detail": "b"}],
        "allowed": ["pause"], "definitions": ["d"], "a_later_member": [1],
    });
    let script = Script::of([json_reply(422, &body)]).await;
    let error = script.client().start("d").send().await.unwrap_err();
    assert!(!error.is_retryable() && !error.may_have_taken_effect());
    let Error::Problem(problem) = error else { panic!("{error}") };
    assert_eq!((problem.status, problem.code.as_str()), (422, "input-invalid"));
    assert_eq!(problem.about, "/docs/errors#input-invalid");
    assert_eq!(problem.pointer.as_deref(), Some("/input"));
    assert_eq!(
        (problem.allowed.as_slice(), problem.definitions.as_slice()),
        (&["pause".to_owned()][..], &["d".to_owned()][..])
    );
    assert_eq!(problem.faults[0].severity, Severity::Error);
    assert_eq!(problem.faults[1].severity, Severity::Other("odd".to_owned()));
}

#[tokio::test]
async fn answers_of_something_else_are_told_as_such() {
    for (reply, status) in [
        (text_reply(200, "<html>welcome</html>"), 200),
        (text_reply(404, "not here"), 404),
        (json_reply(403, &json!({"error": "who are you"})), 403),
        (text_reply(302, ""), 302),
        (json_reply(200, &json!({"id": "s1"})), 200),
    ] {
        let script = Script::of([reply]).await;
        let error = script.client().saga("s1").get().await.unwrap_err();
        let Error::Unexpected { url, status: found, .. } = &error else { panic!("{error}") };
        assert_eq!((*found, url), (status, &format!("{}/v1/sagas/s1", script.url)));
        script.end();
    }
}

struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom("no such thing"))
    }
}

#[tokio::test]
async fn what_cannot_be_a_request_is_not_sent() {
    let script = Script::of([]).await;
    let client = script.client();
    let tx = client.interactive("t");
    let errors = [
        client.saga("").get().await.unwrap_err(),
        client.saga("..").get().await.unwrap_err(),
        client.start("d").key("a\nb").send().await.unwrap_err(),
        client.start("d").input(&Unwritable).send().await.unwrap_err(),
        client.saga("s").pause().actor("ä").send().await.unwrap_err(),
        client
            .complete("nonsense", amends_client::rest::Completion::refused(""))
            .await
            .unwrap_err(),
        tx.branch("b").action(Call::post("/x").json(&Unwritable)).enlist().await.unwrap_err(),
        client.begin("t").prepared("p", Call::get("/").json(&Unwritable)).send().await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::Invalid(_)), "{error}");
        assert!(!error.may_have_taken_effect());
    }
    assert!(script.end().is_empty());
}

#[tokio::test]
async fn commands_say_who_and_why_and_what_is_allowed() {
    let script = Script::of([
        json_reply(200, &saga("running", 1)),
        json_reply(200, &saga("running", 1)),
        problem(409, "wrong-status"),
    ])
    .await;
    let client = script.builder().actor("shop").build().unwrap();
    let saga = client.saga("s1");
    saga.retry_step("pay").reason("it is back").actor("di").send().await.unwrap();
    saga.resolve_succeeded("pay").op(&Op::Confirm).output(&json!({"n": 1})).send().await.unwrap();
    let error = saga.abandon().send().await.unwrap_err();
    assert_eq!(error.code(), Some("wrong-status"));
    let heard = script.end();
    assert_eq!(heard[0].line, "POST /v1/sagas/s1/retry");
    assert_eq!(heard[0].json(), json!({"step": "pay", "reason": "it is back"}));
    let who: Vec<_> = heard[0].headers.get_all("amends-actor").iter().collect();
    assert_eq!(who, ["di"]);
    assert_eq!(heard[1].line, "POST /v1/sagas/s1/steps/pay/resolve-succeeded");
    assert_eq!(heard[1].json(), json!({"output": {"n": 1}, "op": "confirm"}));
    assert_eq!(heard[1].header("amends-actor"), Some("shop"));
}

#[tokio::test]
async fn an_unready_server_is_an_answer() {
    let unready = json!({"ready": false, "draining": true, "store": {"ok": true}, "partitions": 64,
        "locks": {"quorum": false, "masters": [{"address": "r1", "trusted": false, "detail": "x"}]}});
    let script = Script::of([json_reply(503, &unready), Reply::Broken]).await;
    let client = script.client();
    let found = client.readiness().await.unwrap();
    assert!(!found.ready && found.draining && !found.locks.unwrap().quorum);
    assert!(client.readiness().await.is_err());
    assert_eq!(script.end()[0].line, "GET /readyz");
}
