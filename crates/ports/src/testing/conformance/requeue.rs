//! Forced releases: to the end of every queue, under greater tokens.

use std::collections::BTreeMap;
use std::sync::Arc;

use amends_core::SagaId;
use amends_core::saga::{Status, Token};
use tokio::task::JoinSet;

use super::PARTITIONS;
use super::fixture::{World, append, header, id, key, queued};
use super::lock::{followers, tokens};
use crate::Store;
use crate::store::{Append, Batch, Grant, Header, NewSaga, Partition, Tickets, Wake, Written};

/// Back to the end of its queues, parked, with facts that it had.
fn requeue(saga_id: &str, partition: u16) -> Append {
    let header = Header { wake: Wake::Parked, ..header(Status::Running) };
    let unchanged = append(&id(saga_id), Partition(partition), 1, &[]);
    Append { header: Some(header), tickets: Tickets::Requeue, ..unchanged }
}

impl World {
    async fn requeue(&self, saga_id: &str) -> Written {
        self.append(requeue(saga_id, 0)).await
    }

    /// Who stands in a queue, the holder first.
    async fn standing(&self, text: &str) -> Vec<String> {
        let Some(lock) = self.store.lock(&key(text), 99).await.unwrap() else { return Vec::new() };
        lock.holder.into_iter().chain(lock.queue).map(|place| place.saga_id.to_string()).collect()
    }
}

/// It waits for all who came before it was put there, and is granted greater tokens then.
pub async fn a_requeued_holder_comes_last_and_the_next_is_woken(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut newest = world.enter("h", &["k"]).await.unwrap()[0];
    world.enter("n1", &["k"]).await;
    world.enter("n2", &["k"]).await;
    assert_eq!(followers(&world.requeue("h").await), [&id("n1")]);
    assert_eq!(world.ask("h").await, None, "it holds the key no longer");
    assert_eq!(world.enter("late", &["k"]).await, None);
    assert_eq!(world.standing("k").await, ["n1", "n2", "h", "late"]);
    for (holder, next) in [("n1", "n2"), ("n2", "h"), ("h", "late")] {
        let token = world.ask(holder).await.unwrap()[0];
        assert!(token > newest, "{holder}: {token:?} after {newest:?}");
        newest = token;
        assert_eq!(followers(&world.end(&id(holder)).await), [&id(next)]);
    }
}

/// It may have its keys again, under greater tokens: nobody else will ever wake it.
pub async fn a_requeued_saga_that_is_alone_is_woken_itself(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let before = world.enter("h", &["a", "b"]).await.unwrap();
    assert_eq!(followers(&world.requeue("h").await), [&id("h")]);
    let places = world.store.lock_places(&id("h")).await.unwrap();
    assert!(places.iter().all(|place| place.token.is_none() && place.ahead == 0), "{places:?}");
    let lock = world.store.lock(&key("a"), 9).await.unwrap().unwrap();
    assert!(lock.holder.is_none() && lock.token > before[0], "{lock:?} after {before:?}");
    let due = world.store.claim_due(&world.leases, 9).await.unwrap();
    assert_eq!(due.len(), 1);
    let after = world.ask("h").await.unwrap();
    assert!(before.iter().zip(&after).all(|(old, new)| new > old), "{before:?} {after:?}");
    assert!(after[0] > lock.token, "the raised token was never given");
}

/// As with a release.
pub async fn a_grant_in_the_same_batch_comes_after_the_requeue(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let before = world.enter("alone", &["a"]).await.unwrap();
    world.enter("held", &["b"]).await;
    world.enter("next", &["b"]).await;
    let grant = |saga_id: &str| Grant { saga_id: id(saga_id), partition: Partition(0) };
    let batch = Batch {
        appends: vec![requeue("alone", 0), requeue("held", 0)],
        grants: vec![grant("alone"), grant("held"), grant("next")],
        ..world.batch()
    };
    let granted = world.try_write(batch).await.unwrap().grants;
    assert!(granted[0].as_ref().is_some_and(|after| after[0] > before[0]), "{granted:?}");
    assert_eq!(granted[1], None);
    assert!(granted[2].is_some());
    let due = world.store.claim_due(&world.leases, 9).await.unwrap();
    assert!(due.is_empty(), "who was granted its keys is in memory");
}

/// Appends come before accepts.
pub async fn a_new_saga_of_the_same_batch_comes_after_the_requeued(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.enter("h", &["k", "l"]).await;
    world.enter("n", &["k"]).await;
    let accepts = vec![queued("new1", &["k"]), queued("new2", &["j", "k", "l"])];
    let batch = Batch { appends: vec![requeue("h", 0)], accepts, ..world.batch() };
    assert_eq!(followers(&world.try_write(batch).await.unwrap()), [&id("n")]);
    assert_eq!(world.standing("k").await, ["n", "h", "new1", "new2"]);
    assert_eq!(world.standing("l").await, ["h", "new2"]);
}

/// All of them go, and all at once.
pub async fn several_keys_are_requeued_together(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let before = world.enter("h", &["a", "b", "c"]).await.unwrap();
    world.enter("x", &["a"]).await;
    world.enter("y", &["b", "c"]).await;
    world.enter("z", &["a", "c"]).await;
    assert_eq!(followers(&world.requeue("h").await), [&id("x"), &id("y")]);
    let places = world.store.lock_places(&id("h")).await.unwrap();
    let ahead: Vec<u32> = places.iter().map(|place| place.ahead).collect();
    assert_eq!(ahead, [2, 1, 2]);
    assert!(world.ask("x").await.is_some() && world.ask("y").await.is_some());
    assert!(followers(&world.end(&id("x")).await).is_empty(), "z waits for y too");
    assert_eq!(followers(&world.end(&id("y")).await), [&id("z")]);
    assert_eq!(followers(&world.end(&id("z")).await), [&id("h")]);
    let after = world.ask("h").await.unwrap();
    assert!(before.iter().zip(&after).all(|(old, new)| new > old), "{before:?} {after:?}");
}

/// In the order in which the batch names them.
pub async fn several_requeued_sagas_keep_their_order(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.enter("h", &["k", "l"]).await;
    world.enter("w", &["k", "l"]).await;
    world.enter("n", &["k"]).await;
    let batch = Batch { appends: vec![requeue("w", 0), requeue("h", 0)], ..world.batch() };
    assert_eq!(followers(&world.try_write(batch).await.unwrap()), [&id("n")]);
    assert_eq!(world.standing("k").await, ["n", "w", "h"]);
    assert_eq!(world.standing("l").await, ["w", "h"]);
}

/// It loses its place, and nothing else happens.
pub async fn a_requeued_waiter_leaves_the_holder_alone(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let held = world.enter("h", &["k"]).await.unwrap();
    world.enter("w", &["k"]).await;
    world.enter("n", &["k"]).await;
    assert!(followers(&world.requeue("w").await).is_empty());
    assert_eq!(world.standing("k").await, ["h", "n", "w"]);
    let lock = world.store.lock(&key("k"), 0).await.unwrap().unwrap();
    assert_eq!((lock.token, lock.waiting), (held[0], 2));
    assert_eq!(followers(&world.end(&id("h")).await), [&id("n")]);
    assert!(world.ask("n").await.unwrap() > held);
}

/// The holder goes, the next one is put at its end: the one behind it is next.
pub async fn a_release_and_a_requeue_in_one_batch_wake_who_is_left(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.enter("h", &["k"]).await;
    world.enter("w", &["k"]).await;
    world.enter("n", &["k"]).await;
    let ended = append(&id("h"), Partition(0), 1, &[]);
    let header = Some(header(Status::Compensated));
    let ended = Append { header, tickets: Tickets::Release, ..ended };
    let batch = Batch { appends: vec![ended, requeue("w", 0)], ..world.batch() };
    assert_eq!(followers(&world.try_write(batch).await.unwrap()), [&id("n")]);
    assert_eq!(world.standing("k").await, ["n", "w"]);
}

/// It has no keys, or has given them back.
pub async fn a_saga_without_tickets_stays_without(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.enter("none", &[]).await;
    world.enter("gave-back", &["k"]).await;
    let unchanged = append(&id("gave-back"), Partition(0), 1, &[]);
    world.append(Append { tickets: Tickets::Release, ..unchanged }).await;
    for saga_id in ["none", "gave-back"] {
        assert!(followers(&world.requeue(saga_id).await).is_empty());
        assert!(world.store.lock_places(&id(saga_id)).await.unwrap().is_empty());
    }
    assert!(world.standing("k").await.is_empty());
    assert!(world.enter("next", &["k"]).await.is_some());
}

/// Sagas over pairs of keys are all put back at once, again and again: each runs in the end, alone
/// on its keys, and each key's tokens grow.
pub async fn requeues_at_once_never_deadlock(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let keys = ["a", "b", "c", "d"];
    let mut pairs: BTreeMap<SagaId, [&str; 2]> = BTreeMap::new();
    for n in 0..12_usize {
        let mut pair = [keys[n % 4], keys[(n + 1 + n / 4 % 3) % 4]];
        pair.sort_unstable();
        let partition = Partition(u16::try_from(n).unwrap() % PARTITIONS);
        let new = NewSaga { partition, ..queued(&format!("s{n:02}"), &pair) };
        pairs.insert(new.saga_id.clone(), pair);
        drop(tokens(world.accept(new).await));
    }
    for _ in 0..3 {
        let mut tasks = JoinSet::new();
        for (n, saga_id) in (0_u16..).zip(pairs.keys()) {
            let partition = n % PARTITIONS;
            let leases = vec![world.leases[usize::from(partition)]];
            let appends = vec![requeue(saga_id.as_str(), partition)];
            let batch = Batch { leases, appends, ..Batch::default() };
            let store = Arc::clone(&world.store);
            tasks.spawn(async move { store.write(&batch).await.unwrap() });
        }
        tasks.join_all().await;
    }
    let mut newest: BTreeMap<&str, Token> = BTreeMap::new();
    while let Some((holder, granted)) = first_that_gets_its_keys(&world, pairs.keys()).await {
        for (key, token) in pairs[&holder].iter().zip(granted) {
            let before = newest.insert(key, token).unwrap_or(Token(0));
            assert!(token > before, "{key}: {token:?} after {before:?}");
        }
        world.end(&holder).await;
        pairs.remove(&holder);
    }
    assert!(pairs.is_empty(), "never ran: {:?}", pairs.keys());
}

async fn first_that_gets_its_keys<'s>(
    world: &World,
    sagas: impl Iterator<Item = &'s SagaId>,
) -> Option<(SagaId, Vec<Token>)> {
    for saga_id in sagas {
        if let Some(granted) = world.ask(saga_id.as_str()).await {
            return Some((saga_id.clone(), granted));
        }
    }
    None
}
