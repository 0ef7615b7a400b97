//! One coordinator: forward, backward, retries, commands, locks, parking.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::time::Duration;

use amends_core::saga::{Answer, Command, Op, OutcomeKind, Status};
use amends_core::{Json, SagaId, StepId, Timestamp};
use amends_engine::{CommandError, CompleteError, SubmitError};
use amends_ports::testing::{ScriptedAnswer, ScriptedParticipants};
use amends_ports::{Clock, Store};
use serde_json::json;
use support::{
    World, assert_ends, ended, failed, operator, order, refused, register, start_saga, submission,
};

fn name(text: &str) -> amends_core::ParticipantName {
    amends_core::ParticipantName::new(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_saga_whose_steps_succeed_completes_and_confirms() {
    let world = World::new(ScriptedParticipants::new());
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    let id = start_saga(&engine, &order, "s1").await;
    let detail = assert_ends(&engine, &id, Status::Completed).await;
    assert_eq!(detail.saga.output().unwrap().as_str(), r#"{"order":"s1"}"#);
    assert_eq!(
        world.participants.call_log(),
        ["s1/reserve/action#1", "s1/charge/try#1", "s1/create/action#1", "s1/charge/confirm#1"]
    );
    // A saga of n steps costs n + 1 durable waits; the confirm is one more.
    assert_eq!(world.store.batches_written(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_undoes_what_was_done_backwards() {
    let world = World::new(ScriptedParticipants::answering(|call| {
        if call.key.step_id.as_str() == "create" { refused() } else { Answer::succeeded(None) }
    }));
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    let id = start_saga(&engine, &order, "s1").await;
    let detail = assert_ends(&engine, &id, Status::Compensated).await;
    assert!(detail.saga.reason().unwrap().contains("create"));
    assert_eq!(
        world.participants.call_log()[2..],
        ["s1/create/action#1", "s1/charge/cancel#1", "s1/reserve/compensation#1"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_repeated_and_then_undone() {
    let world = World::new(ScriptedParticipants::answering(|call| {
        let is_create = call.key.step_id.as_str() == "create" && call.key.op == Op::Action;
        if is_create { failed(OutcomeKind::Unknown, true) } else { Answer::succeeded(None) }
    }));
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    let id = start_saga(&engine, &order, "s1").await;
    assert_ends(&engine, &id, Status::Compensated).await;
    let calls = world.participants.call_log();
    let of_create: Vec<_> = calls.iter().filter(|call| call.contains("/create/")).collect();
    assert_eq!(
        of_create,
        [
            "s1/create/action#1",
            "s1/create/action#2",
            "s1/create/action#3",
            "s1/create/compensation#1"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_is_refused_suspends_until_an_operator_resolves_it() {
    let world = World::new(ScriptedParticipants::answering(|call| {
        let is_create = call.key.step_id.as_str() == "create";
        if is_create || call.key.op == Op::Compensation {
            refused()
        } else {
            Answer::succeeded(None)
        }
    }));
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    let id = start_saga(&engine, &order, "s1").await;
    let detail = assert_ends(&engine, &id, Status::Suspended).await;
    assert_eq!(detail.saga.stuck().map(|(step, op)| (step.0, op)), Some((0, Op::Compensation)));
    let (_, summary) = world.store.summary(&id).await.unwrap().unwrap();
    assert_eq!(summary.status, Status::Suspended);
    assert!(summary.reason.unwrap().contains("3 attempt"));

    let error = engine.command(&id, Command::Cancel, operator()).await;
    assert!(error.is_ok(), "cancelling what aborts already changes nothing: {error:?}");
    let step = StepId::new("reserve").unwrap();
    let wrong = Command::ResolveSucceeded { step: step.clone(), output: None, op: None };
    let error = engine.command(&id, wrong, operator()).await.unwrap_err();
    let CommandError::Refused { permitted, .. } = error else { panic!("{error}") };
    assert!(permitted.contains(&"reserve/resolve-undone".to_owned()), "{permitted:?}");

    engine.command(&id, Command::ResolveUndone { step }, operator()).await.unwrap();
    assert_ends(&engine, &id, Status::Compensated).await;
}

#[tokio::test(start_paused = true)]
async fn stuck_sagas_leave_memory_and_come_back_for_a_slow_retry() {
    let participants = ScriptedParticipants::answering(|call| {
        if call.key.step_id.as_str() == "create" { refused() } else { Answer::succeeded(None) }
    });
    let answers = (0..3).map(|_| ScriptedAnswer::now(refused()));
    participants.script(&name("inventory"), "reserve", Op::Compensation, answers);
    let world = World::new(participants);
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    let id = start_saga(&engine, &order, "s1").await;
    assert_ends(&engine, &id, Status::Suspended).await;
    let began = world.clock.now();
    loop {
        if let Some(detail) = engine.saga(&id).await.unwrap()
            && detail.saga.status() == Status::Compensated
        {
            break;
        }
        world.clock.sleep(Duration::from_secs(10)).await;
        assert!(world.clock.now().since(began) < Duration::from_hours(1));
    }
    assert!(world.clock.now().since(began) >= Duration::from_secs(290));
}

#[tokio::test(start_paused = true)]
async fn pause_holds_what_is_next_and_resume_goes_on() {
    let participants = ScriptedParticipants::new();
    let slow = ScriptedAnswer::after(Duration::from_millis(500), Answer::succeeded(None));
    participants.script(&name("inventory"), "reserve", Op::Action, [slow]);
    let world = World::new(participants);
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    let id = start_saga(&engine, &order, "s1").await;
    engine.command(&id, Command::Pause, operator()).await.unwrap();
    world.clock.sleep(Duration::from_mins(10)).await;
    assert_eq!(world.participants.call_log(), ["s1/reserve/action#1"]);
    let detail = engine.saga(&id).await.unwrap().unwrap();
    assert!(detail.saga.is_paused());
    engine.command(&id, Command::Resume, operator()).await.unwrap();
    assert_ends(&engine, &id, Status::Completed).await;
}

#[tokio::test(start_paused = true)]
async fn cancel_before_the_decision_undoes_and_can_be_repeated() {
    let participants = ScriptedParticipants::new();
    let slow = ScriptedAnswer::after(Duration::from_millis(500), Answer::succeeded(None));
    participants.script(&name("payment"), "charge", Op::Try, [slow]);
    let world = World::new(participants);
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    let id = start_saga(&engine, &order, "s1").await;
    while world.participants.calls().len() < 2 {
        tokio::task::yield_now().await;
    }
    engine.command(&id, Command::Cancel, operator()).await.unwrap();
    assert_ends(&engine, &id, Status::Compensated).await;
    assert_eq!(
        world.participants.call_log()[2..],
        ["s1/charge/cancel#1", "s1/reserve/compensation#1"]
    );
    let again = engine.command(&id, Command::Cancel, operator()).await.unwrap();
    assert_eq!(again.saga.status(), Status::Compensated);
    let done = start_saga(&engine, &order, "s2").await;
    assert_ends(&engine, &done, Status::Completed).await;
    let error = engine.command(&done, Command::Cancel, operator()).await.unwrap_err();
    assert!(matches!(error, CommandError::Refused { .. }), "{error}");
    let nobody = SagaId::new("nobody").unwrap();
    let error = engine.command(&nobody, Command::Cancel, operator()).await.unwrap_err();
    assert!(matches!(error, CommandError::UnknownSaga(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_same_submission_again_finds_the_saga_and_another_content_is_refused() {
    let world = World::new(ScriptedParticipants::new());
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    let mut first = submission(&order, "s1");
    first.idempotency_key = Some("key".to_owned());
    let made = engine.submit(first.clone()).await.unwrap();
    let again = engine.submit(first.clone()).await.unwrap();
    assert!(made.created && !again.created);
    assert_eq!(made.detail.saga.id(), again.detail.saga.id());
    first.request_digest = "other".to_owned();
    assert!(matches!(engine.submit(first).await, Err(SubmitError::Mismatch(_))));
}

#[tokio::test(start_paused = true)]
async fn lock_keys_serialise_first_come_first_served() {
    let participants = ScriptedParticipants::scripted(|_| {
        ScriptedAnswer::after(Duration::from_millis(50), Answer::succeeded(None))
    });
    let world = World::new(participants);
    let engine = world.start().await;
    let mut document = order();
    document["lock"] = json!({ "keys": ["sku:${input.sku}"] });
    let order = register(&engine, &document).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(start_saga(&engine, &order, &format!("s{number}")).await);
    }
    for id in &ids {
        assert_ends(&engine, id, Status::Completed).await;
    }
    let calls = world.participants.calls();
    let order_seen: Vec<_> = calls.iter().map(|call| call.key.saga_id.to_string()).collect();
    let mut expected = Vec::new();
    for number in 0..5 {
        expected.extend(vec![format!("s{number}"); 4]);
    }
    assert_eq!(order_seen, expected);
    let tokens: Vec<_> = calls.iter().map(|call| call.context.tokens[0].1.0).collect();
    assert!(tokens.is_sorted() && tokens[0] < tokens[4]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_saga_in_a_queue_hears_of_its_end_at_once() {
    let participants = ScriptedParticipants::scripted(|call| {
        let takes = if call.key.saga_id.as_str() == "s1" { 777 } else { 0 };
        ScriptedAnswer::after(Duration::from_millis(takes), Answer::succeeded(None))
    });
    let world = World::new(participants);
    let engine = world.start().await;
    let mut document = order();
    document["lock"] = json!({ "keys": ["sku:${input.sku}"] });
    let order = register(&engine, &document).await;
    start_saga(&engine, &order, "s1").await;
    let second = start_saga(&engine, &order, "s2").await;
    let detail = engine.wait(&second, Duration::from_mins(1)).await.unwrap().unwrap();
    assert_eq!(detail.saga.status(), Status::Completed);
    let late = world.clock.now().since(detail.saga.ended_at().unwrap());
    assert!(late < Duration::from_millis(10), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_waits_too_long_for_its_keys_ends_without_a_call() {
    let participants = ScriptedParticipants::scripted(|_| {
        ScriptedAnswer::after(Duration::from_millis(900), Answer::succeeded(None))
    });
    let world = World::new(participants);
    let engine = world.start().await;
    let mut document = order();
    document["lock"] = json!({ "keys": ["sku:${input.sku}"], "wait": "1s" });
    let order = register(&engine, &document).await;
    let first = start_saga(&engine, &order, "s1").await;
    let second = start_saga(&engine, &order, "s2").await;
    let detail = assert_ends(&engine, &second, Status::Compensated).await;
    assert!(detail.saga.reason().unwrap().contains("lock keys"));
    assert_ends(&engine, &first, Status::Completed).await;
    assert!(world.participants.call_log().iter().all(|call| call.starts_with("s1/")));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_aborts_and_a_start_time_delays() {
    let participants = ScriptedParticipants::scripted(|call| {
        let is_charge = call.key.op == Op::Try;
        let answer =
            if is_charge { failed(OutcomeKind::Retryable, true) } else { Answer::succeeded(None) };
        ScriptedAnswer::now(answer)
    });
    let world = World::new(participants);
    let engine = world.start().await;
    let mut document = order();
    document["deadline"] = json!("20s");
    document["defaults"]["retry"]["max_attempts"] = json!(1000);
    let order = register(&engine, &document).await;
    let mut late = submission(&order, "s1");
    late.start_at = Some(world.clock.now().after(Duration::from_secs(10)));
    engine.submit(late).await.unwrap();
    let id = SagaId::new("s1").unwrap();
    let began = world.clock.now();
    world.clock.sleep(Duration::from_secs(9)).await;
    assert!(world.participants.calls().is_empty());
    assert_eq!(engine.saga(&id).await.unwrap().unwrap().saga.status(), Status::Queued);
    let detail = assert_ends(&engine, &id, Status::Compensated).await;
    assert!(detail.saga.reason().unwrap().contains("deadline"));
    let took = detail.saga.ended_at().unwrap().since(began);
    assert!(took >= Duration::from_secs(20) && took < Duration::from_secs(23), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_callback_completes_a_pending_step_once() {
    let participants = ScriptedParticipants::answering(|call| {
        let mut answer = Answer::succeeded(None);
        if call.context.callback_url.is_some() {
            answer.outcome = OutcomeKind::Pending;
        }
        answer
    });
    let world = World::new(participants);
    let engine = world.start().await;
    let mut document = order();
    document["steps"][0]["completion"] = json!("callback");
    document["defaults"]["timeout"] = json!("60s");
    let order = register(&engine, &document).await;
    let id = start_saga(&engine, &order, "s1").await;
    // Long enough that the saga has left memory.
    world.clock.sleep(Duration::from_secs(20)).await;
    let call = world.participants.calls().remove(0);
    let url = call.context.callback_url.clone().unwrap();
    let token = url.rsplit('/').next().unwrap().to_owned();
    let step = StepId::new("reserve").unwrap();
    let output = Some(Json::parse("{\"n\":1}").unwrap());
    let answer = Answer::succeeded(output.clone());
    let wrong = engine.complete(&id, &step, Op::Action, &"0".repeat(32), answer.clone()).await;
    assert!(matches!(wrong, Err(CompleteError::UnknownCallback)));
    engine.complete(&id, &step, Op::Action, &token, answer.clone()).await.unwrap();
    let again = engine.complete(&id, &step, Op::Action, &token, answer).await;
    assert!(matches!(again, Err(CompleteError::Late(_))), "{again:?}");
    let detail = assert_ends(&engine, &id, Status::Completed).await;
    assert_eq!(detail.saga.steps()[0].forward.output, output);
}

#[tokio::test(start_paused = true)]
async fn a_poll_completes_a_pending_step() {
    let participants = ScriptedParticipants::new();
    let mut pending = Answer::succeeded(None);
    pending.outcome = OutcomeKind::Pending;
    pending.location = Some("/jobs/1".to_owned());
    let answers = [pending.clone(), pending, Answer::succeeded(None)].map(ScriptedAnswer::now);
    participants.script(&name("inventory"), "reserve", Op::Action, answers);
    let world = World::new(participants);
    let engine = world.start().await;
    let mut document = order();
    document["steps"][0]["completion"] = json!({ "poll": { "interval": "2s" } });
    document["defaults"]["timeout"] = json!("60s");
    let order = register(&engine, &document).await;
    let id = start_saga(&engine, &order, "s1").await;
    assert_ends(&engine, &id, Status::Completed).await;
    let polls = world.participants.polls();
    assert_eq!(polls.iter().map(|(_, at)| at.as_str()).collect::<Vec<_>>(), ["/jobs/1", "/jobs/1"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_coordinator_refuses_and_names_the_bound() {
    let mut world = World::new(ScriptedParticipants::scripted(|_| ScriptedAnswer::never()));
    world.config.live_sagas_max = 3;
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    for number in 0..3 {
        start_saga(&engine, &order, &format!("s{number}")).await;
    }
    let error = engine.submit(submission(&order, "s4")).await.unwrap_err();
    assert!(
        matches!(error, SubmitError::Overloaded { name: "engine.live-sagas-max", bound: 3 }),
        "{error}"
    );
    assert!(engine.saga(&SagaId::new("s4").unwrap()).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn many_sagas_share_commits() {
    let world = World::new(ScriptedParticipants::new());
    world.store.set_write_delay(Duration::from_millis(2));
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    let sagas = (0..200).map(|number| {
        let (engine, order) = (engine.clone(), order.clone());
        async move {
            let id = start_saga(&engine, &order, &format!("s{number}")).await;
            ended(&engine, &id).await.saga.status()
        }
    });
    let ends = futures_util::future::join_all(sagas).await;
    assert!(ends.iter().all(|status| *status == Status::Completed));
    assert!(world.store.batches_written() < 60, "{}", world.store.batches_written());
    assert!(world.clock.now() > Timestamp(0));
}

#[tokio::test(start_paused = true)]
async fn a_saga_under_way_is_shown_without_the_store_while_the_leases_hold() {
    let answer_in = Duration::from_mins(10);
    let world = World::new(ScriptedParticipants::scripted(move |_| {
        ScriptedAnswer::after(answer_in, Answer::succeeded(None))
    }));
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    let id = start_saga(&engine, &order, "s1").await;
    world.store.set_down(true);
    let detail = engine.saga(&id).await.unwrap().unwrap();
    assert_eq!(
        (
            detail.saga.status(),
            detail.saga.step(detail.saga.definition().indices().next().unwrap()).forward.attempts
        ),
        (Status::Running, 1)
    );
    tokio::time::sleep(world.config.lease_ttl).await;
    assert!(engine.saga(&id).await.is_err(), "somebody else may drive it by now");
}
