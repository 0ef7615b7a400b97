//! Pages of lists under every condition.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use amends_core::saga::Status;

use super::fixture::{World, at, definition, definition_name, header, key, saga};
use super::list::{label, labels};
use crate::store::{NewSaga, Partition};
use crate::{SagaFilter, Store};

const STATUSES: [Status; 5] =
    [Status::Completed, Status::Running, Status::Completed, Status::Compensated, Status::Suspended];
const DEFINITIONS: [&str; 2] = ["transfer", "refund"];

/// A saga whose time, definition, status, labels and keys all follow from its number, each in a
/// rhythm of its own. Ids don't have the order of times.
fn nth(n: u16) -> NewSaga {
    let (status, name) =
        (STATUSES[usize::from(n) % STATUSES.len()], DEFINITIONS[usize::from(n) % 2]);
    let text = |number: u16| number.to_string();
    let own = labels(&[("all", "yes"), ("three", &text(n % 3)), ("rare", &text(n % 41))]);
    NewSaga {
        created_at: at(i64::from(n / 4)),
        partition: Partition(n % 8),
        definition: definition(name, "1", &[]).digest,
        definition_name: definition_name(name),
        labels: if n % 10 == 9 { BTreeMap::new() } else { own },
        lock_keys: if n.is_multiple_of(7) {
            vec![key("k"), key(&format!("k{n}"))]
        } else {
            Vec::new()
        },
        grant: None,
        header: header(status),
        ..saga(&format!(
            "{}-{:04}",
            if n.is_multiple_of(3) { "a" } else { "b" },
            u32::from(n) * 7_919 % 9_973
        ))
    }
}

/// Whether a saga fits, told from what it was made of.
fn fits(filter: &SagaFilter, new: &NewSaga) -> bool {
    (filter.statuses.is_empty() || filter.statuses.contains(&new.header.status))
        && filter.definition.as_ref().is_none_or(|name| *name == new.definition_name)
        && filter.labels.iter().all(|(name, value)| new.labels.get(name) == Some(value))
        && filter.lock_key.as_ref().is_none_or(|key| new.lock_keys.contains(key))
        && filter.created_from.is_none_or(|from| new.created_at >= from)
        && filter.created_before.is_none_or(|before| new.created_at < before)
        && filter.id_prefix.as_ref().is_none_or(|text| new.saga_id.as_str().starts_with(text))
}

/// Conditions alone and joined, common ones and rare ones, of which each leads somewhere.
fn conditions(last: i64) -> Vec<SagaFilter> {
    let all = SagaFilter::default;
    let by_label =
        |name: &str, value: &str| SagaFilter { labels: vec![label(name, value)], ..all() };
    let (common, rare) = (by_label("all", "yes"), by_label("rare", "7"));
    let both = vec![label("three", "1"), label("all", "yes")];
    let statuses = vec![Status::Compensated, Status::Suspended, Status::Running];
    let several = SagaFilter { statuses: statuses.clone(), ..all() };
    let named = SagaFilter { definition: Some(definition_name("refund")), ..all() };
    let keyed = SagaFilter { lock_key: Some(key("k")), ..all() };
    let range = SagaFilter {
        created_from: Some(at(last / 4)),
        created_before: Some(at(last / 2)),
        ..all()
    };
    let alone = vec![all(), common.clone(), rare.clone(), several, named, keyed, range.clone()];
    let joined = vec![
        SagaFilter { labels: both, ..all() },
        SagaFilter { labels: vec![label("three", "1"), label("three", "2")], ..all() },
        SagaFilter { labels: vec![label("three", "1"), label("three", "1")], ..all() },
        SagaFilter { statuses: vec![Status::Completed, Status::Running], ..common.clone() },
        SagaFilter { statuses: vec![Status::Compensated], ..common.clone() },
        SagaFilter { definition: Some(definition_name("refund")), ..common.clone() },
        SagaFilter { lock_key: Some(key("k")), ..common.clone() },
        SagaFilter { lock_key: Some(key("k14")), ..common.clone() },
        SagaFilter { statuses: statuses.clone(), ..rare },
        SagaFilter { labels: common.labels.clone(), ..range.clone() },
        SagaFilter { lock_key: Some(key("k")), statuses: statuses.clone(), ..range.clone() },
        SagaFilter {
            labels: common.labels,
            definition: Some(definition_name("transfer")),
            statuses,
            ..range
        },
    ];
    let plain: Vec<SagaFilter> = alone.into_iter().chain(joined).collect();
    let prefixed =
        |own: &SagaFilter| SagaFilter { id_prefix: Some("b-".to_owned()), ..own.clone() };
    plain.iter().cloned().chain(plain.iter().map(prefixed)).collect()
}

/// All pages of a list, one after another.
async fn walk(world: &World, filter: &SagaFilter, limit: u16) -> Vec<String> {
    let (mut after, mut read) = (None, Vec::new());
    loop {
        let page = world.store.sagas(filter, after.as_ref(), limit).await.unwrap();
        assert!(page.items.len() <= usize::from(limit), "{filter:?}");
        assert!(page.next.is_none() || page.items.len() == usize::from(limit), "{filter:?}");
        read.extend(page.items.into_iter().map(|own| String::from(own.saga_id)));
        after = page.next;
        if after.is_none() {
            return read;
        }
    }
}

/// Walks through the lists of many conditions and compares each with what was accepted.
async fn compare(store: Arc<dyn Store>, count: u16, limits: &[u16]) {
    let world = World::new(store).await;
    world.store.put_definition(&definition("refund", "1", &[])).await.unwrap();
    let sagas: Vec<NewSaga> = (0..count).map(nth).collect();
    world.accept_all(sagas.clone()).await;
    let mut shown = 0;
    for filter in conditions(i64::from(count / 4)) {
        let mut fitting: Vec<&NewSaga> = sagas.iter().filter(|new| fits(&filter, new)).collect();
        fitting.sort_by_key(|new| {
            Reverse((filter.id_prefix.is_none().then_some(new.created_at), &new.saga_id))
        });
        let expected: Vec<String> =
            fitting.into_iter().map(|new| new.saga_id.as_str().to_owned()).collect();
        for limit in limits {
            assert_eq!(walk(&world, &filter, *limit).await, expected, "{limit} of {filter:?}");
        }
        shown += expected.len();
    }
    assert!(shown > 8 * usize::from(count), "the conditions show something");
}

/// Each condition alone and with others, in pages of any size.
pub async fn every_condition_shows_what_fits_once_and_in_order(store: Arc<dyn Store>) {
    compare(store, 90, &[1, 4, 30, 100]).await;
}

/// The same where some conditions fit so many that no store counts or sorts them all.
pub async fn pages_of_many_show_what_fits_once_and_in_order(store: Arc<dyn Store>) {
    compare(store, 1_600, &[113]).await;
}

/// Under a prefix the order is that of ids, whatever the times, and the cursor goes by the id.
pub async fn a_prefix_puts_ids_in_order(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let sagas = [("o-2", 9), ("o-1", 30), ("o-3", 20), ("p", 40), ("o-", 10), ("o-10", 5)];
    let new = |(name, time)| NewSaga {
        created_at: at(time),
        labels: labels(&[("team", "blue")]),
        ..saga(name)
    };
    world.accept_all(sagas.map(new).to_vec()).await;
    let prefix = SagaFilter { id_prefix: Some("o-".to_owned()), ..SagaFilter::default() };
    let expected = ["o-3", "o-2", "o-10", "o-1", "o-"];
    for limit in [1, 2, 5] {
        assert_eq!(walk(&world, &prefix, limit).await, expected);
    }
    let labelled = SagaFilter { labels: vec![label("team", "blue")], ..prefix.clone() };
    assert_eq!(walk(&world, &labelled, 2).await, expected);
    let late = SagaFilter { created_from: Some(at(10)), ..prefix };
    assert_eq!(walk(&world, &late, 2).await, ["o-3", "o-1", "o-"]);
}
