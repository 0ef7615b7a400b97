//! Answers of the store and of other coordinators that are lost or come late: nobody is told what is
//! not so, and nothing is left that nobody drives.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::{
    Branch, BranchDocument, BranchWork, NestedSaga, Registry, parse, parse_branch,
};
use amends_core::saga::{Accepted, Answer, Command, Handled, Input, Record, Saga, Status};
use amends_core::{Json, SagaId, StepId};
use amends_engine::{Chosen, Engine, Submission, SubmitError};
use amends_ports::store::{Batch, CoordinatorId, Epoch, Header, Lease, NewSaga, Partition, Wake};
use amends_ports::testing::{Fault, MemoryStore, ScriptedParticipants};
use amends_ports::{Clock, Store};
use serde_json::{Value, json};
use support::{World, assert_ends, operator, order, register, start_saga, submission};

async fn begin(engine: &Engine, id: &str) -> SagaId {
    let document = json!({ "name": "checkout", "mode": "interactive" });
    let definition = parse(&document, &Registry::default()).definition.unwrap();
    let mut submission = Submission::new(Chosen::AdHoc(definition), id.to_owned());
    submission.saga_id = Some(SagaId::new(id).unwrap());
    engine.submit(submission).await.unwrap().detail.saga.id().clone()
}

fn branch(id: &str, document: &Value) -> BranchDocument {
    parse_branch(StepId::new(id).unwrap(), document, &Registry::default()).unwrap()
}

/// Every lease that there may be by now, whoever has it.
fn leases() -> Vec<Lease> {
    let all = (0..8).flat_map(|partition| (1..9).map(move |epoch| (partition, epoch)));
    all.map(|(partition, epoch)| Lease { partition: Partition(partition), epoch: Epoch(epoch) })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_saga_whose_claim_was_not_answered_is_driven_all_the_same() {
    let mut world = World::new(ScriptedParticipants::new());
    world.config.park_after = Duration::from_millis(10);
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    let start_at = Some(engine.now().after(Duration::from_mins(1)));
    engine.submit(Submission { start_at, ..submission(&order, "s") }).await.unwrap();
    world.clock.sleep(Duration::from_secs(59)).await;
    // The claim happens, and the coordinator hears that the store is away.
    let id = SagaId::new("s").unwrap();
    let claimed = world.store.link().claim_one(&leases(), &id).await.unwrap();
    assert!(claimed.is_some());
    world.store.set_down(true);
    world.clock.sleep(Duration::from_secs(1)).await;
    world.store.set_down(false);
    world.clock.sleep(Duration::from_secs(5)).await;
    assert_ends(&engine, &id, Status::Completed).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_commit_does_not_hand_out_the_saga_of_another_request() {
    for fault in [Fault::UnknownApplied, Fault::UnknownNotApplied, Fault::UnknownLate] {
        let world = World::new(ScriptedParticipants::new());
        let engine = world.start().await;
        let order = register(&engine, &order()).await;
        engine.submit(submission(&order, "s")).await.unwrap();
        let other = Submission { request_digest: "another".to_owned(), ..submission(&order, "s") };
        world.store.fail_next_write(fault);
        let error = engine.submit(other).await.unwrap_err();
        assert!(matches!(error, SubmitError::Mismatch(_)), "{fault:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_the_owner_refused_is_not_answered_as_done() {
    let world = World::new(ScriptedParticipants::new());
    let first = world.start().await;
    let id = begin(&first, "t").await;
    let second = world.start_unready().await;
    // Until the partitions are shared, so that one of the two has to ask the other one.
    world.clock.sleep(Duration::from_secs(15)).await;
    let document = json!({ "participant": "inventory", "compensation": { "path": "/release" } });
    let mut was_asked = false;
    for (engine, name) in [(&first, "b1"), (&second, "b2")] {
        first.command(&id, Command::Pause, operator()).await.unwrap();
        // Refused while it is paused, and resumed before the refusal is read.
        let resuming = async {
            for is_empty in [false, true] {
                for _ in 0..1_000 {
                    let inbox = world.store.inbox(&leases(), 9).await.unwrap();
                    was_asked |= !inbox.is_empty();
                    if inbox.is_empty() == is_empty {
                        break;
                    }
                    world.clock.sleep(Duration::from_millis(1)).await;
                }
            }
            // At once by its owner, whoever that is.
            let resume = |engine: Engine, id: SagaId| async move {
                engine.command(&id, Command::Resume, operator()).await.unwrap();
            };
            tokio::join!(resume(first.clone(), id.clone()), resume(second.clone(), id.clone()));
        };
        let (enlisted, ()) =
            tokio::join!(engine.enlist(&id, branch(name, &document), operator()), resuming);
        let detail = first.saga(&id).await.unwrap().unwrap();
        let is_in = detail.saga.branches().iter().any(|branch| branch.id.as_str() == name);
        assert_eq!(enlisted.is_ok(), is_in, "{enlisted:?}");
    }
    assert!(was_asked, "nobody had to ask the other one");
}

#[tokio::test(start_paused = true)]
async fn an_abort_does_not_wait_for_a_nested_saga_that_was_being_started() {
    let world = World::new(ScriptedParticipants::new());
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    begin(&engine, "other").await;
    engine.drain().await;
    // As a coordinator leaves it that dies before the nested saga is made.
    let document = json!({ "name": "checkout", "mode": "interactive" });
    let definition = parse(&document, &Registry::default()).definition.unwrap();
    let stored = world.store.definition_version(&order, None).await.unwrap().unwrap();
    let nested = NestedSaga {
        saga_id: SagaId::new("t.b").unwrap(),
        definition: stored.digest,
        definition_name: stored.name,
        definition_version: stored.version,
        input: Json::null(),
    };
    let work = BranchWork::Saga(nested);
    let branch = Box::new(Branch { id: StepId::new("b").unwrap(), after: None, work });
    let now = world.clock.now();
    let accepted = Accepted::new(SagaId::new("t").unwrap(), &definition);
    let (mut saga, Handled { mut records, .. }) = Saga::accept(definition, accepted, now);
    for command in [Command::Enlist { branch }, Command::Cancel] {
        let input = Input::Command { command, by: operator() };
        records.extend(saga.handle(now, input).unwrap().records);
    }
    write(&world, &saga, &records).await;
    let engine = world.start().await;
    assert_ends(&engine, saga.id(), Status::Compensated).await;
}

/// Writes a new saga down as its coordinator does that has it in memory, and gives its partition
/// back.
async fn write(world: &World, saga: &Saga, records: &[Record]) {
    let me = CoordinatorId("dying".to_owned());
    let leases = world.store.acquire(&me, 1, Duration::from_secs(1)).await.unwrap();
    let new = NewSaga {
        saga_id: saga.id().clone(),
        partition: leases[0].partition,
        definition: saga.accepted().definition.clone(),
        definition_name: saga.accepted().definition_name.clone(),
        definition_version: None,
        labels: BTreeMap::new(),
        lock_keys: Vec::new(),
        grant: None,
        idempotency_key: None,
        request_digest: String::new(),
        created_at: world.clock.now(),
        header: Header {
            status: saga.status(),
            paused: false,
            step: None,
            reason: None,
            updated_at: world.clock.now(),
            ended_at: None,
            wake: Wake::InMemory,
        },
        records: serde_json::to_string(records).unwrap(),
        record_count: u32::try_from(records.len()).unwrap(),
    };
    let batch = Batch { leases: leases.clone(), accepts: vec![new], ..Batch::default() };
    world.store.write(&batch).await.unwrap();
    world.store.release(&leases).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_driver_that_notices_late_that_its_lease_is_lost_keeps_nobody_from_its_saga() {
    let (entered, has_entered) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(Some((entered, released)));
    let participants = ScriptedParticipants::answering(move |_| {
        // The first call holds up the thread that drives its saga.
        if let Some((entered, released)) = held.lock().unwrap().take() {
            entered.send(()).unwrap();
            let _ = released.recv_timeout(Duration::from_secs(20));
        }
        Answer::succeeded(None)
    });
    let mut world = World::new(participants);
    world.store = Arc::new(MemoryStore::new(1, world.clock.clone()));
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    let slow = start_saga(&engine, &order, "slow").await;
    tokio::task::spawn_blocking(move || has_entered.recv()).await.unwrap().unwrap();

    // The partition is taken anew, and both sagas are read again, in order of id, while one of
    // them is still being driven.
    world.store.fail_next_write(Fault::UnknownApplied);
    let until_read = async {
        while !world.participants.calls().iter().any(|call| call.key.saga_id.as_str() == "before") {
            world.clock.sleep(Duration::from_millis(1)).await;
        }
        release.send(()).unwrap();
    };
    let (before, ()) = tokio::join!(engine.submit(submission(&order, "before")), until_read);
    assert!(before.is_ok(), "{before:?}");

    let ended = assert_ends(&engine, &slow, Status::Completed);
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
}
