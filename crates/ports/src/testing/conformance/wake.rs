//! Who must look at a saga, and when: recovery, wake-ups, parked sagas.

use std::collections::BTreeSet;
use std::sync::Arc;

use amends_core::saga::Status;
use amends_core::{SagaId, Timestamp};

use super::PARTITIONS;
use super::fixture::{FUTURE, LONG, PAST, World, append, coordinator, header, id, saga};
use crate::Store;
use crate::store::{Append, Header, NewSaga, Partition, StoredSaga, Wake};

fn woken_at(saga_id: &str, partition: u16, wake: Wake) -> NewSaga {
    let header = Header { wake, ..header(Status::Running) };
    NewSaga { partition: Partition(partition), header, ..saga(saga_id) }
}

fn ids(sagas: &[StoredSaga]) -> Vec<&str> {
    sagas.iter().map(|own| own.saga_id.as_str()).collect()
}

/// Only live sagas, only those in memory, only this partition, in order of id.
pub async fn recovery_pages_through_what_was_in_memory(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut sagas: Vec<NewSaga> =
        (0..7).map(|n| woken_at(&format!("m{n}"), 2, Wake::InMemory)).collect();
    sagas.push(woken_at("parked", 2, Wake::Parked));
    sagas.push(woken_at("later", 2, Wake::At(FUTURE)));
    sagas.push(woken_at("elsewhere", 3, Wake::InMemory));
    sagas.push(woken_at("over", 2, Wake::InMemory));
    world.accept_all(sagas).await;
    let end = append(&id("over"), Partition(2), 1, &[]);
    world.append(Append { header: Some(header(Status::Completed)), ..end }).await;

    let (mut after, mut read): (Option<SagaId>, Vec<String>) = (None, Vec::new());
    loop {
        let page = world.store.recover(world.leases[2], after.as_ref(), 3).await.unwrap();
        assert!(page.len() <= 3);
        assert!(page.iter().all(|own| own.records.len() == 1));
        let Some(last) = page.last() else { break };
        after = Some(last.saga_id.clone());
        read.extend(ids(&page).into_iter().map(str::to_owned));
    }
    assert_eq!(read, ["m0", "m1", "m2", "m3", "m4", "m5", "m6"]);
}

/// Due ones only, soonest first, up to the limit, never twice.
pub async fn what_is_due_is_claimed_once_and_soonest_first(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let due = |n: i64| Wake::At(Timestamp(PAST.0 + n));
    world
        .accept_all(vec![
            woken_at("third", 0, due(30)),
            woken_at("first", 1, due(10)),
            woken_at("second", 2, due(20)),
            woken_at("later", 0, Wake::At(FUTURE)),
            woken_at("parked", 0, Wake::Parked),
            woken_at("memory", 0, Wake::InMemory),
            woken_at("foreign", 7, due(5)),
        ])
        .await;
    let mine = &world.leases[0..3];
    let claimed = world.store.claim_due(mine, 2).await.unwrap();
    assert_eq!(ids(&claimed), ["first", "second"]);
    assert_eq!(claimed[0].partition, Partition(1));
    assert_eq!(claimed[0].records.len(), 1);
    assert_eq!(ids(&world.store.claim_due(mine, 9).await.unwrap()), ["third"]);
    assert!(world.store.claim_due(mine, 9).await.unwrap().is_empty());
    let parks = append(&id("first"), Partition(1), 1, &[]);
    let header = Header { wake: due(1), ..header(Status::Running) };
    world.append(Append { header: Some(header), ..parks }).await;
    assert_eq!(ids(&world.store.claim_due(mine, 9).await.unwrap()), ["first"]);
}

/// What was claimed counts as in memory.
pub async fn a_claimed_saga_is_recovered_by_the_next_owner(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.accept_all(vec![woken_at("s", 0, Wake::At(PAST)), woken_at("p", 0, Wake::Parked)]).await;
    world.store.claim_due(&world.leases, 9).await.unwrap();
    world.store.claim_one(&world.leases, &id("p")).await.unwrap();
    world.store.release(&world.leases[0..1]).await.unwrap();
    let lease = world.store.acquire(&coordinator("b"), 1, LONG).await.unwrap()[0];
    assert_eq!(ids(&world.store.recover(lease, None, 9).await.unwrap()), ["p", "s"]);
}

/// Old leases take nothing; the right ones beside them do.
pub async fn stale_leases_claim_nothing(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world
        .accept_all(vec![
            woken_at("stale", 0, Wake::At(PAST)),
            woken_at("good", 1, Wake::At(PAST)),
            woken_at("parked", 0, Wake::Parked),
        ])
        .await;
    let raised = world.store.raise_epochs(&world.me, &world.leases[0..1], LONG).await.unwrap();
    assert_eq!(ids(&world.store.claim_due(&world.leases, 9).await.unwrap()), ["good"]);
    assert!(world.store.claim_one(&world.leases, &id("parked")).await.unwrap().is_none());
    assert_eq!(ids(&world.store.claim_due(&raised, 9).await.unwrap()), ["stale"]);
    assert!(world.store.claim_one(&raised, &id("parked")).await.unwrap().is_some());
}

/// However they race, each saga is claimed once.
pub async fn claims_at_once_never_share_a_saga(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let new = |n: u16| woken_at(&format!("s{n}"), n % PARTITIONS, Wake::At(PAST));
    world.accept_all((0..40).map(new).collect()).await;
    let claim = async || {
        let mut claimed = Vec::new();
        for _ in 0..10 {
            claimed.extend(world.store.claim_due(&world.leases, 4).await.unwrap());
        }
        claimed
    };
    let (one, two, three) = tokio::join!(claim(), claim(), claim());
    let all: Vec<SagaId> = [one, two, three].into_iter().flatten().map(|own| own.saga_id).collect();
    assert_eq!(all.len(), 40);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 40);
}

/// Parked or sleeping ones; not those in memory, over, foreign or unknown.
pub async fn one_parked_saga_is_claimed_by_name(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world
        .accept_all(vec![
            woken_at("parked", 1, Wake::Parked),
            woken_at("later", 1, Wake::At(FUTURE)),
            woken_at("memory", 1, Wake::InMemory),
            woken_at("over", 1, Wake::InMemory),
        ])
        .await;
    world.end(&id("over")).await;
    let (mine, foreign) = (&world.leases[0..2], &world.leases[2..]);
    for name in ["parked", "later"] {
        assert!(world.store.claim_one(foreign, &id(name)).await.unwrap().is_none());
        let claimed = world.store.claim_one(mine, &id(name)).await.unwrap().unwrap();
        assert_eq!((claimed.saga_id, claimed.partition), (id(name), Partition(1)));
        assert_eq!(claimed.records.len(), 1);
        assert!(world.store.claim_one(mine, &id(name)).await.unwrap().is_none(), "twice");
    }
    for name in ["memory", "over", "nobody"] {
        assert!(world.store.claim_one(mine, &id(name)).await.unwrap().is_none(), "{name}");
    }
}
