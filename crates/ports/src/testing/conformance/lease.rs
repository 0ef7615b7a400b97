//! Who owns which partition, and for how long.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::PARTITIONS;
use super::fixture::{LONG, SHORT, World, coordinator, until};
use crate::Store;
use crate::store::{Lease, Partition};

fn partitions(leases: &[Lease]) -> Vec<u16> {
    leases.iter().map(|lease| lease.partition.0).collect()
}

/// The number is the one that the store was made with.
pub async fn there_are_as_many_partitions_as_the_store_was_made_with(store: Arc<dyn Store>) {
    assert_eq!(store.partitions().await.unwrap(), PARTITIONS);
}

/// Lowest first, no more than asked for, epochs from 1.
pub async fn partitions_are_taken_lowest_first_up_to_the_limit(store: Arc<dyn Store>) {
    let me = coordinator("a");
    let first = store.acquire(&me, 3, LONG).await.unwrap();
    assert_eq!(partitions(&first), [0, 1, 2]);
    assert!(first.iter().all(|lease| lease.epoch.0 == 1));
    let second = store.acquire(&me, 2, LONG).await.unwrap();
    assert_eq!(partitions(&second), [3, 4]);
    assert!(store.acquire(&me, 0, LONG).await.unwrap().is_empty());
    let (_, mine) = store.heartbeat(&me, "", false, LONG).await.unwrap();
    assert_eq!(partitions(&mine), [0, 1, 2, 3, 4]);
}

/// Nobody takes what lives, not even its owner.
pub async fn a_live_lease_is_not_taken(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    assert!(world.store.acquire(&coordinator("b"), PARTITIONS, LONG).await.unwrap().is_empty());
    assert!(world.store.acquire(&world.me, PARTITIONS, LONG).await.unwrap().is_empty());
}

/// What has expired by the store's clock may be taken, and its epoch grows.
pub async fn an_expired_lease_is_taken_under_a_greater_epoch(store: Arc<dyn Store>) {
    let (a, b) = (coordinator("a"), coordinator("b"));
    // The short one last: it may expire before anything else is done.
    store.acquire(&a, PARTITIONS - 1, LONG).await.unwrap();
    let old = store.acquire(&a, 1, SHORT).await.unwrap()[0];
    let new = until("the lease expires", async || {
        store.acquire(&b, PARTITIONS, LONG).await.unwrap().first().copied()
    })
    .await;
    assert_eq!(new.partition, old.partition);
    assert!(new.epoch > old.epoch);
    let (_, left) = store.heartbeat(&a, "", false, LONG).await.unwrap();
    assert!(!partitions(&left).contains(&old.partition.0), "the old owner has lost it");
}

/// A heartbeat saves what has expired if nobody was quicker.
pub async fn an_expired_lease_that_nobody_took_is_renewed(store: Arc<dyn Store>) {
    let (a, b) = (coordinator("a"), coordinator("b"));
    let old = store.acquire(&a, PARTITIONS, SHORT).await.unwrap();
    // All have one expiry: when one can be taken, the others have expired too.
    let taken = until("the leases expire", async || {
        store.acquire(&b, 1, LONG).await.unwrap().first().copied()
    })
    .await;
    assert_eq!(taken.partition, Partition(0));
    let (_, kept) = store.heartbeat(&a, "", false, LONG).await.unwrap();
    assert_eq!(kept, old[1..]);
    assert!(store.acquire(&b, PARTITIONS, LONG).await.unwrap().is_empty());
}

/// Released partitions are free at once; stale leases release nothing.
pub async fn released_partitions_are_free_at_once(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let b = coordinator("b");
    world.store.release(&world.leases[2..4]).await.unwrap();
    let taken = world.store.acquire(&b, PARTITIONS, LONG).await.unwrap();
    assert_eq!(partitions(&taken), [2, 3]);
    assert!(taken.iter().zip(&world.leases[2..4]).all(|(new, old)| new.epoch > old.epoch));
    world.store.release(&world.leases[2..4]).await.unwrap();
    let (_, held) = world.store.heartbeat(&b, "", false, LONG).await.unwrap();
    assert_eq!(held, taken, "a stale lease releases nothing");
}

/// However they race, each partition has one owner.
pub async fn two_takers_at_once_never_get_the_same_partition(store: Arc<dyn Store>) {
    let (a, b) = (coordinator("a"), coordinator("b"));
    let take = async |me| {
        let mut taken = Vec::new();
        for _ in 0..PARTITIONS {
            taken.extend(store.acquire(me, 1, LONG).await.unwrap());
        }
        taken
    };
    let (left, right) = tokio::join!(take(&a), take(&b));
    let all: BTreeSet<u16> = partitions(&left).into_iter().chain(partitions(&right)).collect();
    assert_eq!(left.len() + right.len(), usize::from(PARTITIONS));
    assert_eq!(all.len(), usize::from(PARTITIONS));
}

/// An owner's own raise: the newest only, and only by the owner.
pub async fn raised_epochs_replace_the_newest_only(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let old = &world.leases[0..2];
    let raised = world.store.raise_epochs(&world.me, old, LONG).await.unwrap();
    assert_eq!(partitions(&raised), [0, 1]);
    assert!(raised.iter().zip(old).all(|(new, old)| new.epoch > old.epoch));
    let again = world.store.raise_epochs(&world.me, old, LONG).await.unwrap();
    assert!(again.is_empty(), "they are not the newest any more");
    let other = world.store.raise_epochs(&coordinator("b"), &raised, LONG).await.unwrap();
    assert!(other.is_empty(), "they are another one's");
    let (_, held) = world.store.heartbeat(&world.me, "", false, LONG).await.unwrap();
    assert_eq!(held[0..2], raised);
    assert_eq!(held[2..], world.leases[2..]);
}

/// Members: live ones only, those that drain last, with what they hold.
pub async fn heartbeats_tell_who_lives(store: Arc<dyn Store>) {
    let (a, b, c) = (coordinator("a"), coordinator("b"), coordinator("c"));
    store.acquire(&b, 3, LONG).await.unwrap();
    store.heartbeat(&c, "http://c.test", false, SHORT).await.unwrap();
    store.heartbeat(&a, "http://a.test", true, LONG).await.unwrap();
    let members = until("c is forgotten", async || {
        let (members, _) = store.heartbeat(&b, "http://b.test", false, LONG).await.unwrap();
        members.iter().all(|member| member.id != c).then_some(members)
    })
    .await;
    let told: Vec<_> = members
        .iter()
        .map(|member| {
            (member.id.0.as_str(), member.address.as_str(), member.draining, member.partitions)
        })
        .collect();
    assert_eq!(told, [("b", "http://b.test", false, 3), ("a", "http://a.test", true, 0)]);
    store.leave(&a).await.unwrap();
    let (members, _) = store.heartbeat(&b, "http://b2.test", false, LONG).await.unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!(members[0].address, "http://b2.test");
}
