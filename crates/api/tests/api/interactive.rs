//! Interactive transactions: begun, shaped and decided by their client.

use std::collections::BTreeSet;
use std::time::Duration;

use amends_core::ParticipantName;
use amends_core::saga::{Answer as CallAnswer, Op, OutcomeKind};
use amends_ports::testing::{ScriptedAnswer, ScriptedParticipants};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Transcript, refused};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

impl Api {
    /// Begins a transaction, and waits until it runs.
    pub(crate) async fn begin(&self, id: &str, more: Value) -> Answer {
        let mut body = json!({ "mode": "interactive", "id": id });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let headers = [("prefer", "wait=5"), ("traceparent", TRACE)];
        self.post_with("/v1/sagas", &headers, &body).await
    }

    pub(crate) async fn enlist(&self, id: &str, branch: &str, body: &Value) -> Answer {
        self.put(&format!("/v1/sagas/{id}/branches/{branch}"), body).await
    }

    /// Asks for a decision, and waits for the end.
    pub(crate) async fn decide(&self, id: &str, word: &str) -> Answer {
        let path = format!("/v1/sagas/{id}/{word}");
        self.post_with(&path, &[("prefer", "wait=60")], &json!({})).await
    }

    async fn status(&self, id: &str) -> String {
        let saga = self.get(&format!("/v1/sagas/{id}")).await.json();
        saga["status"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn compensation() -> Value {
    json!({
        "participant": "inventory",
        "compensation": { "path": "/reservations/7/release", "body": { "sku": "${input.sku}" } }
    })
}

fn tcc() -> Value {
    json!({
        "participant": "payment",
        "confirm": { "path": "/holds/7/capture" }, "cancel": { "path": "/holds/7", "method": "DELETE" }
    })
}

fn message(after: &[&str]) -> Value {
    json!({ "participant": "inventory", "action": { "path": "/mails" }, "after": after })
}

fn retryable() -> ScriptedAnswer {
    let problem = refused("later").problem.unwrap();
    ScriptedAnswer::now(CallAnswer::failed(OutcomeKind::Retryable, true, problem))
}

#[tokio::test(start_paused = true)]
async fn a_transaction_from_its_begin_to_its_commit() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    let mut log = Transcript::default();
    let checkout = json!({
        "name": "checkout", "input": { "cart": 7 }, "labels": { "shop": "eu" }, "deadline": "30s"
    });
    log.add("begin", &api.begin("t-1", checkout.clone()).await);
    log.add("begin again", &api.begin("t-1", checkout).await);
    log.add("begin another", &api.begin("t-1", json!({ "name": "checkout" })).await);
    log.add("enlist", &api.enlist("t-1", "reserve", &compensation()).await);
    log.add("enlist again", &api.enlist("t-1", "reserve", &compensation()).await);
    log.add("enlist another", &api.enlist("t-1", "reserve", &tcc()).await);
    log.add("enlist tcc", &api.enlist("t-1", "charge", &tcc()).await);
    log.add("enlist a message", &api.enlist("t-1", "mail", &message(&["charge"])).await);
    log.add("extend", &api.post("/v1/sagas/t-1/extend", &json!({ "deadline": "1h" })).await);
    assert!(api.participants.calls().is_empty(), "only the client calls before the decision");
    log.add("commit", &api.decide("t-1", "commit").await);
    log.add("commit again", &api.decide("t-1", "commit").await);
    log.add("cancel", &api.decide("t-1", "cancel").await);
    log.add("enlist too late", &api.enlist("t-1", "reserve", &compensation()).await);
    log.add("journal", &api.get("/v1/sagas/t-1/journal").await);
    log.add("list", &api.get("/v1/sagas?definition=checkout").await);
    let mut calls = api.participants.call_log();
    calls.sort();
    assert_eq!(calls, ["t-1/charge/confirm#1", "t-1/mail/action#1"]);
    insta::assert_snapshot!("transaction", log.text());
}

#[tokio::test(start_paused = true)]
async fn a_rollback_undoes_in_reverse_order_and_may_be_repeated() {
    let participants = ScriptedParticipants::scripted(|_| {
        ScriptedAnswer::after(Duration::from_secs(1), CallAnswer::succeeded(None))
    });
    let api = Api::ready_with(participants).await;
    let mut log = Transcript::default();
    api.begin("t-1", json!({})).await;
    for branch in ["first", "second"] {
        assert_eq!(api.enlist("t-1", branch, &compensation()).await.status, StatusCode::CREATED);
    }
    let reason = json!({ "reason": "the card was declined" });
    let headers = [("amends-actor", "shop")];
    let answer = api.post_with("/v1/sagas/t-1/rollback", &headers, &reason).await;
    log.add("rollback", &answer);
    log.add("commit", &api.decide("t-1", "commit").await);
    log.add("enlist", &api.enlist("t-1", "third", &compensation()).await);
    log.add("extend", &api.post("/v1/sagas/t-1/extend", &json!({ "deadline": "1h" })).await);
    assert_eq!(api.decide("t-1", "rollback").await.json()["status"], "compensated");
    assert_eq!(api.decide("t-1", "cancel").await.status, StatusCode::OK);
    log.add("commit after the end", &api.decide("t-1", "commit").await);
    log.add("enlist after the end", &api.enlist("t-1", "third", &compensation()).await);
    assert_eq!(
        api.participants.call_log(),
        ["t-1/second/compensation#1", "t-1/first/compensation#1"]
    );
    let body = api.participants.calls()[0].request.body.clone().unwrap();
    assert_eq!(body.as_str(), r#"{"sku":"${input.sku}"}"#, "everything is taken as it stands");
    insta::assert_snapshot!("rollback", log.text());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_falls_silent_is_rolled_back() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    api.begin("t-1", json!({ "deadline": "5s" })).await;
    api.enlist("t-1", "charge", &tcc()).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(api.status("t-1").await, "running");
    let more = json!({ "deadline": "10s", "reason": "a slow customer" });
    assert_eq!(api.post("/v1/sagas/t-1/extend", &more).await.status, StatusCode::OK);
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(api.status("t-1").await, "running");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let saga = api.decide("t-1", "cancel").await.json();
    assert_eq!(saga["status"], "compensated");
    assert!(saga["reason"].as_str().unwrap().contains("deadline"), "{saga:#}");
    assert_eq!(api.participants.call_log(), ["t-1/charge/cancel#1"]);
    assert_eq!(api.decide("t-1", "commit").await.code(), "abort-decided");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_commit_loses_no_confirm() {
    let participants = ScriptedParticipants::new();
    let payment = ParticipantName::new("payment").unwrap();
    let never = [ScriptedAnswer::never(), retryable(), retryable()];
    participants.script(&payment, "charge", Op::Confirm, never);
    let api = Api::ready_with(participants).await;
    api.begin("t-1", json!({})).await;
    api.enlist("t-1", "charge", &tcc()).await;
    for _ in 0..5 {
        let answer = api.command("/v1/sagas/t-1/commit").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json()["status"], "confirming", "it has not ended: nothing is confirmed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(api.decide("t-1", "commit").await.json()["status"], "completed");
    let log = api.participants.call_log();
    assert_eq!(log.len(), 4, "{log:?}");
    assert!(log.iter().all(|call| call.starts_with("t-1/charge/confirm")), "{log:?}");
}

/// Whoever asks, and however often: one decision, the same answer to all, and every branch
/// confirmed or undone, never both.
#[tokio::test(start_paused = true)]
async fn a_commit_racing_a_rollback_gives_one_decision() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    let mut decisions = BTreeSet::new();
    for turn in 0..12_u32 {
        let id = format!("race-{turn}");
        api.begin(&id, json!({})).await;
        api.enlist(&id, "charge", &tcc()).await;
        let words = ["commit", "rollback", "commit", "cancel", "commit", "rollback"];
        let (api, id) = (&api, id.as_str());
        let answers = join_all(words.iter().enumerate().map(|(index, word)| async move {
            // In another order each turn, and some at the very same moment.
            let place = u64::from(turn + 1) * (index as u64 + 3) % 7 / 2;
            tokio::time::sleep(Duration::from_micros(place)).await;
            (*word == "commit", api.decide(id, word).await)
        }))
        .await;
        let saga = api.get(&format!("/v1/sagas/{id}")).await.json();
        let is_commit = saga["decision"] == "commit";
        decisions.insert(is_commit);
        assert_eq!(saga["status"], if is_commit { "completed" } else { "compensated" });
        for (wants_commit, answer) in answers {
            if wants_commit == is_commit {
                assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
            } else {
                let code = if is_commit { "commit-decided" } else { "abort-decided" };
                assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, code));
            }
        }
        let op = if is_commit { "confirm" } else { "cancel" };
        let log = api.participants.call_log();
        let own: Vec<_> = log.iter().filter(|call| call.starts_with(&format!("{id}/"))).collect();
        assert_eq!(own, [&format!("{id}/charge/{op}#1")]);
    }
    assert_eq!(decisions.len(), 2, "the race was always won by the same side");
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_asked_whether_it_has_committed() {
    let participants = ScriptedParticipants::answering(|call| {
        let is_question = call.key.step_id.as_str() == "prepared";
        match (is_question, call.key.saga_id.as_str()) {
            (true, "no") => {
                let mut answer = refused("no such order");
                answer.problem.as_mut().unwrap().status = Some(404);
                answer
            }
            _ => CallAnswer::succeeded(None),
        }
    });
    let api = Api::ready_with(participants).await;
    let prepared = json!({ "participant": "payment", "path": "/orders/7" });
    for id in ["yes", "no"] {
        let begun = api.begin(id, json!({ "deadline": "2s", "prepared": prepared })).await;
        assert_eq!(begun.status, StatusCode::CREATED, "{}", begun.json());
        api.enlist(id, "mail", &message(&[])).await;
    }
    assert!(api.participants.calls().is_empty());
    for (id, status) in [("yes", "completed"), ("no", "compensated")] {
        let wait = Duration::from_mins(1);
        tokio::time::sleep(Duration::from_secs(3)).await;
        api.engine.wait(&id.parse().unwrap(), wait).await.unwrap();
        assert_eq!(api.status(id).await, status, "{id}");
    }
    let mut log = api.participants.call_log();
    log.sort();
    assert_eq!(log, ["no/prepared/action#1", "yes/mail/action#1", "yes/prepared/action#1"]);
    assert_eq!(api.participants.calls()[0].request.method, "GET");
}

#[tokio::test(start_paused = true)]
async fn a_nested_saga_shares_the_decision_of_its_parent() {
    let api = Api::ready_with(ScriptedParticipants::new()).await;
    let mut log = Transcript::default();
    let order = json!({ "saga": { "definition": "order", "input": { "qty": 1 } } });
    for id in ["commits", "aborts"] {
        api.begin(id, json!({})).await;
        let answer = api.enlist(id, "order", &order).await;
        log.add("enlist a saga", &answer);
        assert_eq!(api.enlist(id, "order", &order).await.status, StatusCode::OK);
        let child = answer.json()["child"].as_str().unwrap().to_owned();
        // It runs at once, and waits then.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let nested = api.get(&format!("/v1/sagas/{child}")).await.json();
        assert_eq!(nested["parent"], json!({ "saga": id, "branch": "order" }));
        assert_eq!(nested["decision"], Value::Null);
        assert_eq!(nested["steps"][1]["status"], "succeeded");
        log.add("cancel the nested one", &api.decide(&child, "cancel").await);
    }
    log.add("commit", &api.decide("commits", "commit").await);
    assert_eq!(api.status("commits.order").await, "completed");
    assert_eq!(api.decide("aborts", "rollback").await.json()["status"], "compensated");
    assert_eq!(api.status("aborts.order").await, "compensated");
    insta::assert_snapshot!("nested", log.text());
}
