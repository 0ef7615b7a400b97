//! Who holds lock keys and who waits for them, and what is forgotten of keys.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_core::saga::{Status, Token};
use amends_core::{LockKey, SagaId};
use tokio::task::JoinSet;

use super::PARTITIONS;
use super::fixture::{LONG, World, definition_name, id, key, queued};
use super::lock::{followers, tokens};
use crate::Store;
use crate::store::{
    Batch, Error, GrantAtOnce, LockHolder, LockSummary, NewSaga, Partition, SagaLock,
};

fn names(locks: &[LockSummary]) -> Vec<&str> {
    locks.iter().map(|lock| lock.key.as_str()).collect()
}

fn holder(lock: &LockSummary) -> Option<&str> {
    lock.holder.as_ref().map(|place| place.saga_id.as_str())
}

/// Those that begin as asked for, page by page; none that nobody holds or waits for.
pub async fn keys_in_use_are_listed_in_order(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    assert!(world.store.locks(None, None, 9).await.unwrap().is_empty());
    let wild = ["Z", "a%", "a%b", "a_", "aa", "ä", "日本/1", "日本/2", "\u{10FFFF}\u{10FFFF}"];
    for (n, text) in wild.iter().enumerate() {
        world.enter(&format!("s{n}"), &[text]).await;
    }
    world.enter("first", &["gone"]).await;
    world.enter("two", &["aa", "ä"]).await;
    world.enter("three", &["aa"]).await;
    world.end(&id("first")).await;

    let all = world.store.locks(None, None, 99).await.unwrap();
    assert_eq!(names(&all), wild);
    let waiting: Vec<u32> = all.iter().map(|lock| lock.waiting).collect();
    assert_eq!(waiting, [0, 0, 0, 0, 2, 1, 0, 0, 0]);
    assert_eq!(holder(&all[4]), Some("s4"));
    assert!(all.iter().all(|lock| lock.token > Token(0)));

    let mut pages = Vec::new();
    while let page = world.store.locks(None, pages.last(), 2).await.unwrap()
        && !page.is_empty()
    {
        assert!(page.len() <= 2);
        pages.extend(page.into_iter().map(|lock| lock.key));
    }
    assert_eq!(pages.iter().map(LockKey::as_str).collect::<Vec<_>>(), wild);

    for (prefix, expected) in [
        ("", &wild[..]),
        ("a", &wild[1..5]),
        ("a%", &wild[1..3]),
        ("日", &wild[6..8]),
        ("日本/2", &wild[7..8]),
        ("\u{10FFFF}", &wild[8..]),
        ("nobody", &[]),
        ("nul\0", &[]),
    ] {
        let found = world.store.locks(Some(prefix), None, 99).await.unwrap();
        assert_eq!(names(&found), expected, "{prefix:?}");
    }
    let behind = world.store.locks(Some("a"), Some(&key("a%b")), 1).await.unwrap();
    assert_eq!(names(&behind), ["a_"]);
    let before = world.store.locks(Some("a"), Some(&key("Z")), 1).await.unwrap();
    assert_eq!(names(&before), ["a%"], "what is after may be before all with the prefix");
    assert!(world.store.locks(None, None, 0).await.unwrap().is_empty());
}

/// In the order in which they will get it.
pub async fn a_key_tells_its_holder_and_its_queue(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    assert_eq!(world.store.lock(&key("k"), 9).await.unwrap(), None);
    let mut first = queued("h", &["k"]);
    (first.partition, first.grant) = (Partition(3), Some(GrantAtOnce::untold(Status::Running)));
    let token = tokens(world.accept(first).await).unwrap()[0];
    for n in 0..5 {
        world.enter(&format!("w{n}"), &["j", "k"]).await;
    }
    let lock = world.store.lock(&key("k"), 3).await.unwrap().unwrap();
    assert_eq!((lock.key.as_str(), lock.token, lock.waiting), ("k", token, 5));
    let place = lock.holder.unwrap();
    assert_eq!(place.saga_id, id("h"));
    assert_eq!((place.partition, place.status), (Partition(3), Status::Running));
    assert_eq!(place.definition_name, definition_name("transfer"));
    let queue: Vec<&str> = lock.queue.iter().map(|place| place.saga_id.as_str()).collect();
    assert_eq!(queue, ["w0", "w1", "w2"]);
    assert!(lock.queue.iter().all(|waiter| waiter.status == Status::Queued));
    let since = lock.queue.iter().map(|waiter| waiter.since);
    assert!(std::iter::once(place.since).chain(since).is_sorted(), "{:?}", lock.queue);
    let short = world.store.lock(&key("k"), 0).await.unwrap().unwrap();
    assert!(short.holder.is_some() && short.queue.is_empty() && short.waiting == 5);
    let summary = &world.store.locks(Some("k"), None, 9).await.unwrap()[0];
    assert_eq!((summary.token, summary.waiting, holder(summary)), (token, 5, Some("h")));
    for own in ["h", "w0", "w1", "w2", "w3", "w4"] {
        world.end(&id(own)).await;
    }
    assert_eq!(world.store.lock(&key("k"), 9).await.unwrap(), None);
}

/// What it shows then is not less than the last token, and less than the next.
pub async fn between_two_holders_a_key_has_none(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let before = world.enter("h", &["k"]).await.unwrap()[0];
    world.accept(NewSaga { partition: Partition(1), ..queued("w0", &["k"]) }).await;
    world.enter("w1", &["k"]).await;
    world.end_under_one_lease(&id("h")).await;
    let lock = world.store.lock(&key("k"), 1).await.unwrap().unwrap();
    assert_eq!((lock.holder, lock.waiting), (None, 2));
    assert_eq!(lock.queue.len(), 1);
    assert_eq!(lock.queue[0].saga_id, id("w0"));
    assert!(lock.token >= before);
    let after = world.ask("w0").await.unwrap()[0];
    assert!(after > lock.token);
    let lock = world.store.lock(&key("k"), 9).await.unwrap().unwrap();
    assert_eq!((lock.token, lock.waiting, lock.queue.len()), (after, 1, 1));
}

/// How many are before it, and whom it waits for.
pub async fn a_saga_sees_where_it_stands(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let granted = world.enter("ab", &["a", "b"]).await.unwrap();
    world.enter("bc", &["b", "c"]).await;
    world.enter("abcd", &["a", "b", "c", "d"]).await;
    let place = |text: &str, token: Option<Token>, ahead, holder: Option<&str>| SagaLock {
        key: key(text),
        token,
        ahead,
        holder: holder.map(id),
    };
    assert_eq!(
        world.store.lock_places(&id("ab")).await.unwrap(),
        [place("a", Some(granted[0]), 0, Some("ab")), place("b", Some(granted[1]), 0, Some("ab"))]
    );
    assert_eq!(
        world.store.lock_places(&id("abcd")).await.unwrap(),
        [
            place("a", None, 1, Some("ab")),
            place("b", None, 2, Some("ab")),
            place("c", None, 1, None),
            place("d", None, 0, None),
        ],
        "who is first everywhere but in one queue holds nothing"
    );
    world.end(&id("ab")).await;
    assert!(world.store.lock_places(&id("ab")).await.unwrap().is_empty());
    assert!(world.store.lock_places(&id("nobody")).await.unwrap().is_empty());
}

/// In order of id, with what they hold; nobody who waits, has ended, or is elsewhere.
pub async fn a_partition_tells_who_holds_keys(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut expected = Vec::new();
    for n in (0..7).rev() {
        let keys = [format!("a{n}"), format!("b{n}")];
        let texts = [keys[0].as_str(), keys[1].as_str()];
        let new = NewSaga { partition: Partition(2), ..queued(&format!("s{n}"), &texts) };
        let (saga_id, keys) = (new.saga_id.clone(), new.lock_keys.clone());
        let tokens = tokens(world.accept(new).await).unwrap();
        expected.push(LockHolder { saga_id, keys, tokens });
    }
    expected.reverse();
    let in_two =
        |name: &str, keys: &[&str]| NewSaga { partition: Partition(2), ..queued(name, keys) };
    world.accept(in_two("waits", &["a1"])).await;
    world.accept(in_two("ended", &["ended"])).await;
    world.end(&id("ended")).await;
    world.accept(in_two("has-none", &[])).await;
    world.accept(NewSaga { partition: Partition(3), ..queued("elsewhere", &["e"]) }).await;

    let (mut found, mut after): (Vec<LockHolder>, Option<SagaId>) = (Vec::new(), None);
    loop {
        let page = world.store.lock_holders(world.leases[2], after.as_ref(), 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(last.saga_id.clone());
        found.extend(page);
    }
    assert_eq!(found, expected);
    world.end(&id("s1")).await;
    let newer = world.ask("waits").await.unwrap();
    let page = world.store.lock_holders(world.leases[2], Some(&id("s6")), 9).await.unwrap();
    assert_eq!(page, [LockHolder { saga_id: id("waits"), keys: vec![key("a1")], tokens: newer }]);
}

/// An old owner has nothing to guard any more.
pub async fn only_a_newest_lease_sees_holders(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.enter("s", &["k"]).await;
    let old = world.leases[0];
    let new = world.store.raise_epochs(&world.me, &[old], LONG).await.unwrap()[0];
    assert!(world.store.lock_holders(old, None, 9).await.unwrap().is_empty());
    assert_eq!(world.store.lock_holders(new, None, 9).await.unwrap().len(), 1);
}

/// Forgets until there is nothing to forget.
async fn forget_all(store: &dyn Store) {
    while store.forget_idle_locks(2).await.unwrap() == 2 {}
    assert_eq!(store.forget_idle_locks(99).await.unwrap(), 0);
}

/// Whichever keys were forgotten in between, and however their tokens stood to each other.
pub async fn tokens_grow_past_forgetting(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut newest: BTreeMap<&str, Token> = BTreeMap::new();
    for round in 0..3 {
        for (n, keys) in [&["a"][..], &["a"], &["a", "b"], &["b", "c", "d"]].iter().enumerate() {
            let name = format!("s{round}-{n}");
            let granted = world.enter(&name, keys).await.unwrap();
            for (key, token) in keys.iter().zip(granted) {
                let before = newest.insert(key, token).unwrap_or(Token(0));
                assert!(token > before, "{key}: {token:?} after {before:?}");
            }
            world.end(&id(&name)).await;
            if n != 1 {
                forget_all(&*world.store).await;
            }
        }
    }
}

/// A holder stays one, waiters keep their places.
pub async fn keys_in_use_are_never_forgotten(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.enter("idle", &["idle"]).await;
    world.end(&id("idle")).await;
    let held = world.enter("h", &["k", "l"]).await.unwrap();
    world.enter("w0", &["k"]).await;
    world.enter("w1", &["k"]).await;
    let before = world.store.lock(&key("k"), 9).await.unwrap();
    forget_all(&*world.store).await;
    assert_eq!(world.store.lock(&key("k"), 9).await.unwrap(), before);
    assert_eq!(world.enter("late", &["k"]).await, None);
    let again = world.ask("h").await.unwrap();
    assert!(again[0] > held[0]);
    for (own, next) in [("h", "w0"), ("w0", "w1"), ("w1", "late")] {
        assert_eq!(followers(&world.end(&id(own)).await), [&id(next)]);
        forget_all(&*world.store).await;
        assert!(world.ask(next).await.is_some());
    }
}

/// Sagas come and go from everywhere while keys are forgotten: no key's token ever falls, and no
/// two hold a key.
pub async fn forgetting_goes_on_beside_grants(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let newest: Arc<Mutex<BTreeMap<&str, Token>>> = Arc::default();
    let mut tasks = JoinSet::new();
    for n in 0..4_u16 {
        let leases = vec![world.leases[usize::from(n % PARTITIONS)]];
        let visitor = World { store: Arc::clone(&world.store), me: world.me.clone(), leases };
        tasks.spawn(come_and_go(visitor, n, Arc::clone(&newest)));
    }
    while !tasks.is_empty() {
        match world.store.forget_idle_locks(3).await {
            Ok(_) => {}
            // Among so few keys the sagas may be in the way every time: later, then.
            Err(error) => assert!(matches!(error, Error::Unavailable(_)), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        while let Some(done) = tasks.try_join_next() {
            done.unwrap();
        }
    }
    assert_eq!(newest.lock().unwrap().len(), 3, "each key was held");
}

/// Twenty sagas, one after another, over some of three keys; each notes its tokens if it gets them.
async fn come_and_go(world: World, n: u16, newest: Arc<Mutex<BTreeMap<&'static str, Token>>>) {
    let all: [&[&str]; 3] = [&["a"], &["a", "b"], &["b", "c"]];
    for round in 0..20 {
        let keys = all[(usize::from(n) + round) % 3];
        let name = format!("s{n}-{round}");
        let new = NewSaga { partition: Partition(n % PARTITIONS), ..queued(&name, keys) };
        let batch = Batch { accepts: vec![new], ..world.batch() };
        let outcome = world.try_write(batch).await.unwrap().accepts.remove(0);
        for (key, token) in keys.iter().zip(tokens(outcome).unwrap_or_default()) {
            let before = newest.lock().unwrap().insert(key, token).unwrap_or(Token(0));
            assert!(token > before, "{key}: {token:?} after {before:?}");
        }
        world.end(&id(&name)).await;
    }
}
