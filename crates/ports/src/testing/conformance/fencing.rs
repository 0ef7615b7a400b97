//! Writes under old epochs.

use std::sync::Arc;

use amends_core::saga::Status;

use super::PARTITIONS;
use super::fixture::{LONG, World, append, at, coordinator, fact, header, id, queued, saga};
use crate::Store;
use crate::store::{
    Append, Batch, Epoch, Grant, InboxId, InboxItem, Lease, NewSaga, Partition, Settle, WriteError,
};

/// A batch that would change everything there is to change.
async fn loaded(world: &World) -> Batch {
    world.accept(saga("old")).await;
    world.accept(queued("waiting", &["k"])).await;
    let item = InboxItem {
        id: InboxId("item".to_owned()),
        partition: Partition(0),
        saga_id: id("old"),
        message: "{}".to_owned(),
        posted_at: at(0),
    };
    world.store.post(&item).await.unwrap();
    Batch {
        leases: world.leases.clone(),
        successors_in: Vec::new(),
        accepts: vec![queued("new", &["other"])],
        appends: vec![Append {
            header: Some(header(Status::Suspended)),
            ..append(&id("old"), Partition(0), 1, &[fact(1)])
        }],
        grants: vec![Grant { saga_id: id("waiting"), partition: Partition(0) }],
        settles: vec![Settle { id: item.id, result: "{}".to_owned() }],
    }
}

async fn assert_unchanged(world: &World) {
    assert!(world.store.saga(&id("new")).await.unwrap().is_none());
    assert_eq!(world.records(&id("old")).await.len(), 1);
    assert_eq!(world.status(&id("old")).await, Status::Running);
    assert_eq!(world.store.inbox_result(&InboxId("item".to_owned())).await.unwrap(), None);
}

fn fenced(result: Result<crate::store::Written, WriteError>) -> Vec<u16> {
    match result {
        Err(WriteError::Fenced(partitions)) => partitions.iter().map(|own| own.0).collect(),
        other => {
            assert!(other.is_err(), "a stale batch was written");
            Vec::new()
        }
    }
}

/// One stale lease among many, even one that no change in the batch needs, stops all of it.
pub async fn a_stale_batch_changes_nothing(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut batch = loaded(&world).await;
    world.store.raise_epochs(&world.me, &world.leases[5..6], LONG).await.unwrap();
    assert_eq!(fenced(world.store.write(&batch).await), [5]);
    assert_unchanged(&world).await;

    let future = Epoch(batch.leases[6].epoch.0 + 1);
    batch.leases[6] = Lease { epoch: future, ..batch.leases[6] };
    assert_eq!(fenced(world.store.write(&batch).await), [5, 6]);
    assert_unchanged(&world).await;
}

/// After a takeover the old owner's writes fail and the new one's succeed.
pub async fn a_taken_partition_fences_its_old_owner(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let batch = loaded(&world).await;
    world.store.release(&world.leases).await.unwrap();
    let taken = world.store.acquire(&coordinator("b"), PARTITIONS, LONG).await.unwrap();
    let all: Vec<u16> = (0..PARTITIONS).collect();
    assert_eq!(fenced(world.store.write(&batch).await), all);
    assert_unchanged(&world).await;
    world.store.write(&Batch { leases: taken, ..batch }).await.unwrap();
    assert_eq!(world.status(&id("old")).await, Status::Suspended);
}

/// What was given back gives no right, even while nobody else has taken it.
pub async fn a_released_lease_writes_nothing(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let batch = loaded(&world).await;
    world.store.release(&world.leases[0..1]).await.unwrap();
    assert_eq!(fenced(world.store.write(&batch).await), [0]);
    assert_unchanged(&world).await;
}

/// An acceptance needs no lease on its partition.
pub async fn a_saga_may_be_accepted_for_another_owner(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.store.release(&world.leases[7..]).await.unwrap();
    let accepts = vec![NewSaga { partition: Partition(7), ..saga("s") }];
    let leases = world.leases[0..1].to_vec();
    let batch = Batch { leases, accepts: accepts.clone(), ..Batch::default() };
    world.store.write(&batch).await.unwrap();
    assert_eq!(world.store.summary(&id("s")).await.unwrap().unwrap().0, Partition(7));

    let accepts = vec![NewSaga { partition: Partition(7), ..saga("t") }];
    world.store.write(&Batch { accepts, ..Batch::default() }).await.unwrap();
    assert!(world.store.summary(&id("t")).await.unwrap().is_some());
}
