//! Facts: appended in order, without gaps, read back whole or in pages.

use std::sync::Arc;

use amends_core::saga::{Event, Status};
use amends_core::{SagaId, StepId};

use super::fixture::{World, append, at, fact, header, id, saga};
use crate::Store;
use crate::store::{Append, Batch, Header, NewSaga, Partition, Wake, WriteError};

fn numbers(events: impl IntoIterator<Item = Event>) -> Vec<u64> {
    let number = |event| if let Event::Recovered { epoch } = event { epoch } else { 0 };
    events.into_iter().map(number).collect()
}

async fn all(world: &World, saga_id: &SagaId) -> Vec<u64> {
    numbers(world.records(saga_id).await.into_iter().map(|record| record.event))
}

async fn assert_refused(world: &World, appends: Vec<Append>) {
    let batch = Batch { appends, accepts: vec![saga("beside")], ..world.batch() };
    let error = world.try_write(batch).await.unwrap_err();
    assert!(!matches!(error, WriteError::Fenced(_)), "the leases were right: {error}");
    assert!(!matches!(error, WriteError::OutcomeUnknown(_)), "it was not written: {error}");
    assert!(world.store.saga(&id("beside")).await.unwrap().is_none(), "half was written");
}

/// Chunks of different lengths join to one journal.
pub async fn facts_come_back_in_order(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.accept(saga("s")).await;
    let mut next = 1;
    for length in [1, 3, 2, 12, 1, 1, 30] {
        let events: Vec<Event> = (next..next + length).map(fact).collect();
        world.append(append(&id("s"), Partition(0), next, &events)).await;
        next += length;
    }
    assert_eq!(all(&world, &id("s")).await, (0..next).collect::<Vec<_>>());
}

/// Facts that begin after the end of the journal.
pub async fn a_gap_is_an_error_and_changes_nothing(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.accept(saga("s")).await;
    assert_refused(&world, vec![append(&id("s"), Partition(0), 2, &[fact(2)])]).await;
    world.append(append(&id("s"), Partition(0), 1, &[fact(1)])).await;
    assert_eq!(all(&world, &id("s")).await, [0, 1]);
}

/// Facts whose numbers are taken.
pub async fn an_overlap_is_an_error_and_changes_nothing(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.accept(saga("s")).await;
    world.append(append(&id("s"), Partition(0), 1, &[fact(1), fact(2)])).await;
    let header = Some(header(Status::Suspended));
    for from in [0, 1, 2] {
        let events = [fact(8), fact(9)];
        let stale =
            Append { header: header.clone(), ..append(&id("s"), Partition(0), from, &events) };
        assert_refused(&world, vec![stale]).await;
    }
    assert_eq!(all(&world, &id("s")).await, [0, 1, 2]);
    assert_eq!(world.status(&id("s")).await, Status::Running);
}

/// The right appends beside a wrong one are not written either.
pub async fn one_wrong_append_undoes_the_whole_batch(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.accept_all(vec![saga("s"), saga("t")]).await;
    let right = append(&id("s"), Partition(0), 1, &[fact(1)]);
    assert_refused(&world, vec![right, append(&id("t"), Partition(0), 5, &[fact(1)])]).await;
    assert_eq!(all(&world, &id("s")).await, [0]);
    assert_eq!(all(&world, &id("t")).await, [0]);
}

/// Facts of a saga that is not there.
pub async fn facts_of_an_unknown_saga_are_an_error(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    for from in [0, 1] {
        let unknown = append(&id("nobody"), Partition(0), from, &[fact(1)]);
        assert_refused(&world, vec![unknown]).await;
    }
}

/// A row that changes without facts says where its journal ends: who has read it before that can't
/// set it back, not even that of a saga that has ended.
pub async fn a_header_of_an_older_state_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.accept(saga("s")).await;
    let stale = || {
        let parked = Header { wake: Wake::Parked, ..header(Status::Queued) };
        Append { header: Some(parked), ..append(&id("s"), Partition(0), 1, &[]) }
    };
    world.append(append(&id("s"), Partition(0), 1, &[fact(1)])).await;
    assert_refused(&world, vec![stale()]).await;
    assert_eq!(world.status(&id("s")).await, Status::Running);
    world.end(&id("s")).await;
    assert_refused(&world, vec![stale()]).await;
    assert_eq!(world.status(&id("s")).await, Status::Completed);
}

/// All of the row's changing part is replaced; without a header it stays.
pub async fn a_header_replaces_the_whole_row(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.accept(saga("s")).await;
    let changed = Header {
        status: Status::Suspended,
        paused: true,
        step: Some(StepId::new("pay").unwrap()),
        reason: Some("no answer".to_owned()),
        updated_at: at(9),
        ended_at: None,
        wake: Wake::Parked,
    };
    let first = append(&id("s"), Partition(0), 1, &[fact(1)]);
    world.append(Append { header: Some(changed.clone()), ..first }).await;
    world.append(append(&id("s"), Partition(0), 2, &[fact(2)])).await;
    let (_, summary) = world.store.summary(&id("s")).await.unwrap().unwrap();
    assert_eq!((summary.status, summary.paused), (Status::Suspended, true));
    assert_eq!((summary.step, summary.reason), (changed.step, changed.reason));
    assert_eq!((summary.created_at, summary.updated_at, summary.ended_at), (at(0), at(9), None));

    let end = Header { ended_at: Some(at(11)), ..header(Status::Abandoned) };
    let last = append(&id("s"), Partition(0), 3, &[fact(3)]);
    world.append(Append { header: Some(end), ..last }).await;
    let (_, summary) = world.store.summary(&id("s")).await.unwrap().unwrap();
    assert_eq!((summary.status, summary.paused), (Status::Abandoned, false));
    assert_eq!((summary.step, summary.reason, summary.ended_at), (None, None, Some(at(11))));
}

/// `[]` changes the row only.
pub async fn a_header_alone_leaves_the_journal(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.accept(saga("s")).await;
    let none = append(&id("s"), Partition(0), 1, &[]);
    world.append(Append { header: Some(header(Status::Confirming)), ..none }).await;
    assert_eq!(world.status(&id("s")).await, Status::Confirming);
    world.append(append(&id("s"), Partition(0), 1, &[fact(1)])).await;
    assert_eq!(all(&world, &id("s")).await, [0, 1]);
}

/// Pages of any size, also ones that cut through a chunk, hold each fact once.
pub async fn pages_cover_the_journal(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.accept(saga("s")).await;
    for (from, length) in [(1, 4), (5, 1), (6, 7), (13, 2)] {
        let events: Vec<Event> = (from..from + length).map(fact).collect();
        world.append(append(&id("s"), Partition(0), from, &events)).await;
    }
    for limit in [1_u16, 2, 4, 5, 14, 15, 100] {
        let (mut from, mut read) = (0, Vec::new());
        loop {
            let page = world.store.journal(&id("s"), from, limit).await.unwrap().unwrap();
            assert_eq!(page.from, from);
            assert!(page.records.len() <= usize::from(limit));
            from += page.records.len() as u64;
            read.extend(numbers(page.records.into_iter().map(|record| record.event)));
            if !page.more {
                break;
            }
        }
        assert_eq!(read, (0..15).collect::<Vec<_>>(), "pages of {limit}");
    }
    let beyond = world.store.journal(&id("s"), 99, 5).await.unwrap().unwrap();
    assert!(beyond.records.is_empty() && !beyond.more);
    assert!(world.store.journal(&id("nobody"), 0, 5).await.unwrap().is_none());
}

/// Hundreds of sagas made, and changed, in one transaction each.
pub async fn a_large_batch_is_written_whole(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let name = |n: u16| format!("s{n:04}");
    let new = |n: u16| NewSaga { partition: Partition(n % 8), ..saga(&name(n)) };
    let outcomes = world.accept_all((0..600).map(new).collect()).await;
    assert_eq!(outcomes.len(), 600);
    let change = |n: u16| {
        let header = (n.is_multiple_of(2)).then(|| header(Status::Confirming));
        let facts = [fact(1), fact(u64::from(n))];
        Append { header, ..append(&id(&name(n)), Partition(n % 8), 1, &facts) }
    };
    let appends = (0..600).map(change).collect();
    world.try_write(Batch { appends, ..world.batch() }).await.unwrap();
    for n in [0_u16, 1, 42, 599] {
        assert_eq!(all(&world, &id(&name(n))).await, [0, 1, u64::from(n)]);
        let expected = if n.is_multiple_of(2) { Status::Confirming } else { Status::Running };
        assert_eq!(world.status(&id(&name(n))).await, expected);
    }
}
