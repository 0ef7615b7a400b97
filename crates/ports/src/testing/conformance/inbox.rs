//! Commands for sagas of others.

use std::sync::Arc;

use super::fixture::{LONG, World, at, id, saga};
use crate::Store;
use crate::store::{Batch, InboxId, InboxItem, NewSaga, Partition, Settle};

fn item(name: &str, partition: u16) -> InboxItem {
    InboxItem {
        id: InboxId(name.to_owned()),
        partition: Partition(partition),
        saga_id: id(&format!("saga-{partition}")),
        message: format!(r#"{{"name":"{name}","text":"ä '"}}"#),
        posted_at: at(0),
    }
}

async fn start(store: Arc<dyn Store>) -> World {
    let world = World::new(store).await;
    let new = |n| NewSaga { partition: Partition(n), ..saga(&format!("saga-{n}")) };
    world.accept_all((0..3).map(new).collect()).await;
    world
}

async fn settle(world: &World, name: &str, result: &str) {
    let settles = vec![Settle { id: InboxId(name.to_owned()), result: result.to_owned() }];
    world.try_write(Batch { settles, ..world.batch() }).await.unwrap();
}

async fn result(world: &World, name: &str) -> Option<String> {
    world.store.inbox_result(&InboxId(name.to_owned())).await.unwrap()
}

fn names(items: &[InboxItem]) -> Vec<&str> {
    items.iter().map(|item| item.id.0.as_str()).collect()
}

/// Oldest first, for the partitions that were asked for, whole.
pub async fn items_wait_for_the_owner_in_order(store: Arc<dyn Store>) {
    let world = start(store).await;
    for (second, name, partition) in
        [(1, "z", 0), (2, "b", 1), (3, "a", 0), (4, "c", 2), (5, "y", 1)]
    {
        let posted = InboxItem { posted_at: at(second), ..item(name, partition) };
        world.store.post(&posted).await.unwrap();
    }
    let items = world.store.inbox(&world.leases[0..2], 9).await.unwrap();
    assert_eq!(names(&items), ["z", "b", "a", "y"]);
    assert_eq!(items[0], InboxItem { posted_at: at(1), ..item("z", 0) });
    assert_eq!(names(&world.store.inbox(&world.leases[0..2], 2).await.unwrap()), ["z", "b"]);
    assert_eq!(names(&world.store.inbox(&world.leases[2..], 9).await.unwrap()), ["c"]);
    assert!(world.store.inbox(&[], 9).await.unwrap().is_empty());
}

/// The first one stands, also when it was answered meanwhile.
pub async fn a_second_post_changes_nothing(store: Arc<dyn Store>) {
    let world = start(store).await;
    world.store.post(&item("a", 0)).await.unwrap();
    let other = InboxItem { message: "{}".to_owned(), ..item("a", 0) };
    world.store.post(&other).await.unwrap();
    assert_eq!(world.store.inbox(&world.leases, 9).await.unwrap(), [item("a", 0)]);
    settle(&world, "a", "1").await;
    world.store.post(&other).await.unwrap();
    assert!(world.store.inbox(&world.leases, 9).await.unwrap().is_empty());
    assert_eq!(result(&world, "a").await.as_deref(), Some("1"));
}

/// The first answer stands; before it there is none; unknown items are passed over.
pub async fn an_answer_is_kept(store: Arc<dyn Store>) {
    let world = start(store).await;
    world.store.post(&item("a", 0)).await.unwrap();
    world.store.post(&item("b", 1)).await.unwrap();
    assert_eq!(result(&world, "a").await, None);
    settle(&world, "a", r#"{"ok":true}"#).await;
    settle(&world, "a", r#"{"ok":false}"#).await;
    settle(&world, "nobody", "1").await;
    assert_eq!(result(&world, "a").await.as_deref(), Some(r#"{"ok":true}"#));
    assert_eq!(result(&world, "b").await, None);
    assert_eq!(result(&world, "nobody").await, None);
    assert_eq!(names(&world.store.inbox(&world.leases, 9).await.unwrap()), ["b"]);
}

/// An old owner is not shown what is the new one's.
pub async fn stale_leases_see_no_items(store: Arc<dyn Store>) {
    let world = start(store).await;
    world.store.post(&item("a", 0)).await.unwrap();
    world.store.post(&item("b", 1)).await.unwrap();
    world.store.raise_epochs(&world.me, &world.leases[0..1], LONG).await.unwrap();
    assert_eq!(names(&world.store.inbox(&world.leases, 9).await.unwrap()), ["b"]);
}
