//! Lists, counts and retention.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use amends_core::saga::Status;

use super::fixture::{World, append, at, definition, definition_name, header, id, key, saga};
use crate::store::{
    AcceptOutcome, Append, GrantAtOnce, Header, InboxId, InboxItem, NewSaga, Partition, Wake,
};
use crate::{SagaFilter, Store};

pub(super) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Five sagas that differ in everything.
async fn five(store: Arc<dyn Store>) -> World {
    let world = World::new(store).await;
    let refund = definition("refund", "1", &[]);
    world.store.put_definition(&refund).await.unwrap();
    let one = NewSaga {
        created_at: at(10),
        labels: labels(&[("team", "blue"), ("tier", "1")]),
        ..saga("a_1")
    };
    let two = NewSaga { created_at: at(20), lock_keys: vec![key("k"), key("l")], ..saga("ab1") };
    let three = NewSaga {
        created_at: at(30),
        labels: labels(&[("team", "blue"), ("tier", "2")]),
        ..saga("b1")
    };
    let four = NewSaga {
        created_at: at(40),
        definition: refund.digest,
        definition_name: definition_name("refund"),
        lock_keys: vec![key("k")],
        ..saga("b2")
    };
    let five = NewSaga { created_at: at(50), labels: labels(&[("team", "red")]), ..saga("B3") };
    world.accept_all(vec![one, two, three, four, five]).await;
    for (name, status) in [("ab1", Status::Suspended), ("b1", Status::Completed)] {
        let change = append(&id(name), Partition(0), 1, &[]);
        world.append(Append { header: Some(header(status)), ..change }).await;
    }
    world
}

async fn shown(world: &World, filter: SagaFilter) -> Vec<String> {
    let page = world.store.sagas(&filter, None, 50).await.unwrap();
    assert_eq!(page.next, None);
    page.items.into_iter().map(|own| own.saga_id.into()).collect()
}

pub(super) fn label(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Each condition alone, newest first.
pub async fn every_filter_chooses(store: Arc<dyn Store>) {
    let world = five(store).await;
    let all = SagaFilter::default;
    assert_eq!(shown(&world, all()).await, ["B3", "b2", "b1", "ab1", "a_1"]);
    let statuses = vec![Status::Suspended, Status::Completed];
    assert_eq!(shown(&world, SagaFilter { statuses, ..all() }).await, ["b1", "ab1"]);
    let definition = Some(definition_name("refund"));
    assert_eq!(shown(&world, SagaFilter { definition, ..all() }).await, ["b2"]);
    let labels = vec![label("team", "blue")];
    assert_eq!(shown(&world, SagaFilter { labels, ..all() }).await, ["b1", "a_1"]);
    let labels = vec![label("team", "blue"), label("tier", "2")];
    assert_eq!(shown(&world, SagaFilter { labels, ..all() }).await, ["b1"]);
    let labels = vec![label("team", "green")];
    assert!(shown(&world, SagaFilter { labels, ..all() }).await.is_empty());
    let lock_key = Some(key("k"));
    assert_eq!(shown(&world, SagaFilter { lock_key, ..all() }).await, ["b2", "ab1"]);
    let created_from = Some(at(30));
    assert_eq!(shown(&world, SagaFilter { created_from, ..all() }).await, ["B3", "b2", "b1"]);
    let created_before = Some(at(30));
    assert_eq!(shown(&world, SagaFilter { created_before, ..all() }).await, ["ab1", "a_1"]);
    let prefix = |text: &str| SagaFilter { id_prefix: Some(text.to_owned()), ..all() };
    assert_eq!(shown(&world, prefix("a_")).await, ["a_1"], "_ is no wild card");
    assert_eq!(shown(&world, prefix("b")).await, ["b2", "b1"], "case counts");
    assert!(shown(&world, prefix("%")).await.is_empty(), "% is no wild card");
    assert_eq!(shown(&world, prefix("")).await.len(), 5);
}

/// All conditions must hold.
pub async fn filters_join(store: Arc<dyn Store>) {
    let world = five(store).await;
    let filter = SagaFilter {
        statuses: vec![Status::Running, Status::Completed],
        labels: vec![label("team", "blue")],
        created_before: Some(at(30)),
        id_prefix: Some("a".to_owned()),
        definition: Some(definition_name("transfer")),
        ..SagaFilter::default()
    };
    assert_eq!(shown(&world, filter.clone()).await, ["a_1"]);
    let filter = SagaFilter { lock_key: Some(key("k")), ..filter };
    assert!(shown(&world, filter).await.is_empty());
}

/// Pages of any size, through sagas of the same moment, while new ones come.
pub async fn pages_hold_every_saga_once(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let new = |n: u16| NewSaga {
        created_at: at(i64::from(n / 7)),
        partition: Partition(n % 8),
        ..saga(&format!("s{n:02}"))
    };
    world.accept_all((0..40).map(new).collect()).await;
    for limit in [1_u16, 3, 7, 39, 40, 41] {
        let (mut after, mut read) = (None, Vec::new());
        loop {
            let page =
                world.store.sagas(&SagaFilter::default(), after.as_ref(), limit).await.unwrap();
            assert!(page.items.len() <= usize::from(limit));
            read.extend(page.items.into_iter().filter(|own| own.created_at < at(100)));
            if after.is_none() {
                let late = NewSaga { created_at: at(100), ..saga(&format!("late{limit}")) };
                world.accept(late).await;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(read.windows(2).all(|two| {
            (two[0].created_at, &two[0].saga_id) > (two[1].created_at, &two[1].saga_id)
        }));
        let ids: BTreeSet<_> = read.into_iter().map(|own| own.saga_id).collect();
        assert_eq!(ids.len(), 40, "pages of {limit}");
    }
}

/// What an id had before its retention was over leads nowhere, even at the same moment.
pub async fn an_id_that_comes_again_is_found_by_what_it_is_now(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let with = |team: &str, lock: &str, name: &str| NewSaga {
        labels: labels(&[("team", team), ("kept", "yes")]),
        lock_keys: vec![key(lock)],
        grant: Some(GrantAtOnce::untold(Status::Running)),
        ..saga(name)
    };
    world.accept_all(vec![with("blue", "k", "s"), with("blue", "m", "t")]).await;
    world.end(&id("s")).await;
    assert_eq!(world.store.delete_ended(at(2), 10).await.unwrap(), 1);
    world.accept(with("red", "l", "s")).await;
    let team =
        |value: &str| SagaFilter { labels: vec![label("team", value)], ..SagaFilter::default() };
    assert_eq!(shown(&world, team("blue")).await, ["t"]);
    assert_eq!(shown(&world, team("red")).await, ["s"]);
    let both = SagaFilter { labels: vec![label("kept", "yes")], ..SagaFilter::default() };
    assert_eq!(shown(&world, both).await, ["t", "s"]);
    for (lock, expected) in [("k", &[][..]), ("l", &["s"]), ("m", &["t"])] {
        let locking = SagaFilter { lock_key: Some(key(lock)), ..SagaFilter::default() };
        assert_eq!(shown(&world, locking).await, expected, "{lock}");
    }
}

/// The partition comes with the summary.
pub async fn a_summary_names_the_partition(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.accept(NewSaga { partition: Partition(6), ..saga("s") }).await;
    let (partition, summary) = world.store.summary(&id("s")).await.unwrap().unwrap();
    assert_eq!(partition, Partition(6));
    let listed = world.store.sagas(&SagaFilter::default(), None, 1).await.unwrap().items;
    assert_eq!(listed, [summary]);
}

/// Each status on its own, capped.
pub async fn counts_stop_at_the_limit(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let new = |n: u16| {
        let status = if n < 6 { Status::Running } else { Status::Compensated };
        NewSaga { header: header(status), ..saga(&format!("s{n}")) }
    };
    world.accept_all((0..9).map(new).collect()).await;
    for (limit, running, compensated) in [(100, 6, 3), (6, 6, 3), (4, 4, 3), (1, 1, 1)] {
        let counts = world.store.counts(limit).await.unwrap();
        let count =
            |status| counts.iter().filter(|(own, _)| *own == status).map(|(_, n)| *n).sum::<u32>();
        assert_eq!(count(Status::Running), running);
        assert_eq!(count(Status::Compensated), compensated);
        assert_eq!(count(Status::Queued), 0);
    }
}

/// Nothing that names the saga is left: it can be submitted again as new.
pub async fn retention_takes_all_that_belongs_to_a_saga(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let new = NewSaga {
        idempotency_key: Some("key".to_owned()),
        lock_keys: vec![key("k")],
        labels: labels(&[("team", "blue")]),
        ..saga("s")
    };
    world.accept(new.clone()).await;
    let item = InboxItem {
        id: InboxId("item".to_owned()),
        partition: Partition(0),
        saga_id: id("s"),
        message: "{}".to_owned(),
        posted_at: at(0),
    };
    world.store.post(&item).await.unwrap();
    world.end(&id("s")).await;
    assert_eq!(world.store.delete_ended(at(2), 10).await.unwrap(), 1);
    assert!(world.store.saga(&id("s")).await.unwrap().is_none());
    assert!(world.store.journal(&id("s"), 0, 9).await.unwrap().is_none());
    assert!(world.store.inbox(&world.leases, 9).await.unwrap().is_empty());
    assert!(
        shown(&world, SagaFilter { lock_key: Some(key("k")), ..SagaFilter::default() })
            .await
            .is_empty()
    );
    let labelled = SagaFilter { labels: vec![label("team", "blue")], ..SagaFilter::default() };
    assert!(shown(&world, labelled).await.is_empty());
    assert!(matches!(world.accept(new).await, AcceptOutcome::Created { tokens: Some(_) }));
    assert_eq!(world.records(&id("s")).await.len(), 1, "no old facts");
}

/// A parent that lives finds its nested sagas, however long ago they ended. They go with it, and
/// stand in nobody's way.
pub async fn retention_spares_nested_sagas_of_live_ones(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ended = Header { ended_at: Some(at(1)), wake: Wake::Parked, ..header(Status::Completed) };
    let mut sagas = vec![saga("a"), saga("c.d")];
    for id in ["a.1", "a.2", "b.1", "c.1", "c.d.1", "d", "a-1"] {
        sagas.push(NewSaga { header: ended.clone(), ..saga(id) });
    }
    world.accept_all(sagas).await;
    assert_eq!(world.store.delete_ended(at(9), 2).await.unwrap(), 2);
    assert_eq!(world.store.delete_ended(at(9), 9).await.unwrap(), 2);
    let mut left = shown(&world, SagaFilter::default()).await;
    left.sort_unstable();
    assert_eq!(left, ["a", "a.1", "a.2", "c.d", "c.d.1"]);
    world.end(&id("a")).await;
    assert_eq!(world.store.delete_ended(at(9), 9).await.unwrap(), 3);
    let mut left = shown(&world, SagaFilter::default()).await;
    left.sort_unstable();
    assert_eq!(left, ["c.d", "c.d.1"]);
}

/// Live ones, ones that ended at or after the time, and what is over the limit, stay.
pub async fn retention_spares_what_lives_or_ended_late(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ended = |n: i64| Header {
        ended_at: Some(at(n)),
        updated_at: at(n),
        wake: Wake::Parked,
        ..header(Status::Completed)
    };
    let new = |n: i64| NewSaga { header: ended(n), ..saga(&format!("s{n}")) };
    let mut sagas: Vec<NewSaga> = (0..6).map(new).collect();
    sagas.push(saga("live"));
    world.accept_all(sagas).await;
    assert_eq!(world.store.delete_ended(at(0), 10).await.unwrap(), 0);
    assert_eq!(world.store.delete_ended(at(4), 3).await.unwrap(), 3);
    assert_eq!(world.store.delete_ended(at(4), 3).await.unwrap(), 1);
    assert_eq!(world.store.delete_ended(at(4), 3).await.unwrap(), 0);
    assert_eq!(shown(&world, SagaFilter::default()).await, ["s5", "s4", "live"]);
}
