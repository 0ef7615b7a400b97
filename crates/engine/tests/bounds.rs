//! What a coordinator at its bounds refuses, and what it lets in all the same.
#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]

mod support;

use std::time::Duration;

use amends_core::saga::{Actor, Answer, Command, Op, Status};
use amends_core::{DefinitionName, Json, SagaId};
use amends_engine::{Chosen, Engine, Submission, SubmitError};
use amends_ports::testing::{ScriptedAnswer, ScriptedParticipants};
use serde_json::{Value, json};
use support::{World, ended, register};

const KIB: usize = 1024;

fn two() -> Value {
    let step = |id: &str| {
        json!({
            "id": id, "participant": "p", "timeout": "1h", "retry": { "max_attempts": 1 },
            "action": { "path": "/a" }, "compensation": { "path": "/u" },
        })
    };
    json!({ "name": "two", "steps": [step("first"), step("second")] })
}

/// A start under a key of its own, with an input of so many bytes.
fn start(name: &DefinitionName, key: &str, bytes: usize) -> Submission {
    let chosen = Chosen::Stored { name: name.clone(), version: None };
    Submission {
        idempotency_key: Some(key.to_owned()),
        input: Json::from_value(&Value::String("x".repeat(bytes))),
        ..Submission::new(chosen, format!("{key} {bytes}"))
    }
}

/// The name of the bound that a start is refused for.
async fn refused(engine: &Engine, submission: Submission) -> &'static str {
    match engine.submit(submission).await {
        Err(SubmitError::Overloaded { name, .. }) => name,
        other => unreachable!("{other:?}"),
    }
}

fn live_bytes(engine: &Engine) -> usize {
    let text = engine.metrics_text();
    let line = text.lines().find_map(|line| line.strip_prefix("amends_saga_live_bytes "));
    line.unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_repetition_is_answered_at_the_bound() {
    let mut world = World::new(ScriptedParticipants::scripted(|_| ScriptedAnswer::never()));
    world.config.live_sagas_max = 2;
    let engine = world.start().await;
    let two = register(&engine, &two()).await;
    let by_key = engine.submit(start(&two, "key", 1)).await.unwrap();
    let named = |id: &str, bytes| Submission {
        saga_id: Some(SagaId::new(id).unwrap()),
        idempotency_key: None,
        ..start(&two, id, bytes)
    };
    engine.submit(named("s-1", 1)).await.unwrap();

    let again = engine.submit(start(&two, "key", 1)).await.unwrap();
    assert!(!again.created && again.detail.saga.id() == by_key.detail.saga.id());
    let again = engine.submit(named("s-1", 1)).await.unwrap();
    assert!(!again.created && again.detail.saga.id().as_str() == "s-1");
    for other in [start(&two, "key", 2), named("s-1", 2)] {
        let error = engine.submit(other).await.unwrap_err();
        assert!(matches!(error, SubmitError::Mismatch(_)), "{error}");
    }
    for new in [start(&two, "other", 1), named("s-2", 1)] {
        assert_eq!(refused(&engine, new).await, "engine.live-sagas-max");
    }
    assert!(engine.saga(&SagaId::new("s-2").unwrap()).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn few_sagas_with_large_inputs_reach_the_bound_in_bytes() {
    let mut world = World::new(ScriptedParticipants::scripted(|_| ScriptedAnswer::never()));
    world.config.live_bytes_max = 1024 * KIB;
    let engine = world.start().await;
    let two = register(&engine, &two()).await;
    let mut accepted = 0;
    while engine.submit(start(&two, &format!("key-{accepted}"), 50 * KIB)).await.is_ok() {
        accepted += 1;
        assert!(accepted < 100, "no end of it: {} bytes", live_bytes(&engine));
    }
    // Four bytes for each, and some for the rest.
    assert!((4..=5).contains(&accepted), "{accepted}");
    let new = start(&two, "new", 50 * KIB);
    assert_eq!(refused(&engine, new).await, "engine.live-bytes-max");
    assert!(live_bytes(&engine) > 800 * KIB && live_bytes(&engine) <= 1024 * KIB);

    let again = engine.submit(start(&two, "key-0", 50 * KIB)).await.unwrap();
    assert!(!again.created);
    engine.submit(start(&two, "small", 1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn outputs_count_and_never_stop_what_is_under_way() {
    let large = Json::from_value(&Value::String("x".repeat(200 * KIB)));
    let participants = ScriptedParticipants::scripted(move |call| {
        match (call.key.step_id.as_str(), call.key.op) {
            ("second", Op::Action) => ScriptedAnswer::never(),
            ("first", Op::Action) => Answer::succeeded(Some(large.clone())).into(),
            _ => Answer::succeeded(None).into(),
        }
    });
    let mut world = World::new(participants);
    world.config.live_bytes_max = 512 * KIB;
    let engine = world.start().await;
    let two = register(&engine, &two()).await;
    let saga = engine.submit(start(&two, "one", 1)).await.unwrap().detail.saga;
    while live_bytes(&engine) < 800 * KIB {
        // Virtual time.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(refused(&engine, start(&two, "other", 1)).await, "engine.live-bytes-max");
    engine.command(saga.id(), Command::Cancel, Actor::default()).await.unwrap();
    assert_eq!(ended(&engine, saga.id()).await.saga.status(), Status::Compensated);
    engine.submit(start(&two, "other", 1)).await.unwrap();
}
