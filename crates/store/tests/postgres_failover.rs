//! What the store does, and says, when a standby takes over.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use amends_core::LockKey;
use amends_core::saga::Token;
use amends_ports::Store as _;
use amends_ports::store::{AcceptOutcome, Batch, CoordinatorId, Lease, NewSaga, Wake, WriteError};
use amends_store::postgres::PostgresStore;
use amends_testbed::proxy::{FaultProxy, Faults};
use amends_testbed::{Postgres, PostgresOptions, Standby};
use tracing::instrument::WithSubscriber as _;

use crate::sagas::{id, new_saga};

mod sagas;
mod server;

const LONG: Duration = Duration::from_mins(10);
/// Writes that may fail before the new server is met: one for each connection and one for luck.
const TRIES: usize = 100;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap()
    }

    fn has(&self, words: &[&str]) -> bool {
        let text = String::from_utf8(self.bytes().clone()).unwrap();
        text.lines().any(|line| words.iter().all(|word| line.contains(word)))
    }

    fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        let log = self.clone();
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).finish()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A store that reaches a primary, and later its standby, under one address.
struct World {
    primary: Postgres,
    address: FaultProxy,
    store: PostgresStore,
    me: CoordinatorId,
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

impl World {
    async fn new() -> Self {
        let replicated = ("wal_level".to_owned(), "replica".to_owned());
        let options = PostgresOptions { settings: vec![replicated], ..PostgresOptions::default() };
        let primary = Postgres::start_with(options).await.unwrap();
        let address = FaultProxy::start(local(primary.port())).await.unwrap();
        let url = address.url(&primary.url()).unwrap();
        let store = PostgresStore::connect(&url, server::options()).await.unwrap();
        Self { primary, address, store, me: CoordinatorId("a".to_owned()) }
    }

    /// Takes all partitions; connections to a server that went are found broken first.
    async fn acquire(&self) -> Vec<Lease> {
        for _ in 0..TRIES {
            if let Ok(leases) = self.store.acquire(&self.me, 8, LONG).await {
                return leases;
            }
        }
        Vec::new()
    }

    /// Makes a saga with the lock key `key`; its token, if granted.
    async fn enter(
        &self,
        leases: &[Lease],
        text: &str,
        key: &str,
    ) -> Result<Option<Token>, WriteError> {
        let lock_keys = vec![LockKey::new(key).unwrap()];
        let new = NewSaga { lock_keys, ..new_saga(text, 1, Wake::InMemory) };
        let batch = Batch { leases: leases.to_vec(), accepts: vec![new], ..Batch::default() };
        let mut written = self.store.write(&batch).await?;
        let AcceptOutcome::Created { tokens } = written.accepts.remove(0) else { return Ok(None) };
        Ok(tokens.map(|tokens| tokens[0]))
    }

    /// The old server goes, the new one gets its address.
    async fn fail_over(&mut self, standby: Standby) -> Postgres {
        self.primary.stop().await.unwrap();
        let new = standby.promote().await.unwrap();
        self.address.retarget(local(new.port()));
        self.address.drop_all();
        new
    }

    /// Writes under these leases until the new server answers.
    async fn write_until_answered(&self, leases: &[Lease]) -> WriteError {
        for _ in 0..TRIES {
            match self.enter(leases, "late", "other").await {
                Err(WriteError::Unavailable(_) | WriteError::OutcomeUnknown(_)) => {}
                Err(error @ WriteError::Fenced(_)) => return error,
                Ok(_) => break,
            }
        }
        WriteError::Unavailable("it was not fenced".into())
    }
}

#[tokio::test]
async fn what_an_asynchronous_standby_lost_is_told_and_fenced() {
    let log = Log::default();
    async {
        let mut world = World::new().await;
        let leases = world.acquire().await;
        let standby = Standby::asynchronous(&world.primary).await.unwrap();
        world.enter(&leases, "kept", "k").await.unwrap();
        standby.until_streaming(&world.primary).await.unwrap();
        standby.stream().set(Faults::silence()).await.unwrap();
        let last = world.enter(&leases, "lost", "l").await.unwrap().unwrap();
        let raised = world.store.raise_epochs(&world.me, &leases, LONG).await.unwrap();

        let _new = world.fail_over(standby).await;
        let refused = world.write_until_answered(&raised).await;
        assert!(matches!(refused, WriteError::Fenced(_)), "{refused:?}");
        let again = world.acquire().await;
        assert_eq!(again.len(), leases.len(), "nobody holds any partition");
        let newest = raised.iter().map(|lease| lease.epoch).max();
        assert!(again.iter().all(|lease| Some(lease.epoch) > newest), "{again:?} {newest:?}");
        let token = world.enter(&again, "next", "l").await.unwrap().unwrap();
        assert!(token > last, "{token:?} after {last:?}");
        assert!(world.store.saga(&id("kept")).await.unwrap().is_some());
        assert!(world.store.saga(&id("lost")).await.unwrap().is_none());
    }
    .with_subscriber(log.subscriber())
    .await;
    assert!(log.has(&["ERROR", "new timeline", "LOST", "timeline=2", "lost=1", "sagas=\"lost\""]));
}

#[tokio::test]
async fn a_synchronous_standby_has_everything() {
    let log = Log::default();
    async {
        let mut world = World::new().await;
        let leases = world.acquire().await;
        let standby = Standby::synchronous(&world.primary).await.unwrap();
        world.enter(&leases, "s", "k").await.unwrap();
        let _new = world.fail_over(standby).await;
        let refused = world.write_until_answered(&leases).await;
        assert!(matches!(refused, WriteError::Fenced(_)), "{refused:?}");
        assert!(world.store.saga(&id("s")).await.unwrap().is_some());
    }
    .with_subscriber(log.subscriber())
    .await;
    assert!(log.has(&["WARN", "new timeline", "nothing is missing", "checked=1"]));
    assert!(!log.has(&["ERROR"]));
}

#[tokio::test]
async fn a_primary_that_was_replaced_is_not_written_to() {
    let world = World::new().await;
    let standby = Standby::asynchronous(&world.primary).await.unwrap();
    let new = standby.promote().await.unwrap();
    world.address.retarget(local(new.port()));
    world.address.drop_all();
    let mut ready = world.store.ready().await;
    for _ in 0..TRIES {
        if ready.is_ok() {
            break;
        }
        ready = world.store.ready().await;
    }
    ready.unwrap();
    world.address.retarget(local(world.primary.port()));
    world.address.drop_all();
    let mut said = String::new();
    for _ in 0..TRIES {
        said = format!("{:?}", world.store.ready().await);
        if said.contains("it was replaced") {
            break;
        }
    }
    assert!(said.contains("it was replaced"), "{said}");
}

#[tokio::test]
async fn a_restart_is_no_failover() {
    let mut world = World::new().await;
    let leases = world.acquire().await;
    world.primary.restart_immediate().await.unwrap();
    for _ in 0..TRIES {
        match world.enter(&leases, "s", "k").await {
            Err(WriteError::Unavailable(_) | WriteError::OutcomeUnknown(_)) => {}
            written => return assert!(written.is_ok(), "{written:?}"),
        }
    }
    unreachable!("the server came back");
}
