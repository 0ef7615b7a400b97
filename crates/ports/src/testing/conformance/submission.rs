//! Accepting a saga: once for each id and for each idempotency key.

use std::collections::BTreeMap;
use std::sync::Arc;

use amends_core::saga::{Accepted, Event, Record, Status};
use amends_core::{Json, StepId};
use tokio::task::JoinSet;

use super::fixture::{World, at, digest, header, id, journal, key, queued, saga};
use crate::Store;
use crate::store::{AcceptOutcome, Batch, GrantAtOnce, Header, NewSaga, Partition, Wake};

const CREATED: AcceptOutcome = AcceptOutcome::Created { tokens: None };

fn exists(saga_id: &str) -> AcceptOutcome {
    AcceptOutcome::Exists { saga_id: id(saga_id), request_digest: digest(saga_id) }
}

fn is_created(outcome: &AcceptOutcome) -> bool {
    matches!(outcome, AcceptOutcome::Created { .. })
}

fn keyed(saga_id: &str, idempotency_key: &str) -> NewSaga {
    NewSaga { idempotency_key: Some(idempotency_key.to_owned()), ..saga(saga_id) }
}

/// Every field of a submission stands in what is read.
pub async fn what_was_accepted_is_read_back(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let labels = BTreeMap::from([("team".to_owned(), "blue".to_owned())]);
    let new = NewSaga {
        partition: Partition(3),
        labels,
        lock_keys: vec![key("a"), key("b")],
        grant: Some(GrantAtOnce::untold(Status::Queued)),
        created_at: at(7),
        header: Header {
            paused: true,
            step: Some(StepId::new("pay").unwrap()),
            reason: Some("why".to_owned()),
            wake: Wake::Parked,
            ..header(Status::Queued)
        },
        ..saga("s")
    };
    assert!(is_created(&world.accept(new.clone()).await));
    let (summary, stored) = world.store.saga(&id("s")).await.unwrap().unwrap();
    assert_eq!(summary.saga_id, new.saga_id);
    assert_eq!(summary.definition, new.definition_name);
    assert_eq!(summary.version, Some(1));
    assert_eq!(summary.status, Status::Queued);
    assert!(summary.paused);
    assert_eq!(summary.step, new.header.step);
    assert_eq!(summary.reason, new.header.reason);
    assert_eq!(summary.labels, new.labels);
    assert_eq!(summary.lock_keys, new.lock_keys);
    assert_eq!((summary.created_at, summary.updated_at), (at(7), at(1)));
    assert_eq!(summary.ended_at, None);
    assert_eq!((stored.partition, stored.definition), (Partition(3), new.definition));
    assert_eq!(stored.records, [Record { at: at(2), event: Event::Started }]);
    assert!(world.store.saga(&id("other")).await.unwrap().is_none());
    assert!(world.store.summary(&id("other")).await.unwrap().is_none());
}

/// Same id, other content: the first one's digest comes back, and nothing changes.
pub async fn the_same_id_finds_the_first_submission(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    assert!(is_created(&world.accept(saga("s")).await));
    let other = NewSaga {
        request_digest: digest("changed"),
        header: header(Status::Queued),
        records: journal(&[Event::Started, Event::DeadlinePassed]),
        record_count: 2,
        ..keyed("s", "k")
    };
    assert_eq!(world.accept(other).await, exists("s"));
    assert_eq!(world.records(&id("s")).await.len(), 1);
    assert_eq!(world.status(&id("s")).await, Status::Running);
    assert!(is_created(&world.accept(keyed("t", "k")).await), "the key was not taken");
}

/// Same key, other id: the first saga comes back, and there is no second.
pub async fn the_same_idempotency_key_finds_the_first_submission(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    assert!(is_created(&world.accept(keyed("s", "k")).await));
    assert_eq!(world.accept(keyed("t", "k")).await, exists("s"));
    let elsewhere = NewSaga { partition: Partition(5), ..keyed("u", "k") };
    assert_eq!(world.accept(elsewhere).await, exists("s"), "keys know no partitions");
    assert!(world.store.saga(&id("t")).await.unwrap().is_none());
    assert!(world.store.saga(&id("u")).await.unwrap().is_none());
    let both = world.accept_all(vec![saga("v"), saga("w")]).await;
    assert!(both.iter().all(is_created), "no key is not a key");
    assert_eq!(world.store.saga_of_key("k").await.unwrap(), Some(id("s")));
    assert_eq!(world.store.saga_of_key("l").await.unwrap(), None);
}

/// Repetitions beside one another in one batch, and beside others.
pub async fn one_batch_accepts_an_idempotency_key_once(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let outcomes = world
        .accept_all(vec![
            saga("x"),
            keyed("s", "k"),
            keyed("t", "k"),
            keyed("y", "l"),
            keyed("u", "k"),
        ])
        .await;
    assert_eq!(outcomes, [CREATED, CREATED, exists("s"), CREATED, exists("s")]);
    assert!(world.store.saga(&id("t")).await.unwrap().is_none());
    assert!(world.store.saga(&id("y")).await.unwrap().is_some());
    let later = world.accept_all(vec![keyed("z", "m"), keyed("v", "l"), saga("x")]).await;
    assert_eq!(later, [CREATED, exists("y"), exists("x")]);
}

async fn submit_at_once(world: &World, submissions: Vec<NewSaga>) -> Vec<AcceptOutcome> {
    let mut tasks = JoinSet::new();
    for new in submissions {
        let store = Arc::clone(&world.store);
        let leases = vec![world.leases[usize::from(new.partition.0)]];
        let batch = Batch { leases, accepts: vec![new], ..Batch::default() };
        tasks.spawn(async move { store.write(&batch).await.unwrap().accepts.remove(0) });
    }
    tasks.join_all().await
}

/// One wins, 49 find it.
pub async fn fifty_submissions_at_once_of_one_key_make_one_saga(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let new = |n: u16| NewSaga {
        partition: Partition(n % 8),
        request_digest: digest("same"),
        ..keyed(&format!("s{n}"), "k")
    };
    let outcomes = submit_at_once(&world, (0..50).map(new).collect()).await;
    assert_eq!(outcomes.iter().filter(|own| is_created(own)).count(), 1);
    let all = world.store.sagas(&crate::SagaFilter::default(), None, 100).await.unwrap().items;
    assert_eq!(all.len(), 1);
    let found =
        AcceptOutcome::Exists { saga_id: all[0].saga_id.clone(), request_digest: digest("same") };
    assert_eq!(outcomes.iter().filter(|own| **own == found).count(), 49);
}

/// One wins, 49 find it, each with its own partition and key.
pub async fn fifty_submissions_at_once_of_one_id_make_one_saga(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let new = |n: u16| NewSaga { partition: Partition(n % 8), ..keyed("s", &format!("k{n}")) };
    let outcomes = submit_at_once(&world, (0..50).map(new).collect()).await;
    assert_eq!(outcomes.iter().filter(|own| is_created(own)).count(), 1);
    assert_eq!(outcomes.iter().filter(|own| **own == exists("s")).count(), 49);
    assert_eq!(world.records(&id("s")).await.len(), 1);
}

/// A submission that was not accepted stands in nobody's way.
pub async fn a_repetition_takes_no_ticket(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let one = NewSaga { idempotency_key: Some("k".to_owned()), ..queued("one", &[]) };
    world.accept(one).await;
    let two = NewSaga { idempotency_key: Some("k".to_owned()), ..queued("two", &["x"]) };
    assert!(!is_created(&world.accept(two).await));
    assert!(!is_created(&world.accept(queued("one", &["x"])).await));
    let AcceptOutcome::Created { tokens } = world.accept(queued("three", &["x"])).await else {
        assert!(world.store.saga(&id("three")).await.unwrap().is_some(), "it is new");
        return;
    };
    assert_eq!(tokens.map(|tokens| tokens.len()), Some(1), "the key is free");
}

/// Quotes, backslashes, other scripts, wild cards, a long text: all come back as they were.
pub async fn any_text_survives(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let wild = "ä 日本 🦀 \"'\\ %_ {} \u{7f} \u{202e} \u{1}";
    let long = wild.repeat(40_000);
    let text = serde_json::to_string(&long).unwrap();
    let input = Json::parse(&format!(r#"{{ "wild" : {text}, "n":1.10000000000000000000001 }}"#));
    let accepted = Event::Accepted(Arc::new(Accepted {
        saga_id: id("s"),
        definition: saga("s").definition,
        definition_name: saga("s").definition_name,
        definition_version: Some(1),
        input: input.unwrap(),
        labels: BTreeMap::new(),
        lock_keys: vec![key("sku:42/ä%_'\"")],
        start_at: None,
        deadline_at: None,
        lock_wait_until: None,
        traceparent: None,
        prepared: None,
        cancelled: None,
        parent: None,
    }));
    let new = NewSaga {
        labels: BTreeMap::from([(wild.to_owned(), wild.to_owned())]),
        lock_keys: vec![key("sku:42/ä%_'\"")],
        idempotency_key: Some(wild.to_owned()),
        header: Header { reason: Some(wild.to_owned()), ..header(Status::Running) },
        records: journal(std::slice::from_ref(&accepted)),
        ..saga("s")
    };
    assert!(is_created(&world.accept(new.clone()).await));
    assert_eq!(world.accept(NewSaga { saga_id: id("t"), ..new.clone() }).await, exists("s"));
    let (summary, stored) = world.store.saga(&id("s")).await.unwrap().unwrap();
    assert_eq!(summary.labels, new.labels);
    assert_eq!(summary.lock_keys, new.lock_keys);
    assert_eq!(summary.reason, new.header.reason);
    assert_eq!(stored.records.len(), 1);
    assert_eq!(stored.records[0].event, accepted);
}
