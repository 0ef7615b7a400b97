//! What the store says, and what has happened, when PostgreSQL or the way to it fails.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use amends_core::saga::Token;
use amends_core::{LockKey, Timestamp};
use amends_ports::Store as _;
use amends_ports::store::{
    AcceptOutcome, Append, Batch, CoordinatorId, Lease, NewSaga, Tickets, Wake, WriteError,
};
use amends_store::OpenError;
use amends_store::postgres::{PostgresOptions, PostgresStore};
use amends_testbed::{Postgres, PostgresOptions as ServerOptions};
use tokio::time::timeout;

use crate::proxy::{Action, Proxy};
use crate::sagas::{append_of, id, locking_saga, new_saga};

mod proxy;
mod sagas;
mod server;

const LONG: Duration = Duration::from_mins(10);
/// Enough for what is not held up to happen.
const A_WHILE: Duration = Duration::from_millis(300);

/// A store behind a proxy, and the same one without, which owns all partitions.
struct World {
    proxy: Proxy,
    store: PostgresStore,
    direct: PostgresStore,
    me: CoordinatorId,
    leases: Vec<Lease>,
    _server: Arc<Postgres>,
}

impl World {
    async fn new(options: PostgresOptions) -> Self {
        let server = server::shared(&[]).await;
        let url = server::database(&server).await;
        let proxy = Proxy::start(server.port()).await;
        let direct = PostgresStore::connect(&url, options.clone()).await.unwrap();
        let store = PostgresStore::connect(&proxy.url(&url), options).await.unwrap();
        let me = CoordinatorId("a".to_owned());
        let leases = direct.acquire(&me, 8, LONG).await.unwrap();
        Self { proxy, store, direct, me, leases, _server: server }
    }

    async fn accept(&self, new: NewSaga) -> Result<(), WriteError> {
        let batch = Batch { accepts: vec![new], ..self.batch() };
        self.store.write(&batch).await.map(|_| ())
    }

    /// An empty batch under every lease.
    fn batch(&self) -> Batch {
        Batch { leases: self.leases.clone(), ..Batch::default() }
    }

    /// Makes a saga that asks for the lock key `k`, not through the proxy; its token, if granted.
    async fn enter(&self, text: &str) -> Option<Token> {
        let lock_keys = vec![LockKey::new("k").unwrap()];
        let new = NewSaga { lock_keys, ..new_saga(text, 1, Wake::InMemory) };
        let batch = Batch { accepts: vec![new], ..self.batch() };
        let mut written = self.direct.write(&batch).await.unwrap();
        let AcceptOutcome::Created { tokens } = written.accepts.remove(0) else { return None };
        tokens.map(|tokens| tokens[0])
    }

    async fn append(&self, text: &str, from: u64, number: u64) -> Result<(), WriteError> {
        let batch = Batch { appends: vec![append_of(text, from, number)], ..self.batch() };
        self.store.write(&batch).await.map(|_| ())
    }

    /// How many facts the saga has, once nothing can be on its way any more.
    async fn facts(&self, text: &str) -> usize {
        self.direct.raise_epochs(&self.me, &self.leases, LONG).await.unwrap();
        let saga = self.direct.saga(&id(text)).await.unwrap();
        saga.map_or(0, |(_, stored)| stored.records.len())
    }
}

fn assert_unknown(result: &Result<(), WriteError>) {
    assert!(matches!(result, Err(WriteError::OutcomeUnknown(_))), "{result:?}");
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_unknown() {
    let world = World::new(server::options()).await;
    world.proxy.set("COMMIT\0", Action::CutBefore).await;
    assert_unknown(&world.accept(locking_saga("s", 1)).await);
    assert_eq!(world.facts("s").await, 0);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_unknown() {
    let world = World::new(server::options()).await;
    world.proxy.set("COMMIT\0", Action::CutAnswer).await;
    assert_unknown(&world.accept(locking_saga("s", 1)).await);
    assert_eq!(world.facts("s").await, 1);
}

#[tokio::test]
async fn a_statement_that_commits_itself_is_unknown_when_the_connection_breaks() {
    for (action, written) in [(Action::CutBefore, 0), (Action::CutAnswer, 1)] {
        let world = World::new(server::options()).await;
        world.accept(new_saga("s", 1, Wake::InMemory)).await.unwrap();
        world.proxy.set("987654", action).await;
        assert_unknown(&world.append("s", 1, 987_654).await);
        assert_eq!(world.facts("s").await, 1 + written, "{action:?}");

        let world = World::new(server::options()).await;
        world.proxy.set("987654", action).await;
        assert_unknown(&world.accept(new_saga("t", 987_654, Wake::InMemory)).await);
        assert_eq!(world.facts("t").await, written, "{action:?}");
    }
}

#[tokio::test]
async fn what_breaks_before_the_commit_was_not_written() {
    for (needle, action) in [
        ("BEGIN\0", Action::CutBefore),
        ("BEGIN\0", Action::CutAnswer),
        ("987654", Action::CutBefore),
        ("987654", Action::CutAnswer),
    ] {
        let world = World::new(server::options()).await;
        world.proxy.set(needle, action).await;
        let result = world.accept(locking_saga("s", 987_654)).await;
        assert!(matches!(result, Err(WriteError::Unavailable(_))), "{needle} {action:?}");
        assert_eq!(world.proxy.count(), 1);
        assert_eq!(world.facts("s").await, 0, "{needle} {action:?}");
    }
}

#[tokio::test]
async fn a_broken_connection_is_replaced() {
    let world = World::new(server::options()).await;
    world.accept(locking_saga("s", 1)).await.unwrap();
    world.proxy.set("987654", Action::CutBefore).await;
    assert_unknown(&world.append("s", 1, 987_654).await);
    world.append("s", 1, 2).await.unwrap();
    assert_eq!(world.facts("s").await, 2);
}

#[tokio::test]
async fn raising_epochs_waits_for_a_commit_on_its_way() {
    let world = World::new(server::options()).await;
    world.proxy.set("COMMIT\0", Action::Hold).await;
    let mut write = pin!(world.accept(locking_saga("s", 1)));
    let mut raise = pin!(world.direct.raise_epochs(&world.me, &world.leases, LONG));
    tokio::select! {
        _ = &mut write => unreachable!("its commit is held"),
        () = world.proxy.sprung() => {}
    }
    assert!(timeout(A_WHILE, &mut raise).await.is_err(), "a write under the old epoch was open");

    world.proxy.let_go();
    let (written, raised) = tokio::join!(write, raise);
    written.unwrap();
    let raised = raised.unwrap();
    assert_eq!(raised.len(), world.leases.len());
    assert!(world.direct.saga(&id("s")).await.unwrap().is_some());
    let stale = world.append("s", 1, 2).await;
    assert!(matches!(&stale, Err(WriteError::Fenced(all)) if all.len() == 8), "{stale:?}");
}

#[tokio::test]
async fn a_taker_waits_for_a_commit_of_an_expired_owner() {
    let world = World::new(server::options()).await;
    let short = Duration::from_millis(1);
    let leases = world.direct.raise_epochs(&world.me, &world.leases, short).await.unwrap();
    let world = World { leases, ..world };
    world.proxy.set("COMMIT\0", Action::Hold).await;
    let mut write = pin!(world.accept(locking_saga("s", 1)));
    let other = CoordinatorId("b".to_owned());
    let mut take = pin!(world.direct.acquire(&other, 8, LONG));
    tokio::select! {
        _ = &mut write => unreachable!("its commit is held"),
        () = world.proxy.sprung() => {}
    }
    assert!(timeout(A_WHILE, &mut take).await.is_err(), "a write under the old epoch was open");
    world.proxy.let_go();
    let (written, taken) = tokio::join!(write, take);
    written.unwrap();
    assert_eq!(taken.unwrap().len(), 8);
}

#[tokio::test]
async fn a_grant_that_waited_while_its_key_was_forgotten_gets_a_greater_token() {
    let world = World::new(server::options()).await;
    let mut newest = Token(0);
    for round in 0..3 {
        let name = format!("s{round}");
        newest = world.enter(&name).await.unwrap();
        let release = Append { tickets: Tickets::Release, ..append_of(&name, 1, 2) };
        let batch = Batch { appends: vec![release], ..world.batch() };
        world.direct.write(&batch).await.unwrap();
    }
    world.proxy.set("COMMIT\0", Action::Hold).await;
    let mut forget = pin!(world.store.forget_idle_locks(9));
    tokio::select! {
        _ = &mut forget => unreachable!("its commit is held"),
        () = world.proxy.sprung() => {}
    }
    let mut enter = pin!(world.enter("late"));
    assert!(timeout(A_WHILE, &mut enter).await.is_err(), "the key is being forgotten");
    world.proxy.let_go();
    let (forgotten, granted) = tokio::join!(forget, enter);
    assert_eq!(forgotten.unwrap(), 1);
    assert!(granted.unwrap() > newest, "{granted:?} after {newest:?}");
}

#[tokio::test]
async fn heartbeats_do_not_wait_for_writes() {
    let options = PostgresOptions { connections_max: 1, ..server::options() };
    let world = World::new(options).await;
    world.proxy.set("COMMIT\0", Action::Hold).await;
    let mut write = pin!(world.accept(locking_saga("s", 1)));
    tokio::select! {
        _ = &mut write => unreachable!("its commit is held"),
        () = world.proxy.sprung() => {}
    }
    let (members, leases) = world.store.heartbeat(&world.me, "", false, LONG).await.unwrap();
    assert_eq!((members.len(), leases.len()), (1, 8));
    world.proxy.let_go();
    write.await.unwrap();
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_is_made_again() {
    for action in [Action::CutBefore, Action::CutAnswer] {
        let world = World::new(server::options()).await;
        world.accept(new_saga("needle", 1, Wake::At(Timestamp(1)))).await.unwrap();
        world.proxy.set("needle", action).await;
        assert!(world.store.claim_due(&world.leases, 10).await.is_err());
        assert_eq!(world.proxy.count(), 1, "the claim names the saga");
        let claimed = world.store.claim_due(&world.leases, 10).await.unwrap();
        assert_eq!(claimed.len(), 1, "{action:?}");
        assert!(world.store.claim_due(&world.leases, 10).await.unwrap().is_empty());
    }
}

/// Whatever the moment, a write that its caller gives up happens whole or not at all, and the
/// connection that it had never carries its transaction into another write.
#[tokio::test]
async fn a_write_that_is_given_up_leaves_nothing_half_done() {
    let options = PostgresOptions { connections_max: 1, ..server::options() };
    let world = World::new(options).await;
    world.accept(locking_saga("first", 1)).await.unwrap();
    let mut finished = 0;
    for step in 0..60_u32 {
        let name = format!("s{step}");
        let write = world.accept(locking_saga(&name, 1));
        finished += u32::from(timeout(Duration::from_micros(100) * step, write).await.is_ok());
        world.accept(locking_saga(&format!("after-{step}"), 1)).await.unwrap();
        // Waits for the first one, if that is still on its way.
        world.accept(locking_saga(&name, 1)).await.unwrap();
        let (_, saga) = world.direct.saga(&id(&name)).await.unwrap().unwrap();
        assert_eq!(saga.records.len(), 1, "step {step}");
    }
    assert!(finished < 60, "no write was given up");
}

#[tokio::test]
async fn many_coordinators_may_start_at_once_on_an_empty_database() {
    let server = server::shared(&[]).await;
    let url = server::database(&server).await;
    let start = |partitions| {
        let options = PostgresOptions { partitions, ..server::options() };
        PostgresStore::connect(&url, options)
    };
    let (a, b, c, d) = tokio::join!(start(4), start(8), start(16), start(32));
    let (a, b) = (a.unwrap(), b.unwrap());
    let partitions = a.partitions().await.unwrap();
    for other in [b, c.unwrap(), d.unwrap()] {
        assert_eq!(other.partitions().await.unwrap(), partitions);
        assert_eq!(other.secret().await.unwrap(), a.secret().await.unwrap());
    }
    let me = CoordinatorId("a".to_owned());
    assert_eq!(a.acquire(&me, 100, LONG).await.unwrap().len(), usize::from(partitions));
}

#[tokio::test]
async fn a_server_that_may_lose_commits_is_refused() {
    let server = server::shared(&[]).await;
    let url = server::database(&server).await;
    let refused = PostgresStore::connect(&url, PostgresOptions::default()).await;
    assert!(matches!(refused, Err(OpenError::NotDurable { setting: "fsync", .. })), "{refused:?}");
}

#[tokio::test]
async fn an_unreachable_server_is_an_error_and_not_a_wait() {
    let port = amends_testbed::free_port().unwrap();
    let url = format!("postgres://postgres@127.0.0.1:{port}/amends");
    let refused = PostgresStore::connect(&url, server::options()).await;
    assert!(matches!(refused, Err(OpenError::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn the_next_host_is_used_when_the_first_is_away() {
    let server = server::shared(&[]).await;
    let url = server::database(&server).await;
    let away = amends_testbed::free_port().unwrap();
    let url = url.replace('@', &format!("@127.0.0.1:{away},"));
    PostgresStore::connect(&url, server::options()).await.unwrap().ready().await.unwrap();
}

#[tokio::test]
async fn what_was_accepted_survives_a_crash_of_the_server() {
    let durable = ServerOptions { durable: true, ..ServerOptions::default() };
    let mut server = Postgres::start_with(durable).await.unwrap();
    let store = PostgresStore::connect(&server.url(), PostgresOptions::default()).await.unwrap();
    let me = CoordinatorId("a".to_owned());
    let leases = store.acquire(&me, 64, LONG).await.unwrap();
    let accepts = vec![locking_saga("s", 1), new_saga("t", 1, Wake::InMemory)];
    store.write(&Batch { leases, accepts, ..Batch::default() }).await.unwrap();
    server.restart_immediate().await.unwrap();
    // The connections that were open are found broken first.
    let mut found = store.saga(&id("s")).await;
    if found.is_err() {
        found = store.saga(&id("s")).await;
    }
    assert!(found.unwrap().is_some());
    assert!(store.saga(&id("t")).await.unwrap().is_some());
}
