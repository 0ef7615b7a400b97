//! Lock keys guarded on a lock service: what waits for it, what does not, and what is done when it
//! is lost.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::OnLost;
use amends_core::saga::{Answer, Command, Op, Status};
use amends_core::{LockKey, SagaId, StepId};
use amends_engine::{Engine, ReleaseError};
use amends_ports::Clock;
use amends_ports::testing::{MemoryLocks, ScriptedAnswer, ScriptedParticipants};
use serde_json::{Value, json};
use support::{World, assert_ends, operator, order, register, start_saga};

const TTL: Duration = Duration::from_secs(10);

fn book() -> LockKey {
    LockKey::new("sku:book").unwrap()
}

fn name(text: &str) -> amends_core::ParticipantName {
    amends_core::ParticipantName::new(text).unwrap()
}

/// `order` under a lock key, with more said about it.
fn locked(more: &Value) -> Value {
    let mut document = order();
    document["lock"] = json!({ "keys": ["sku:${input.sku}"] });
    for (field, value) in more.as_object().unwrap() {
        document["lock"][field] = value.clone();
    }
    document
}

/// A world with three masters, and a payment that takes a minute to answer.
fn slow_world() -> (World, Arc<MemoryLocks>) {
    let participants = ScriptedParticipants::new();
    let slow = ScriptedAnswer::after(Duration::from_millis(900), Answer::succeeded(None));
    participants.script(&name("payment"), "charge", Op::Try, [slow]);
    guarded(participants)
}

fn guarded(participants: ScriptedParticipants) -> (World, Arc<MemoryLocks>) {
    let mut world = World::new(participants);
    let locks = Arc::new(MemoryLocks::new(3, TTL));
    world.locks = Some(Arc::clone(&locks));
    (world, locks)
}

impl World {
    /// The world of another coordinator: over the same store and masters by links of its own.
    fn beside(&self, locks: &MemoryLocks) -> Self {
        Self {
            store: Arc::new(self.store.link()),
            locks: Some(Arc::new(locks.peer())),
            participants: Arc::clone(&self.participants),
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            config: self.config.clone(),
        }
    }
}

async fn until(what: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("this did not come to pass");
}

async fn status(engine: &Engine, id: &SagaId) -> Status {
    engine.saga(id).await.unwrap().unwrap().saga.status()
}

#[tokio::test(start_paused = true)]
async fn a_guard_stands_from_the_first_call_to_the_end() {
    let (world, locks) = slow_world();
    let engine = world.start().await;
    let order = register(&engine, &locked(&json!({}))).await;
    let id = start_saga(&engine, &order, "s1").await;
    until(|| world.participants.calls().len() == 2).await;
    let holder = locks.holder(&book()).unwrap();
    assert!(holder.contains("/s1/"), "{holder}");
    let token = world.participants.calls()[0].context.tokens[0].1;
    assert!(holder.ends_with(&format!("/{}", token.0)), "{holder} is not under {token:?}");
    assert_ends(&engine, &id, Status::Completed).await;
    until(|| locks.holder(&book()).is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_saga_keeps_its_guard_for_as_long_as_it_takes() {
    let mut document = locked(&json!({}));
    document["steps"][0]["completion"] = json!("callback");
    document["steps"][0]["timeout"] = json!("1h");
    let participants = ScriptedParticipants::new();
    let pending =
        Answer { outcome: amends_core::saga::OutcomeKind::Pending, ..Answer::succeeded(None) };
    participants.script(&name("inventory"), "reserve", Op::Action, [pending.into()]);
    let (world, locks) = guarded(participants);
    let engine = world.start().await;
    let order = register(&engine, &document).await;
    start_saga(&engine, &order, "s1").await;
    for _ in 0..40 {
        world.clock.sleep(Duration::from_secs(30)).await;
        assert!(locks.holder(&book()).unwrap().contains("/s1/"));
    }
    // Another coordinator takes the partition over, and with it the guard.
    let next = world.beside(&locks);
    engine.drain().await;
    let _other = next.start().await;
    for _ in 0..10 {
        world.clock.sleep(Duration::from_secs(30)).await;
        assert!(locks.holder(&book()).unwrap().contains("/s1/"));
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_from_the_store_sets_no_guards_of_sagas_that_others_end() {
    let (world, locks) = slow_world();
    let cut_off = world.start().await;
    let order = register(&cut_off, &locked(&json!({}))).await;
    let id = start_saga(&cut_off, &order, "s1").await;
    until(|| locks.holder(&book()).is_some()).await;
    let other = world.beside(&locks);
    world.store.set_down(true);
    let engine = other.start().await;
    assert_ends(&engine, &id, Status::Completed).await;
    // The one that is cut off finds its guard gone, again and again.
    for _ in 0..60 {
        world.clock.sleep(TTL / 10).await;
    }
    assert_eq!(locks.holder(&book()), None);
    let id = start_saga(&engine, &order, "s2").await;
    assert_ends(&engine, &id, Status::Completed).await;
}

#[tokio::test(start_paused = true)]
async fn an_outside_holder_is_waited_for_as_long_as_the_definition_says() {
    let (world, locks) = guarded(ScriptedParticipants::new());
    let engine = world.start().await;
    let patient = register(&engine, &locked(&json!({}))).await;
    locks.occupy(&book(), "a batch job");
    let id = start_saga(&engine, &patient, "s1").await;
    world.clock.sleep(Duration::from_mins(2)).await;
    assert_eq!(status(&engine, &id).await, Status::Queued);
    assert!(world.participants.calls().is_empty());
    locks.take_away(&book());
    assert_ends(&engine, &id, Status::Completed).await;

    locks.occupy(&book(), "a batch job");
    for (lock, after) in [(json!({ "wait": "5s" }), 5), (json!({ "on_busy": "reject" }), 0)] {
        let mut document = locked(&lock);
        document["name"] = json!(format!("order-{after}"));
        let order = register(&engine, &document).await;
        let began = world.clock.now();
        let id = start_saga(&engine, &order, &format!("s-{after}")).await;
        assert_ends(&engine, &id, Status::Compensated).await;
        let took = world.clock.now().since(began);
        assert!(took >= Duration::from_secs(after) && took < Duration::from_secs(after + 3));
    }
    assert_eq!(world.participants.calls().len(), 4, "of the first saga only");
}

#[tokio::test(start_paused = true)]
async fn without_a_quorum_sagas_wait_and_neither_fail_nor_start() {
    let (world, locks) = guarded(ScriptedParticipants::new());
    let engine = world.start().await;
    let order = register(&engine, &locked(&json!({ "wait": "2s" }))).await;
    locks.partition(2);
    let id = start_saga(&engine, &order, "s1").await;
    world.clock.sleep(Duration::from_mins(10)).await;
    assert_eq!(status(&engine, &id).await, Status::Queued);
    assert!(!engine.ready().await.locks.unwrap().quorum);
    assert!(engine.ready().await.ready, "only sagas with lock keys wait");
    locks.partition(0);
    assert_ends(&engine, &id, Status::Completed).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_quorum_holds_forward_calls_back_and_no_undo() {
    let (world, locks) = slow_world();
    let engine = world.start().await;
    let mut document = locked(&json!({}));
    document["steps"][0]["timeout"] = json!("60s");
    let order = register(&engine, &document).await;
    let id = start_saga(&engine, &order, "s1").await;
    until(|| world.participants.calls().len() == 2).await;
    locks.partition(2);
    world.clock.sleep(Duration::from_secs(1)).await;
    // The guard still holds for a while, so the next call left. Now it does not.
    let second = start_saga(&engine, &order, "s2").await;
    world.clock.sleep(TTL * 2).await;
    assert_eq!(status(&engine, &id).await, Status::Completed);
    assert_eq!(status(&engine, &second).await, Status::Queued);
    locks.partition(0);
    assert_ends(&engine, &second, Status::Completed).await;

    // Between two steps.
    let slow = ScriptedAnswer::after(Duration::from_secs(20), Answer::succeeded(None));
    world.participants.script(&name("inventory"), "reserve", Op::Action, [slow]);
    let third = start_saga(&engine, &order, "s3").await;
    until(|| world.participants.call_log().contains(&"s3/reserve/action#1".to_owned())).await;
    locks.partition(2);
    world.clock.sleep(Duration::from_secs(30)).await;
    let log = world.participants.call_log();
    assert!(log.iter().all(|line| !line.starts_with("s3/charge")), "{log:?}");
    engine.command(&third, Command::Cancel, operator()).await.unwrap();
    assert_ends(&engine, &third, Status::Compensated).await;
    let log = world.participants.call_log();
    assert!(log.contains(&"s3/reserve/compensation#1".to_owned()), "{log:?}");
    assert!(log.iter().all(|line| !line.starts_with("s3/charge")), "nothing was sent: {log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_an_outsider_took_is_treated_as_the_definition_says() {
    for on_lost in [OnLost::Fence, OnLost::Pause, OnLost::Abort] {
        let participants = ScriptedParticipants::new();
        let slow = ScriptedAnswer::after(Duration::from_secs(30), Answer::succeeded(None));
        participants.script(&name("inventory"), "reserve", Op::Action, [slow]);
        let (world, locks) = guarded(participants);
        let engine = world.start().await;
        let mut document = locked(&json!({ "on_lost": on_lost }));
        document["steps"][0]["timeout"] = json!("60s");
        let order = register(&engine, &document).await;
        let id = start_saga(&engine, &order, "s1").await;
        until(|| world.participants.calls().len() == 1).await;
        locks.occupy(&book(), "a batch job");
        world.clock.sleep(Duration::from_mins(1)).await;
        match on_lost {
            OnLost::Fence => assert_eq!(status(&engine, &id).await, Status::Completed),
            OnLost::Abort => {
                let detail = assert_ends(&engine, &id, Status::Compensated).await;
                assert!(detail.saga.reason().unwrap().contains("lock keys"));
                assert!(world.participants.call_log().iter().all(|line| !line.contains("charge")));
            }
            OnLost::Pause => {
                assert_eq!(status(&engine, &id).await, Status::Running);
                assert_eq!(world.participants.calls().len(), 1);
                locks.take_away(&book());
                assert_ends(&engine, &id, Status::Completed).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_takes_keys_away_and_the_saga_queues_again_under_a_higher_token() {
    let participants = ScriptedParticipants::new();
    let slow = ScriptedAnswer::after(Duration::from_millis(900), Answer::succeeded(None));
    participants.script(&name("inventory"), "reserve", Op::Action, [slow]);
    let (world, _) = guarded(participants);
    let engine = world.start().await;
    let order = register(&engine, &locked(&json!({}))).await;
    let first = start_saga(&engine, &order, "s1").await;
    let second = start_saga(&engine, &order, "s2").await;
    until(|| world.participants.calls().len() == 1).await;
    let queue = engine.lock(&book(), 10).await.unwrap().unwrap();
    assert_eq!(queue.holder.unwrap().saga_id, first);
    assert_eq!(queue.queue[0].saga_id, second);
    engine.release_lock(&book(), operator()).await.unwrap();
    assert_ends(&engine, &second, Status::Completed).await;
    assert_ends(&engine, &first, Status::Completed).await;
    let log = world.participants.call_log();
    let place = |line: &str| log.iter().position(|other| other == line).unwrap();
    assert!(place("s2/charge/confirm#1") < place("s1/charge/try#1"), "{log:?}");
    let tokens: Vec<u64> =
        world.participants.calls().iter().map(|call| call.context.tokens[0].1.0).collect();
    assert!(tokens.is_sorted() && tokens.first() < tokens.last(), "{tokens:?}");
    let error = engine.release_lock(&book(), operator()).await.unwrap_err();
    assert!(matches!(error, ReleaseError::UnknownLock(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_lock_may_end_with_the_decision() {
    let mut document = locked(&json!({ "release": "pivot" }));
    document["steps"].as_array_mut().unwrap().push(json!({
        "id": "tell", "participant": "mail", "action": { "path": "/mails", "timeout": "60s" },
        "completion": "answer",
    }));
    document["steps"][2]["pivot"] = json!(true);
    let participants = ScriptedParticipants::new();
    let slow = ScriptedAnswer::after(Duration::from_secs(30), Answer::succeeded(None));
    participants.script(&name("mail"), "tell", Op::Action, [slow]);
    let (world, locks) = guarded(participants);
    let engine = world.start().await;
    let order = register(&engine, &document).await;
    let first = start_saga(&engine, &order, "s1").await;
    let second = start_saga(&engine, &order, "s2").await;
    assert_ends(&engine, &second, Status::Completed).await;
    assert_eq!(status(&engine, &first).await, Status::Confirming);
    assert_ends(&engine, &first, Status::Completed).await;
    until(|| locks.holder(&book()).is_none()).await;
    let tell = StepId::new("tell").unwrap();
    for call in world.participants.calls().iter().filter(|call| call.key.step_id == tell) {
        assert!(call.context.tokens.is_empty(), "what runs outside the lock has no token");
    }
}

#[tokio::test(start_paused = true)]
async fn the_newest_replaces_those_that_wait() {
    let participants = ScriptedParticipants::new();
    let slow = ScriptedAnswer::after(Duration::from_millis(900), Answer::succeeded(None));
    participants.script(&name("inventory"), "reserve", Op::Action, [slow]);
    let (world, _) = guarded(participants);
    let engine = world.start().await;
    let order = register(&engine, &locked(&json!({ "on_busy": "replace" }))).await;
    let mut ids = Vec::new();
    for id in ["s1", "s2", "s3", "s4"] {
        ids.push(start_saga(&engine, &order, id).await);
    }
    assert_ends(&engine, &ids[0], Status::Completed).await;
    assert_ends(&engine, &ids[3], Status::Completed).await;
    for id in &ids[1..3] {
        let detail = assert_ends(&engine, id, Status::Compensated).await;
        assert!(detail.saga.reason().unwrap().contains("newer"), "{:?}", detail.saga.reason());
    }
}
