//! Coordinators that come, go and lose answers: takeover, hand-over, unknown commits, commands
//! for sagas of others.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use amends_core::saga::{Answer, Command, Op, OutcomeKind, Status};
use amends_core::{SagaId, StepId};
use amends_engine::{Submission, SubmitError};
use amends_ports::testing::{Fault, MemoryStore, ScriptedAnswer, ScriptedParticipants};
use amends_ports::{Clock, Store};
use serde_json::json;
use support::{
    World, assert_ends, ended, failed, operator, order, register, start_saga, submission,
};

fn slow(millis: u64) -> ScriptedParticipants {
    ScriptedParticipants::scripted(move |_| {
        ScriptedAnswer::after(Duration::from_millis(millis), Answer::succeeded(None))
    })
}

/// Calls of one key carry one attempt after the other, and every key succeeds once or more.
fn assert_all_calls_made(world: &World, sagas: usize) {
    let mut keys: Vec<_> =
        world.participants.calls().iter().map(|call| call.key.to_string()).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), sagas * 4);
}

#[tokio::test(start_paused = true)]
async fn a_drained_coordinator_hands_its_sagas_over_at_once() {
    let world = World::new(slow(200));
    let first = world.start().await;
    let order = register(&first, &order()).await;
    for number in 0..20 {
        start_saga(&first, &order, &format!("s{number}")).await;
    }
    first.drain().await;
    let error = first.submit(submission(&order, "late")).await.unwrap_err();
    assert!(matches!(error, SubmitError::Draining));
    let second = world.start().await;
    for number in 0..20 {
        let id = SagaId::new(format!("s{number}")).unwrap();
        assert_ends(&second, &id, Status::Completed).await;
    }
    // Calls in flight were heard out, so nothing was called twice.
    assert_eq!(world.participants.calls().len(), 80);
    assert_all_calls_made(&world, 20);
}

/// Who gives its lock keys back meanwhile hands them to nobody who would begin here.
#[tokio::test(start_paused = true)]
async fn a_hand_over_does_not_wait_for_a_queue() {
    const CALL: Duration = Duration::from_millis(300);
    let world = World::new(slow(300));
    let first = world.start().await;
    let mut document = order();
    document["lock"] = json!({ "keys": ["sku:${input.sku}"] });
    let step = document["steps"][0].clone();
    document["steps"] = json!([step]);
    let order = register(&first, &document).await;
    for number in 0..40 {
        start_saga(&first, &order, &format!("s{number}")).await;
    }
    let began = world.clock.now();
    first.drain().await;
    let took = world.clock.now().since(began);
    assert!(took < CALL * 2, "given away after {took:?}");
    let second = world.start().await;
    for number in 0..40 {
        let id = SagaId::new(format!("s{number}")).unwrap();
        assert_ends(&second, &id, Status::Completed).await;
    }
    assert_eq!(world.participants.calls().len(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_waits_for_sagas_that_are_being_claimed() {
    const ANSWERED_AFTER: Duration = Duration::from_secs(3);
    let world = World::new(ScriptedParticipants::new());
    let first = world.start().await;
    let order = register(&first, &order()).await;
    let due = world.clock.now().after(Duration::from_mins(1));
    let later = Submission { start_at: Some(due), ..submission(&order, "s0") };
    first.submit(later).await.unwrap();
    world.clock.sleep(Duration::from_mins(1)).await;
    world.store.set_claim_delay(ANSWERED_AFTER);
    // The next look claims it.
    world.clock.sleep(world.config.poll_every + Duration::from_millis(1)).await;
    let began = world.clock.now();
    first.drain().await;
    let took = world.clock.now().since(began);
    assert!(took > ANSWERED_AFTER / 2, "given away after {took:?}");
    world.store.set_claim_delay(Duration::ZERO);
    let second = world.start().await;
    assert_ends(&second, &SagaId::new("s0").unwrap(), Status::Completed).await;
    assert_all_calls_made(&world, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_coordinators_sagas_are_driven_on_within_a_lease_and_two_seconds() {
    let world = World::new(slow(300));
    let dead_link = Arc::new(world.store.link());
    let mut dying = World::new(slow(300));
    dying.store = dead_link.clone();
    dying.clock = world.clock.clone();
    dying.ids = world.ids.clone();
    let first = dying.start().await;
    let order = register(&first, &order()).await;
    for number in 0..20 {
        start_saga(&first, &order, &format!("s{number}")).await;
    }
    // The first one's store is gone for ever; it lives on, and must do no harm.
    dead_link.set_down(true);
    let died_at = world.clock.now();
    let second = world.start_unready().await;
    for number in 0..20 {
        let id = SagaId::new(format!("s{number}")).unwrap();
        assert_ends(&second, &id, Status::Completed).await;
    }
    let took = world.clock.now().since(died_at);
    let bound = world.config.lease_ttl + Duration::from_secs(2) + Duration::from_millis(4 * 300);
    assert!(took <= bound, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn two_coordinators_share_the_partitions() {
    let world = World::new(ScriptedParticipants::new());
    let first = world.start().await;
    assert_eq!(first.ready().await.partitions, 8);
    let second = world.start().await;
    world.clock.sleep(Duration::from_secs(15)).await;
    assert_eq!(first.ready().await.partitions, 4);
    assert_eq!(second.ready().await.partitions, 4);
    let order = register(&first, &order()).await;
    // A saga of the other one is waited for through the store, and commanded through the inbox.
    for number in 0..10 {
        let id = start_saga(&first, &order, &format!("s{number}")).await;
        assert_ends(&second, &id, Status::Completed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_reaches_a_saga_of_another_coordinator() {
    let world = World::new(slow(500));
    let first = world.start().await;
    let second = world.start_unready().await;
    let order = register(&first, &order()).await;
    world.clock.sleep(Duration::from_secs(15)).await;
    for number in 0..4 {
        let id = start_saga(&first, &order, &format!("s{number}")).await;
        let detail = second.command(&id, Command::Cancel, operator()).await.unwrap();
        assert!(detail.saga.reason().is_some());
        assert_ends(&first, &id, Status::Compensated).await;
        assert!(second.command(&id, Command::Pause, operator()).await.is_err());
    }
}

/// As long as the owner may be of a release that reads no `op`, nobody tells it what may be taken
/// of another call.
#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_try_reaches_another_coordinator_while_the_saga_is_paused() {
    let world = World::new(ScriptedParticipants::answering(|call| match call.key.op {
        Op::Try => failed(OutcomeKind::Unknown, true),
        Op::Action | Op::Compensation | Op::Confirm | Op::Cancel => Answer::succeeded(None),
    }));
    let first = world.start().await;
    let second = world.start_unready().await;
    let mut order = order();
    order["defaults"]["retry"]["initial"] = json!("10m");
    order["defaults"]["retry"]["max"] = json!("10m");
    let order = register(&first, &order).await;
    world.clock.sleep(Duration::from_secs(15)).await;
    let id = start_saga(&first, &order, "s").await;
    world.clock.sleep(Duration::from_secs(1)).await;
    let step = StepId::new("charge").unwrap();
    let of = |op| Command::ResolveSucceeded { step: step.clone(), output: None, op: Some(op) };
    let error = second.command(&id, of(Op::Confirm), operator()).await.unwrap_err();
    assert!(error.to_string().contains("is its try"), "{error}");
    let error = second.command(&id, of(Op::Try), operator()).await.unwrap_err();
    assert!(error.to_string().contains("needs one that is paused"), "{error}");
    second.command(&id, Command::Pause, operator()).await.unwrap();
    second.command(&id, of(Op::Try), operator()).await.unwrap();
    second.command(&id, Command::Resume, operator()).await.unwrap();
    assert_ends(&first, &id, Status::Completed).await;
}

async fn unknown_commits(fault: Fault) {
    let world = World::new(slow(20));
    world.store.set_write_delay(Duration::from_millis(1));
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    let mut left = 0;
    world.store.fail_writes_by(move |_| {
        left += 1;
        (left % 7 == 0).then_some(fault)
    });
    let sagas = (0..40).map(|number| {
        let (engine, order, clock) = (engine.clone(), order.clone(), world.clock.clone());
        async move {
            let submission = submission(&order, &format!("s{number}"));
            while engine.submit(submission.clone()).await.is_err() {
                clock.sleep(Duration::from_millis(50)).await;
            }
            ended(&engine, &SagaId::new(format!("s{number}")).unwrap()).await.saga.status()
        }
    });
    let ends = futures_util::future::join_all(sagas).await;
    assert!(ends.iter().all(|status| *status == Status::Completed), "{ends:?}");
    assert_all_calls_made(&world, 40);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_was_applied_and_not_answered_loses_nothing() {
    unknown_commits(Fault::UnknownApplied).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_was_lost_with_its_answer_loses_nothing() {
    unknown_commits(Fault::UnknownNotApplied).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_delays_and_loses_nothing() {
    unknown_commits(Fault::Unavailable).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_is_said_to_be_away() {
    let world = World::new(ScriptedParticipants::new());
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    start_saga(&engine, &order, "s0").await;
    world.store.set_down(true);
    let error = engine.submit(submission(&order, "s1")).await.unwrap_err();
    assert!(matches!(error, SubmitError::Unavailable(_)), "{error}");
    assert!(!engine.ready().await.ready);
    world.store.set_down(false);
    let id = start_saga(&engine, &order, "s2").await;
    assert_ends(&engine, &id, Status::Completed).await;
    let store: &MemoryStore = &world.store;
    assert!(store.summary(&SagaId::new("s1").unwrap()).await.unwrap().is_none());
}
