//! Lock keys: tickets in order of acceptance, grants, tokens, wake-ups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use amends_core::SagaId;
use amends_core::saga::{Event, Status, Token};
use tokio::task::JoinSet;

use super::PARTITIONS;
use super::fixture::{FUTURE, World, append, fact, header, id, journal, queued};
use crate::Store;
use crate::store::{
    AcceptOutcome, Append, Batch, Grant, GrantAtOnce, GrantFacts, NewSaga, Partition, Tickets,
    Wake, Written,
};

impl World {
    /// Accepts and answers the tokens, if they were granted at once.
    pub(super) async fn enter(&self, saga_id: &str, keys: &[&str]) -> Option<Vec<Token>> {
        tokens(self.accept(queued(saga_id, keys)).await)
    }

    /// Asks for the keys of a saga that has tickets.
    pub(super) async fn ask(&self, saga_id: &str) -> Option<Vec<Token>> {
        let saga_id = id(saga_id);
        let (partition, _) = self.store.summary(&saga_id).await.unwrap().unwrap();
        let grants = vec![Grant { saga_id, partition }];
        let batch = Batch { grants, ..self.batch() };
        self.try_write(batch).await.unwrap().grants.remove(0)
    }
}

pub(super) fn tokens(outcome: AcceptOutcome) -> Option<Vec<Token>> {
    match outcome {
        AcceptOutcome::Created { tokens } => tokens,
        AcceptOutcome::Exists { .. } => None,
    }
}

/// Who moved up to be first, whether its keys were granted with that or not.
pub(super) fn followers(written: &Written) -> Vec<&SagaId> {
    let woken = written.woken.iter().map(|(_, own)| own);
    let mut ids: Vec<&SagaId> = woken.chain(successors(written)).collect();
    ids.sort_unstable();
    ids
}

fn successors(written: &Written) -> impl Iterator<Item = &SagaId> {
    written.successors.iter().map(|own| &own.saga.saga_id)
}

fn release(saga_id: &str, from: u64, status: Status) -> Append {
    let header = Some(header(status));
    Append { header, tickets: Tickets::Release, ..append(&id(saga_id), Partition(0), from, &[]) }
}

/// One token a key if all are free; none at all if one is not.
pub async fn free_keys_are_granted_at_once(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    assert_eq!(world.enter("ab", &["a", "b"]).await.unwrap().len(), 2);
    assert_eq!(world.enter("c", &["c"]).await.unwrap().len(), 1);
    assert_eq!(world.enter("bd", &["b", "d"]).await, None);
    assert_eq!(world.ask("bd").await, None, "b is held");
    assert_eq!(world.enter("d", &["d"]).await, None, "bd came first");
    assert!(world.enter("none", &[]).await.unwrap_or_default().is_empty());
}

/// Once its keys are granted a saga is in memory: if its coordinator dies before it writes what
/// follows, the next one recovers it, since nobody else would ever wake it.
pub async fn a_grant_takes_the_saga_into_memory(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let parked = |name: &str, grant| {
        let mut new = NewSaga { grant, ..queued(name, &[name]) };
        new.header.wake = Wake::Parked;
        new
    };
    let at_once = Some(GrantAtOnce::untold(Status::Running));
    assert!(tokens(world.accept(parked("at-once", at_once)).await).is_some());
    assert_eq!(tokens(world.accept(parked("asks", None)).await), None);
    assert_eq!(tokens(world.accept(parked("waits", None)).await), None);
    assert!(world.ask("asks").await.is_some());
    let mut found = Vec::new();
    for lease in &world.leases {
        let sagas = world.store.recover(*lease, None, 100).await.unwrap();
        found.extend(sagas.into_iter().map(|stored| stored.saga_id.to_string()));
    }
    found.sort();
    assert_eq!(found, ["asks", "at-once"]);
}

/// Facts that tell of a grant are written with it, tokens in order of the keys, by the short way and
/// by the careful one; further ones follow on them. What waits has its first facts only.
pub async fn a_grant_at_once_is_told_in_the_same_write(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let tells = |name: &str, keys: &[&str]| {
        let told = journal(&[Event::LockGranted { tokens: Vec::new() }, fact(7)]);
        let (before, after) = told.split_once(']').unwrap();
        let facts =
            GrantFacts { before: before.to_owned(), after: format!("]{after}"), record_count: 2 };
        let grant = Some(GrantAtOnce { status: Status::Running, facts: Some(facts) });
        NewSaga { grant, ..queued(name, keys) }
    };
    let old = tells("old", &["a", "k", "z"]);
    let plain = NewSaga { lock_keys: Vec::new(), ..tells("plain", &[]) };
    let short = world.accept_all(vec![old.clone(), plain, tells("waits", &["a", "b"])]).await;
    // One that is there already makes the store take the careful way.
    let careful =
        world.accept_all(vec![tells("two", &["c", "d"]), old, tells("late", &["z"])]).await;
    for (name, outcome, count) in [
        ("old", &short[0], 3),
        ("waits", &short[2], 0),
        ("two", &careful[0], 2),
        ("late", &careful[2], 0),
    ] {
        let tokens = tokens(outcome.clone()).unwrap_or_default();
        let mut expected = vec![Event::Started];
        if count > 0 {
            expected.extend([Event::LockGranted { tokens: tokens.clone() }, fact(7)]);
        }
        assert_eq!(tokens.len(), count, "{name}");
        let next = fact(8);
        let from = expected.len() as u64;
        world.append(append(&id(name), Partition(0), from, std::slice::from_ref(&next))).await;
        expected.push(next);
        let events = world.records(&id(name)).await.into_iter().map(|record| record.event);
        assert_eq!(events.collect::<Vec<_>>(), expected, "{name}");
    }
    assert_eq!(world.records(&id("plain")).await.len(), 1);
    assert_eq!(world.status(&id("plain")).await, Status::Queued);
}

/// What was granted its keys at once has the status that goes with them, by the short way and by
/// the careful one; what waits for them has its own.
pub async fn a_grant_at_once_sets_the_status(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let asks = |name: &str| NewSaga {
        grant: Some(GrantAtOnce::untold(Status::Running)),
        ..queued(name, &["k"])
    };
    let old = asks("old");
    assert!(tokens(world.accept(old.clone()).await).is_some());
    assert_eq!(tokens(world.accept(asks("waits")).await), None);
    // One that is there already makes the store take the careful way.
    let other =
        NewSaga { grant: Some(GrantAtOnce::untold(Status::Running)), ..queued("other", &["o"]) };
    let mut outcomes = world.accept_all(vec![old, other]).await;
    assert!(tokens(outcomes.remove(1)).is_some());
    assert!(matches!(outcomes[0], AcceptOutcome::Exists { .. }));
    for (name, status) in
        [("old", Status::Running), ("waits", Status::Queued), ("other", Status::Running)]
    {
        assert_eq!(world.status(&id(name)).await, status, "{name}");
    }
}

/// With `grant` off a saga takes its place without its keys, and gets them when it asks.
pub async fn a_saga_that_may_not_start_holds_its_place(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let later = NewSaga { grant: None, ..queued("later", &["k"]) };
    assert_eq!(tokens(world.accept(later).await), None);
    assert_eq!(world.enter("next", &["k"]).await, None);
    assert_eq!(world.ask("next").await, None);
    let granted = world.ask("later").await.unwrap();
    assert_eq!(granted.len(), 1);
    let again = world.ask("later").await.unwrap();
    assert!(again >= granted, "a holder that asks again, after a lost answer, still holds");
    assert_eq!(world.ask("next").await, None);
}

/// Its first grant may never have been heard of: what was made under its tokens is too old.
pub async fn a_repeated_grant_raises_the_tokens(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let first = world.enter("s", &["a", "b"]).await.unwrap();
    let second = world.ask("s").await.unwrap();
    assert_eq!((first.len(), second.len()), (2, 2));
    assert!(first.iter().zip(&second).all(|(old, new)| new > old), "{first:?} {second:?}");
    let places = world.store.lock_places(&id("s")).await.unwrap();
    let noted: Vec<Token> = places.iter().filter_map(|place| place.token).collect();
    assert_eq!(noted, second, "a new owner finds the newest");
}

/// First come, first served.
pub async fn a_release_wakes_exactly_the_next(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    assert!(world.enter("s0", &["k"]).await.is_some());
    assert!(world.enter("other", &["other"]).await.is_some());
    for n in 1..5 {
        let new = NewSaga { partition: Partition(n), ..queued(&format!("s{n}"), &["k"]) };
        assert_eq!(tokens(world.accept(new).await), None);
    }
    for n in 1..5 {
        let next = id(&format!("s{n}"));
        assert_eq!(world.ask(next.as_str()).await, None, "the one before still holds");
        let written = world.end(&id(&format!("s{}", n - 1))).await;
        assert_eq!(followers(&written), [&next]);
        assert_eq!(world.ask(next.as_str()).await.unwrap().len(), 1);
    }
    assert!(followers(&world.end(&id("s4")).await).is_empty());
    assert!(world.enter("late", &["k"]).await.is_some(), "the key is free again");
}

/// It is woken by the last of those it waits for, and others wait for it meanwhile.
pub async fn a_saga_of_several_keys_waits_for_all_of_them(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    assert!(world.enter("x", &["x"]).await.is_some());
    assert!(world.enter("y", &["y"]).await.is_some());
    assert_eq!(world.enter("xy", &["x", "y"]).await, None);
    assert_eq!(world.enter("y2", &["y"]).await, None);
    assert!(followers(&world.end(&id("x")).await).is_empty(), "y is still held");
    assert_eq!(world.ask("xy").await, None);
    assert_eq!(world.enter("x2", &["x"]).await, None, "xy is first in x");
    assert_eq!(followers(&world.end(&id("y")).await), [&id("xy")]);
    assert_eq!(world.ask("xy").await.unwrap().len(), 2);
    assert_eq!(world.ask("y2").await, None);
    assert_eq!(followers(&world.end(&id("xy")).await), [&id("x2"), &id("y2")]);
}

/// A waiter in the middle leaves: the holder before it is not woken, nor the one behind it.
pub async fn a_waiter_that_leaves_wakes_nobody_who_was_first_before(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    assert!(world.enter("holder", &["k"]).await.is_some());
    assert_eq!(world.enter("leaver", &["k"]).await, None);
    assert_eq!(world.enter("last", &["k"]).await, None);
    assert!(followers(&world.end(&id("leaver")).await).is_empty());
    assert_eq!(world.ask("last").await, None);
    assert_eq!(followers(&world.end(&id("holder")).await), [&id("last")]);
    assert!(followers(&world.end(&id("holder")).await).is_empty(), "releasing twice is harmless");
}

/// A waiter that was first in one queue leaves while it waits in another.
pub async fn a_waiter_that_leaves_lets_the_next_but_one_move_up(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    assert!(world.enter("x", &["x"]).await.is_some());
    assert_eq!(world.enter("xy", &["x", "y"]).await, None);
    assert_eq!(world.enter("yz", &["y", "z"]).await, None);
    assert_eq!(followers(&world.end(&id("xy")).await), [&id("yz")]);
    assert_eq!(world.ask("yz").await.unwrap().len(), 2);
}

/// Releases come before acceptances; who waits comes before who is new.
pub async fn one_batch_may_release_and_accept(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.enter("a", &["a"]).await;
    world.enter("b", &["b"]).await;
    world.enter("b2", &["b"]).await;
    let batch = Batch {
        appends: vec![release("a", 1, Status::Completed), release("b", 1, Status::Completed)],
        accepts: vec![queued("a3", &["a"]), queued("b3", &["b"])],
        ..world.batch()
    };
    let written = world.try_write(batch).await.unwrap();
    assert_eq!(followers(&written), [&id("b2")]);
    let granted: Vec<bool> =
        written.accepts.into_iter().map(|outcome| tokens(outcome).is_some()).collect();
    assert_eq!(granted, [true, false]);
    assert_eq!(world.ask("b3").await, None);
    let batch = Batch {
        appends: vec![release("b2", 1, Status::Compensated)],
        grants: vec![Grant { saga_id: id("b3"), partition: Partition(0) }],
        ..world.batch()
    };
    let written = world.try_write(batch).await.unwrap();
    assert!(written.grants[0].is_some(), "grants come after releases");
}

/// Two that ask for one key in one batch: the first gets it, whatever else they ask for.
pub async fn one_batch_grants_a_key_once(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let accepts = vec![
        queued("s", &["k", "l"]),
        queued("t", &["k"]),
        queued("u", &["m"]),
        queued("v", &["j", "l"]),
    ];
    let granted: Vec<Option<usize>> = world
        .accept_all(accepts)
        .await
        .into_iter()
        .map(|outcome| tokens(outcome).map(|tokens| tokens.len()))
        .collect();
    assert_eq!(granted, [Some(2), None, Some(1), None]);
    assert_eq!(followers(&world.end(&id("s")).await), [&id("t"), &id("v")]);
}

/// Keys released at the pivot are the next one's while the first still runs.
pub async fn a_release_before_the_end_lets_the_next_run(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.enter("first", &["k"]).await;
    world.enter("second", &["k"]).await;
    let written = world.append(release("first", 1, Status::Confirming)).await;
    assert_eq!(followers(&written), [&id("second")]);
    assert!(world.ask("second").await.is_some());
    assert_eq!(world.ask("first").await, None, "it has no tickets any more");
    assert!(followers(&world.end(&id("first")).await).is_empty());
    assert_eq!(world.enter("third", &["k"]).await, None, "the second still holds");
}

/// Who is next has its keys, and is in memory with all that is known of it: if its coordinator dies
/// before it writes what follows, the next owner finds it.
pub async fn a_release_grants_the_next_its_keys(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let before = world.enter("s0", &["j", "k"]).await.unwrap();
    world.accept(NewSaga { partition: Partition(1), ..queued("s1", &["j", "k"]) }).await;
    world.enter("s2", &["k"]).await;
    let written = world.end(&id("s0")).await;
    assert_eq!((written.woken.len(), written.successors.len()), (0, 1), "{written:?}");
    let next = &written.successors[0];
    assert_eq!((&next.saga.saga_id, next.saga.partition), (&id("s1"), Partition(1)));
    assert_eq!(next.saga.definition, queued("s1", &[]).definition);
    assert_eq!(next.saga.records, world.records(&id("s1")).await);
    assert!(next.tokens.iter().zip(&before).all(|(new, old)| new > old), "{written:?}");
    let places = world.store.lock_places(&id("s1")).await.unwrap();
    let noted: Vec<Token> = places.iter().filter_map(|place| place.token).collect();
    assert_eq!(next.tokens, noted);
    assert!(world.store.claim_due(&world.leases, 9).await.unwrap().is_empty());
    let recovered = world.store.recover(world.leases[1], None, 9).await.unwrap();
    assert_eq!(recovered.len(), 1);
    assert!(world.ask("s1").await.unwrap() > next.tokens, "its owner may not have heard of it");
}

/// Where the owner can't drive it just now.
pub async fn who_may_not_be_granted_its_keys_is_woken(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.enter("s", &["k"]).await;
    world.accept(NewSaga { partition: Partition(1), ..queued("next", &["k"]) }).await;
    let appends = vec![world.ending(&id("s")).await];
    let batch = Batch { appends, successors_in: vec![Partition(0)], ..world.batch() };
    let written = world.try_write(batch).await.unwrap();
    assert_eq!(written.woken, [(Partition(1), id("next"))]);
    assert!(written.successors.is_empty(), "{written:?}");
    assert!(world.ask("next").await.is_some());
}

/// It does not want its keys now, and whoever resumes it asks for them.
pub async fn a_paused_saga_is_not_granted_what_it_waits_for(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.enter("s", &["k"]).await;
    let mut paused = queued("p", &["k"]);
    paused.header.paused = true;
    world.accept(paused).await;
    let written = world.end(&id("s")).await;
    assert_eq!(written.woken, [(Partition(0), id("p"))]);
    let places = world.store.lock_places(&id("p")).await.unwrap();
    assert_eq!(places[0].token, None);
}

/// The wake-up of a saga that another coordinator drives stands in the store, so that a lost poke
/// loses nothing.
pub async fn a_woken_saga_is_due_even_if_it_was_in_memory(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    for (key, wake) in [("p", Wake::Parked), ("m", Wake::InMemory), ("t", Wake::At(FUTURE))] {
        world.enter(&format!("{key}1"), &[key]).await;
        let mut waiter = queued(&format!("{key}2"), &[key]);
        waiter.header.wake = wake;
        waiter.partition = Partition(1);
        world.accept(waiter).await;
    }
    assert!(world.store.claim_due(&world.leases, 9).await.unwrap().is_empty());
    for key in ["p", "m", "t"] {
        let waiter = format!("{key}2");
        let written = world.end_under_one_lease(&id(&format!("{key}1"))).await;
        assert_eq!(written.woken, [(Partition(1), id(&waiter))]);
        let due = world.store.claim_due(&world.leases, 9).await.unwrap();
        let due: Vec<&str> = due.iter().map(|own| own.saga_id.as_str()).collect();
        assert_eq!(due, [waiter.as_str()]);
    }
}

/// For each key, whoever holds it and however often it was forgotten.
pub async fn tokens_grow_with_every_grant(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut newest: BTreeMap<&str, Token> = BTreeMap::new();
    for round in 0..4 {
        for keys in [&["a"][..], &["a", "b"], &["b", "c"]] {
            let name = format!("s{round}{}", keys.concat());
            let granted = world.enter(&name, keys).await.unwrap();
            assert_eq!(granted.len(), keys.len());
            for (key, token) in keys.iter().zip(granted) {
                let before = newest.insert(key, token).unwrap_or(Token(0));
                assert!(token > before, "{key}: {token:?} after {before:?}");
            }
            world.end(&id(&name)).await;
        }
        world.store.delete_ended(FUTURE, 100).await.unwrap();
    }
}

/// Sagas over pairs of keys, submitted at once from everywhere: each runs, and no two share a key.
pub async fn crossing_keys_never_deadlock(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let keys = ["a", "b", "c", "d"];
    let mut tasks = JoinSet::new();
    for n in 0..24_usize {
        let mut pair = [keys[n % 4], keys[(n + 1 + n / 4 % 3) % 4]];
        pair.sort_unstable();
        let mut new = queued(&format!("s{n:02}"), &pair);
        new.partition = Partition(u16::try_from(n).unwrap() % PARTITIONS);
        let leases = vec![world.leases[usize::from(new.partition.0)]];
        let (store, saga_id) = (Arc::clone(&world.store), new.saga_id.clone());
        let batch = Batch { leases, accepts: vec![new], ..Batch::default() };
        tasks.spawn(async move {
            let mut written = store.write(&batch).await.unwrap();
            (saga_id, pair, tokens(written.accepts.remove(0)).is_some())
        });
    }
    let entered = tasks.join_all().await;
    let pairs: BTreeMap<SagaId, [&str; 2]> =
        entered.iter().map(|(saga_id, pair, _)| (saga_id.clone(), *pair)).collect();
    let mut holders: BTreeSet<SagaId> =
        entered.into_iter().filter(|(_, _, granted)| *granted).map(|own| own.0).collect();
    let mut done = 0;
    while let Some(saga_id) = holders.pop_first() {
        done += 1;
        for next in followers(&world.end(&saga_id).await) {
            assert!(world.ask(next.as_str()).await.is_some(), "followed, but was not first");
            let shares = |held: &&SagaId| pairs[*held].iter().any(|key| pairs[next].contains(key));
            assert_eq!(holders.iter().find(shares), None, "shares a key with {next}");
            holders.insert(next.clone());
        }
    }
    assert_eq!(done, 24, "all have run");
}
