//! Interactive transactions: one decision, whoever asks and however often; nothing enlisted is
//! forgotten.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::time::Duration;

use amends_core::definition::{
    BranchDocument, FaultCode, Registry, parse, parse_branch, parse_check_back,
};
use amends_core::saga::{Answer, Command, Decision, Op, OutcomeKind, Refusal, Status};
use amends_core::{Json, SagaId, StepId};
use amends_engine::{Chosen, CommandError, Engine, EnlistError, Submission};
use amends_ports::Clock;
use amends_ports::testing::{ScriptedAnswer, ScriptedParticipants};
use serde_json::{Value, json};
use support::{World, assert_ends, ended, failed, operator, order, refused, register};

async fn begin(engine: &Engine, id: &str, more: impl FnOnce(&mut Submission)) -> SagaId {
    let document = json!({ "name": "checkout", "mode": "interactive" });
    let definition = parse(&document, &Registry::default()).definition.unwrap();
    let mut submission = Submission::new(Chosen::AdHoc(definition), id.to_owned());
    submission.saga_id = Some(SagaId::new(id).unwrap());
    more(&mut submission);
    engine.submit(submission).await.unwrap().detail.saga.id().clone()
}

fn branch(id: &str, document: &Value) -> BranchDocument {
    parse_branch(StepId::new(id).unwrap(), document, &Registry::default()).unwrap()
}

async fn enlist(engine: &Engine, saga: &SagaId, id: &str, document: &Value) {
    engine.enlist(saga, branch(id, document), operator()).await.unwrap();
}

fn compensation() -> Value {
    json!({ "participant": "inventory", "compensation": { "path": "/release", "body": { "n": 1 } } })
}

fn tcc() -> Value {
    json!({ "participant": "payment", "confirm": { "path": "/capture" }, "cancel": { "path": "/void" } })
}

fn message() -> Value {
    json!({ "participant": "mail", "action": { "path": "/mails" } })
}

fn refusal(error: CommandError) -> Refusal {
    let CommandError::Refused { refusal, .. } = error else { panic!("{error}") };
    refusal
}

#[tokio::test(start_paused = true)]
async fn a_commit_confirms_and_sends_and_undoes_nothing() {
    let world = World::new(ScriptedParticipants::new());
    let engine = world.start().await;
    let id = begin(&engine, "t1", |_| {}).await;
    enlist(&engine, &id, "reserve", &compensation()).await;
    enlist(&engine, &id, "charge", &tcc()).await;
    enlist(&engine, &id, "mail", &message()).await;
    assert!(world.participants.calls().is_empty(), "nothing is called before the decision");
    engine.command(&id, Command::Commit, operator()).await.unwrap();
    assert_ends(&engine, &id, Status::Completed).await;
    let mut log = world.participants.call_log();
    log.sort();
    assert_eq!(log, ["t1/charge/confirm#1", "t1/mail/action#1"]);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_undoes_what_may_have_happened_in_reverse_order() {
    let world = World::new(ScriptedParticipants::new());
    let engine = world.start().await;
    let id = begin(&engine, "t1", |_| {}).await;
    for name in ["a", "b", "c"] {
        enlist(&engine, &id, name, &compensation()).await;
    }
    enlist(&engine, &id, "mail", &message()).await;
    engine.command(&id, Command::Cancel, operator()).await.unwrap();
    assert_ends(&engine, &id, Status::Compensated).await;
    assert_eq!(
        world.participants.call_log(),
        ["t1/c/compensation#1", "t1/b/compensation#1", "t1/a/compensation#1"]
    );
    let call = &world.participants.calls()[0];
    assert_eq!(call.request.body.as_ref().unwrap().as_str(), r#"{"n":1}"#);
    assert_eq!(
        call.context.forward_outcome,
        Some(amends_core::saga::ForwardOutcome::Unknown),
        "only the client knows what became of its own call"
    );
}

#[tokio::test(start_paused = true)]
async fn branches_side_by_side_are_undone_at_once() {
    let slow = ScriptedParticipants::scripted(|_| {
        ScriptedAnswer::after(Duration::from_secs(1), Answer::succeeded(None))
    });
    let world = World::new(slow);
    let engine = world.start().await;
    let id = begin(&engine, "t1", |_| {}).await;
    for name in ["a", "b", "c"] {
        let mut document = compensation();
        document["after"] = json!([]);
        enlist(&engine, &id, name, &document).await;
        enlist(&engine, &id, &format!("{name}-tcc"), &tcc()).await;
    }
    let began = world.clock.now();
    engine.command(&id, Command::Cancel, operator()).await.unwrap();
    assert_ends(&engine, &id, Status::Compensated).await;
    assert!(world.clock.now().since(began) < Duration::from_millis(1_500));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_rolls_back_unless_it_is_put_off() {
    let world = World::new(ScriptedParticipants::new());
    let engine = world.start().await;
    let id = begin(&engine, "t1", |begin| begin.deadline = Some(Duration::from_secs(20))).await;
    enlist(&engine, &id, "charge", &tcc()).await;
    world.clock.sleep(Duration::from_secs(15)).await;
    let until = engine.now().after(Duration::from_mins(1));
    engine.command(&id, Command::Extend { until }, operator()).await.unwrap();
    world.clock.sleep(Duration::from_secs(55)).await;
    assert_eq!(engine.saga(&id).await.unwrap().unwrap().saga.status(), Status::Running);
    world.clock.sleep(Duration::from_secs(20)).await;
    let detail = assert_ends(&engine, &id, Status::Compensated).await;
    assert!(detail.saga.reason().unwrap().contains("deadline"));
    assert_eq!(world.participants.call_log(), ["t1/charge/cancel#1"]);
    let error = engine.command(&id, Command::Commit, operator()).await.unwrap_err();
    assert!(matches!(refusal(error), Refusal::Aborted(_)));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_commit_loses_no_confirm() {
    // The confirm is refused for a while: the transaction must not end without it.
    let participants = ScriptedParticipants::new();
    let payment = amends_core::ParticipantName::new("payment").unwrap();
    let no = || ScriptedAnswer::now(failed(OutcomeKind::Retryable, true));
    participants.script(&payment, "charge", Op::Confirm, [no(), no(), no()]);
    let world = World::new(participants);
    let engine = world.start().await;
    let id = begin(&engine, "t1", |_| {}).await;
    enlist(&engine, &id, "charge", &tcc()).await;
    for _ in 0..5 {
        let detail = engine.command(&id, Command::Commit, operator()).await.unwrap();
        assert_eq!(detail.saga.decision(), Some(Decision::Commit));
        assert_ne!(detail.saga.status(), Status::Completed);
        let error = engine.command(&id, Command::Cancel, operator()).await.unwrap_err();
        assert_eq!(refusal(error), Refusal::Committed);
    }
    assert_ends(&engine, &id, Status::Completed).await;
    assert_eq!(world.participants.call_log().last().unwrap(), "t1/charge/confirm#4");
    // After the end the answers are the same.
    engine.command(&id, Command::Commit, operator()).await.unwrap();
    let error = engine.command(&id, Command::Cancel, operator()).await.unwrap_err();
    assert_eq!(refusal(error), Refusal::Committed);
    let late = engine.enlist(&id, branch("late", &tcc()), operator()).await.unwrap_err();
    assert!(matches!(late, EnlistError::Command(CommandError::Refused { .. })), "{late}");
}

#[tokio::test(start_paused = true)]
async fn commits_and_rollbacks_at_once_come_to_one_decision() {
    for round in 0..20 {
        let world = World::new(ScriptedParticipants::new());
        let engine = world.start().await;
        let id = begin(&engine, &format!("t{round}"), |_| {}).await;
        enlist(&engine, &id, "charge", &tcc()).await;
        let asked = (0..8).map(|n| {
            let command = if (n + round) % 3 == 0 { Command::Cancel } else { Command::Commit };
            let (engine, id) = (&engine, &id);
            async move { (command.clone(), engine.command(id, command, operator()).await.is_ok()) }
        });
        let answers = futures_util::future::join_all(asked).await;
        let detail = ended(&engine, &id).await;
        let decision = detail.saga.decision().unwrap();
        for (command, is_ok) in answers {
            let agrees = (command == Command::Commit) == (decision == Decision::Commit);
            assert_eq!(is_ok, agrees, "{command:?} although {decision:?}");
        }
        let last = world.participants.call_log().last().unwrap().clone();
        let expected = if decision == Decision::Commit { "confirm" } else { "cancel" };
        assert!(last.contains(expected), "{last}");
    }
}

#[tokio::test(start_paused = true)]
async fn enlisting_again_is_harmless_and_other_content_is_refused() {
    let world = World::new(ScriptedParticipants::new());
    let engine = world.start().await;
    let id = begin(&engine, "t1", |_| {}).await;
    assert!(engine.enlist(&id, branch("a", &tcc()), operator()).await.unwrap().created);
    assert!(!engine.enlist(&id, branch("a", &tcc()), operator()).await.unwrap().created);
    let other = engine.enlist(&id, branch("a", &compensation()), operator()).await.unwrap_err();
    let EnlistError::Command(error) = other else { panic!("{other}") };
    assert!(matches!(refusal(error), Refusal::BranchMismatch(_)));
    let plain = register(&engine, &order()).await;
    let saga = support::start_saga(&engine, &plain, "s1").await;
    let error = engine.enlist(&saga, branch("a", &tcc()), operator()).await.unwrap_err();
    let EnlistError::Command(error) = error else { panic!("{error}") };
    assert_eq!(refusal(error), Refusal::NotInteractive);
}

/// A transaction whose client falls silent, and is asked `answers` in turn.
async fn asked_back(answers: Vec<Answer>) -> (World, Engine, SagaId) {
    let participants = ScriptedParticipants::new();
    let shop = amends_core::ParticipantName::new("shop").unwrap();
    let script = answers.into_iter().map(ScriptedAnswer::now);
    participants.script(&shop, "prepared", Op::Action, script);
    let world = World::new(participants);
    let engine = world.start().await;
    let question = json!({ "participant": "shop", "path": "/checkouts/1" });
    let id = begin(&engine, "t1", |begin| {
        begin.prepared = Some(parse_check_back(&question, &Registry::default()).unwrap());
        begin.deadline = Some(Duration::from_secs(30));
    })
    .await;
    enlist(&engine, &id, "mail", &message()).await;
    (world, engine, id)
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_asked_whether_it_has_committed() {
    let unclear = || failed(OutcomeKind::Retryable, true);
    let answers = vec![unclear(), unclear(), Answer::succeeded(None)];
    let (world, engine, id) = asked_back(answers).await;
    world.clock.sleep(Duration::from_secs(29)).await;
    assert!(world.participants.calls().is_empty(), "it is asked after the deadline");
    assert_ends(&engine, &id, Status::Completed).await;
    assert_eq!(world.participants.call_log().last().unwrap(), "t1/mail/action#1");
    assert_eq!(world.participants.calls()[0].request.method, "GET");

    let (world, engine, id) = asked_back(vec![unclear(), refused()]).await;
    let detail = assert_ends(&engine, &id, Status::Compensated).await;
    assert!(detail.saga.reason().unwrap().contains("client has not committed"));
    assert!(world.participants.call_log().iter().all(|line| !line.contains("mail")));

    let (_world, engine, id) = asked_back((0..50).map(|_| unclear()).collect()).await;
    let detail = assert_ends(&engine, &id, Status::Suspended).await;
    assert_eq!(detail.saga.decision(), None, "nobody knows what the client has done");
    engine.command(&id, Command::Commit, operator()).await.unwrap();
    assert_ends(&engine, &id, Status::Completed).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_speaks_in_time_is_not_asked() {
    let (world, engine, id) = asked_back(vec![refused()]).await;
    engine.command(&id, Command::Commit, operator()).await.unwrap();
    assert_ends(&engine, &id, Status::Completed).await;
    world.clock.sleep(Duration::from_mins(5)).await;
    assert_eq!(world.participants.call_log(), ["t1/mail/action#1"]);
}

fn nested(definition: &str) -> Value {
    json!({ "saga": { "definition": definition, "input": { "sku": "book", "amount": 7, "key": "k" } } })
}

#[tokio::test(start_paused = true)]
async fn a_nested_saga_is_committed_with_its_parent() {
    let world = World::new(ScriptedParticipants::new());
    let engine = world.start().await;
    register(&engine, &order()).await;
    let id = begin(&engine, "t1", |_| {}).await;
    enlist(&engine, &id, "order", &nested("order")).await;
    let child = SagaId::new("t1.order").unwrap();
    world.clock.sleep(Duration::from_secs(40)).await;
    let detail = engine.saga(&child).await.unwrap().unwrap();
    assert!(detail.saga.is_prepared(), "{}", detail.saga.explain());
    let error = engine.command(&child, Command::Cancel, operator()).await.unwrap_err();
    assert_eq!(refusal(error), Refusal::Nested(id.clone()));
    engine.command(&id, Command::Commit, operator()).await.unwrap();
    assert_ends(&engine, &id, Status::Completed).await;
    assert_ends(&engine, &child, Status::Completed).await;
    assert_eq!(world.participants.call_log().last().unwrap(), "t1.order/charge/confirm#1");
}

#[tokio::test(start_paused = true)]
async fn a_nested_saga_is_undone_with_its_parent() {
    let world = World::new(ScriptedParticipants::new());
    let engine = world.start().await;
    register(&engine, &order()).await;
    let id = begin(&engine, "t1", |_| {}).await;
    enlist(&engine, &id, "order", &nested("order")).await;
    enlist(&engine, &id, "reserve", &compensation()).await;
    // At once, while the nested saga is on its way; and when it has done its part.
    for wait in [Duration::ZERO, Duration::from_secs(30)] {
        let parent = SagaId::new(format!("t-{}", wait.as_secs())).unwrap();
        begin(&engine, parent.as_str(), |_| {}).await;
        enlist(&engine, &parent, "order", &nested("order")).await;
        world.clock.sleep(wait).await;
        engine.command(&parent, Command::Cancel, operator()).await.unwrap();
        assert_ends(&engine, &parent, Status::Compensated).await;
        let child = SagaId::new(format!("{parent}.order")).unwrap();
        assert_ends(&engine, &child, Status::Compensated).await;
    }
    world.clock.sleep(Duration::from_mins(2)).await;
    assert_ends(&engine, &id, Status::Compensated).await;
}

#[tokio::test(start_paused = true)]
async fn a_nested_saga_that_fails_takes_its_parent_with_it() {
    let world = World::new(ScriptedParticipants::answering(|call| {
        if call.key.step_id.as_str() == "create" { refused() } else { Answer::succeeded(None) }
    }));
    let engine = world.start().await;
    register(&engine, &order()).await;
    let id = begin(&engine, "t1", |_| {}).await;
    enlist(&engine, &id, "reserve", &compensation()).await;
    enlist(&engine, &id, "order", &nested("order")).await;
    engine.command(&id, Command::Commit, operator()).await.unwrap();
    let detail = assert_ends(&engine, &id, Status::Compensated).await;
    assert!(detail.saga.reason().unwrap().contains("nested saga"), "{:?}", detail.saga.reason());
    assert!(world.participants.call_log().contains(&"t1/reserve/compensation#1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_cannot_be_undone_cannot_be_nested() {
    let world = World::new(ScriptedParticipants::new());
    let engine = world.start().await;
    let mut document = order();
    document["steps"][2]["pivot"] = json!(true);
    register(&engine, &document).await;
    let id = begin(&engine, "t1", |_| {}).await;
    for (definition, code) in [("order", FaultCode::MissingUndo), ("nobody", FaultCode::BadId)] {
        let document = branch("x", &nested(definition));
        let error = engine.enlist(&id, document, operator()).await.unwrap_err();
        let EnlistError::Faults(faults) = error else { panic!("{error}") };
        assert_eq!((faults[0].code, faults[0].pointer.as_str()), (code, "/saga/definition"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_nested_saga_cannot_name_a_lock_key_of_its_parent() {
    let world = World::new(ScriptedParticipants::new());
    let engine = world.start().await;
    let mut document = order();
    document["lock"] = json!({ "keys": ["sku:${input.sku}"] });
    register(&engine, &document).await;
    let key = amends_core::LockKey::new("sku:book").unwrap();
    let id = begin(&engine, "t1", |begin| begin.lock_keys = vec![key]).await;
    let error = engine.enlist(&id, branch("x", &nested("order")), operator()).await.unwrap_err();
    let EnlistError::Faults(faults) = error else { panic!("{error}") };
    assert!(faults[0].detail.contains("sku:book"), "{faults:?}");

    let id = begin(&engine, "t2", |_| {}).await;
    enlist(&engine, &id, "x", &nested("order")).await;
    let error = engine.enlist(&id, branch("y", &nested("order")), operator()).await.unwrap_err();
    let EnlistError::Faults(faults) = error else { panic!("{error}") };
    assert!(faults[0].detail.contains("branch x"), "{faults:?}");

    let mut bad = nested("order");
    bad["saga"]["input"] = json!({});
    let error = engine.enlist(&id, branch("z", &bad), operator()).await.unwrap_err();
    assert!(matches!(error, EnlistError::Faults(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_nested_saga_that_was_never_made_leaves_nothing_behind() {
    // Its start is refused, since another saga has taken its id after it was enlisted.
    let participants = ScriptedParticipants::new();
    let world = World::new(participants);
    let engine = world.start().await;
    let mut document = order();
    document["lock"] = json!({ "keys": ["sku:${input.sku}"] });
    let name = register(&engine, &document).await;
    let id = begin(&engine, "t1", |_| {}).await;
    let taking = support::start_saga(&engine, &name, "t1.x");
    let branch = branch("x", &nested("order"));
    let (_, enlisted) = tokio::join!(taking, engine.enlist(&id, branch, operator()));
    if enlisted.is_ok() {
        assert_ends(&engine, &id, Status::Compensated).await;
    }
    assert_ends(&engine, &SagaId::new("t1.x").unwrap(), Status::Completed).await;
    let key = amends_core::LockKey::new("sku:book").unwrap();
    assert!(engine.lock(&key, 1).await.unwrap().is_none());

    // One that is ruled out before it was made takes no ticket.
    let id = begin(&engine, "t2", |_| {}).await;
    enlist(&engine, &id, "x", &nested("order")).await;
    engine.command(&id, Command::Cancel, operator()).await.unwrap();
    assert_ends(&engine, &id, Status::Compensated).await;
    assert!(engine.lock(&key, 1).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_transaction_survives_its_coordinator() {
    let world = World::new(ScriptedParticipants::new());
    let engine = world.start().await;
    let id = begin(&engine, "t1", |begin| begin.input = Json::null()).await;
    enlist(&engine, &id, "charge", &tcc()).await;
    engine.drain().await;
    let next = world.start().await;
    enlist(&next, &id, "reserve", &compensation()).await;
    next.command(&id, Command::Commit, operator()).await.unwrap();
    assert_ends(&next, &id, Status::Completed).await;
    assert_eq!(world.participants.call_log(), ["t1/charge/confirm#1"]);
}
