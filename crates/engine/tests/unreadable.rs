//! What a coordinator of a newer release left for one that can't read it: it stands still, and
//! nothing else does.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::Digest;
use amends_core::saga::{Accepted, Event, Record, Status};
use amends_core::{DefinitionName, Json, SagaId, Timestamp};
use amends_ports::store::{Batch, Header, NewDefinition, NewSaga, Partition, Wake};
use amends_ports::testing::ScriptedParticipants;
use amends_ports::{Clock as _, Store as _};
use serde_json::json;
use support::{World, assert_ends, order, register, submission};

/// A definition with a word that this release does not know, and a saga of it that is due now.
async fn leave_one_of_the_future(world: &World) {
    let digest = Digest("of-the-future".to_owned());
    let name = DefinitionName::new("future").unwrap();
    let created_at = world.clock.now();
    let definition = NewDefinition {
        name: name.clone(),
        digest: digest.clone(),
        source: Json::from_value(&json!({ "name": "future", "teleport": true, "steps": [] })),
        participants: Vec::new(),
        ad_hoc: false,
        created_at,
    };
    world.store.put_definition(&definition).await.unwrap();
    let parsed = amends_core::definition::parse(
        &order(),
        &amends_core::definition::Registry { participants: None },
    );
    let saga_id = SagaId::new("future-1").unwrap();
    let accepted = Accepted {
        definition: digest.clone(),
        definition_name: name.clone(),
        ..Accepted::new(saga_id.clone(), &parsed.definition.unwrap())
    };
    let fact = Record { at: created_at, event: Event::Accepted(Arc::new(accepted)) };
    let saga = NewSaga {
        saga_id,
        partition: Partition(0),
        definition: digest,
        definition_name: name,
        definition_version: Some(1),
        labels: BTreeMap::new(),
        lock_keys: Vec::new(),
        grant: None,
        idempotency_key: None,
        request_digest: "r".to_owned(),
        created_at,
        header: Header {
            status: Status::Queued,
            paused: false,
            step: None,
            reason: None,
            updated_at: created_at,
            ended_at: None,
            wake: Wake::At(Timestamp(0)),
        },
        records: serde_json::to_string(&[fact]).unwrap(),
        record_count: 1,
    };
    world.store.write(&Batch { accepts: vec![saga], ..Batch::default() }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_saga_of_an_unknown_definition_does_not_keep_the_others_waiting() {
    let world = World::new(ScriptedParticipants::new());
    leave_one_of_the_future(&world).await;
    let engine = world.start().await;
    let order = register(&engine, &order()).await;
    // It leaves memory until then, and must be found by the poller.
    let start_at = world.clock.now().after(Duration::from_mins(1));
    let later = amends_engine::Submission { start_at: Some(start_at), ..submission(&order, "s") };
    engine.submit(later).await.unwrap();
    let id = SagaId::new("s").unwrap();
    let ended = assert_ends(&engine, &id, Status::Completed);
    tokio::time::timeout(Duration::from_mins(5), ended).await.unwrap();
    // A takeover finds it in memory.
    engine.drain().await;
    let next = world.start().await;
    next.submit(submission(&order, "t")).await.unwrap();
    assert_ends(&next, &SagaId::new("t").unwrap(), Status::Completed).await;
    let future = SagaId::new("future-1").unwrap();
    let (_, stood) = world.store.summary(&future).await.unwrap().unwrap();
    assert_eq!(stood.status, Status::Queued);
}
