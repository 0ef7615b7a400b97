//! Participants that answer later: by callback, or when they are asked.

use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::Completion;
use amends_core::saga::{Answer, AttemptFailure, OutcomeKind};
use amends_engine::CompleteError;
use amends_ports::OutgoingCall;
use tokio::time::timeout;

use crate::books::Said;
use crate::network::{arrive, failed, told};
use crate::watch::Phase;
use crate::world::World;

/// How long the participant waits for the answer to its callback.
const PATIENCE: Duration = Duration::from_secs(8);

/// How often it tries.
const TRIES: usize = 6;

/// A call arrives whose answer comes later. What is done already is said at once.
pub(crate) fn begin(world: &Arc<World>, call: &OutgoingCall) -> Answer {
    let key = &call.key;
    let said = world.books(|books| books.book(&key.saga_id, &key.step_id).said(key.op));
    if said.is_some() {
        return told(arrive(world, call, "call"));
    }
    let is_first = world.books(|books| {
        let book = books.book(&key.saga_id, &key.step_id);
        !std::mem::replace(&mut book.in_progress, true)
    });
    if is_first || world.chance.is(0.3) {
        let is_late = world.draws(|swarm| swarm.completion_late);
        let wait = if is_late { 3_000 } else { 600 };
        let wait = world.chance.time(Duration::from_millis(1), Duration::from_millis(wait));
        let (world, call) = (Arc::clone(world), call.clone());
        #[expect(clippy::disallowed_methods, reason = "the participant's work is nobody's task")]
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let said = arrive(&world, &call, "done");
            let key = &call.key;
            world.books(|books| books.book(&key.saga_id, &key.step_id).in_progress = false);
            if call.completion == Completion::Callback {
                call_back(&world, &call, said).await;
            }
        });
    }
    Answer {
        outcome: OutcomeKind::Pending,
        location: Some("/work".to_owned()),
        ..Answer::succeeded(None)
    }
}

/// Whether work that was begun is done.
pub(crate) fn asked(world: &World, call: &OutgoingCall) -> Answer {
    let key = &call.key;
    let book = world.books(|books| books.step(&key.saga_id, &key.step_id));
    match book.said(key.op).filter(|_| !book.in_progress) {
        Some(said) => {
            world.seen("polled to the end");
            told(said)
        }
        None if book.in_progress => {
            Answer { outcome: OutcomeKind::Pending, ..Answer::succeeded(None) }
        }
        None => failed(OutcomeKind::Retryable, true, AttemptFailure::Status),
    }
}

/// Tells the coordinators, once or twice, or never.
async fn call_back(world: &World, call: &OutgoingCall, said: Said) {
    if world.draws(|swarm| swarm.completion_late) {
        return world.seen("callback lost");
    }
    tell(world, call, said).await;
    if world.draws(|swarm| swarm.completion_late) {
        tokio::time::sleep(world.chance.seconds(5)).await;
        world.seen("callback doubled");
        tell(world, call, said).await;
    }
}

async fn tell(world: &World, call: &OutgoingCall, said: Said) {
    let key = &call.key;
    let Some(token) = call.context.callback_url.as_ref().and_then(|url| url.rsplit('/').next())
    else {
        return world.violated(&format!("{key} completes by callback and was sent no URL"));
    };
    for _ in 0..TRIES {
        let Some((engine, gate)) = world.cluster().and_then(|own| own.any(&world.chance)) else {
            tokio::time::sleep(world.chance.seconds(2)).await;
            continue;
        };
        let told = timeout(PATIENCE, async {
            gate.pass().await;
            let answer = told(said);
            let told = engine.complete(&key.saga_id, &key.step_id, key.op, token, answer).await;
            gate.pass().await;
            told
        });
        let Ok(told) = told.await else { continue };
        world.log(("callback", key, told.is_ok()));
        match told {
            Ok(()) => {
                world.seen("callback taken");
                return taken(world, call);
            }
            Err(CompleteError::Late(_)) => return world.seen("callback late"),
            Err(CompleteError::UnknownCallback) => {
                let is_there = world
                    .watch(|watch| watch.saga(&key.saga_id).is_some_and(|saga| !saga.is_deleted));
                if is_there {
                    world.violated(&format!("the callback of {key} is not known"));
                }
                return;
            }
            Err(CompleteError::OwnerSilent(_) | CompleteError::Unavailable(_)) => {
                tokio::time::sleep(world.chance.seconds(1)).await;
            }
        }
    }
}

/// What was taken is written down.
fn taken(world: &World, call: &OutgoingCall) {
    let key = &call.key;
    let phase = world.watch(|watch| {
        let saga = watch.saga(&key.saga_id)?;
        let step = saga.definition.index_of(key.step_id.as_str())?;
        Some(saga.steps[step.get()].call(key.op).phase)
    });
    if matches!(phase, Some(Phase::Idle | Phase::Pending(_))) {
        world.violated(&format!("S1: the callback of {key} was taken and is lost: {phase:?}"));
    }
}
