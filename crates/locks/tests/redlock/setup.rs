//! Masters of one's own, and guards to ask them for.

use std::time::Duration;

use amends_core::saga::Token;
use amends_core::{LockKey, SagaId};
use amends_locks::{Config, Redlock};
use amends_ports::{Guard, GuardError, GuardHolder, LockMaster, Locks as _};
use amends_testbed::Redis;

/// Long enough for a loaded machine, short enough to wait for.
pub(crate) const TTL: Duration = Duration::from_secs(2);
pub(crate) const NODE_TIMEOUT: Duration = Duration::from_millis(200);
/// For what has to happen at some time.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) async fn masters(count: usize) -> Vec<Redis> {
    let mut masters = Vec::new();
    for _ in 0..count {
        masters.push(Redis::start().await.unwrap());
    }
    masters
}

pub(crate) fn urls(masters: &[Redis]) -> Vec<String> {
    masters.iter().map(Redis::url).collect()
}

pub(crate) fn config(urls: Vec<String>) -> Config {
    Config { ttl: TTL, node_timeout: NODE_TIMEOUT, ..Config::new(urls) }
}

/// Made, but nothing waited for.
pub(crate) fn redlock(masters: &[Redis]) -> Redlock {
    Redlock::new(&config(urls(masters))).unwrap()
}

/// With every master trusted.
pub(crate) async fn ready(masters: &[Redis]) -> Redlock {
    let locks = redlock(masters);
    until_trusted(&locks, masters.len()).await;
    locks
}

/// Waits until exactly so many masters have a vote.
pub(crate) async fn until_trusted(locks: &Redlock, count: usize) {
    let trusted = async || {
        let masters = locks.health().await.masters;
        masters.iter().filter(|master| master.trusted).count() == count
    };
    until(trusted).await;
}

/// Waits until this is said about the master at this place.
pub(crate) async fn until_said(locks: &Redlock, place: usize, words: &str) -> LockMaster {
    let said = async || {
        let detail = locks.health().await.masters[place].detail.clone();
        detail.is_some_and(|detail| detail.contains(words))
    };
    until(said).await;
    locks.health().await.masters[place].clone()
}

pub(crate) async fn until(is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.expect("it has to be so within half a minute");
}

/// Tries until it holds.
pub(crate) async fn until_acquired(locks: &Redlock, guard: &Guard) {
    until(async || locks.acquire(guard).await.is_ok()).await;
}

pub(crate) fn key(text: &str) -> LockKey {
    LockKey::new(text).unwrap()
}

pub(crate) fn guard(saga: &str, keys: &[&str]) -> Guard {
    let saga_id = SagaId::new(saga).unwrap();
    let holder = GuardHolder { nonce: "5a17".to_owned(), saga_id, token: Token(3) };
    Guard { keys: keys.iter().map(|text| key(text)).collect(), holder }
}

pub(crate) fn busy(text: &str, holder: &str) -> Result<Duration, GuardError> {
    Err(GuardError::Busy { key: key(text), holder: holder.to_owned() })
}

pub(crate) fn lost(text: &str) -> Result<Duration, GuardError> {
    Err(GuardError::Lost { key: key(text) })
}

/// The words of a missing quorum; anything else fails.
pub(crate) fn no_quorum(result: Result<Duration, GuardError>) -> String {
    match result {
        Err(GuardError::NoQuorum(words)) => words,
        other => panic!("{other:?} is not for want of a quorum"),
    }
}

/// What stands under a lock key on one master.
pub(crate) async fn standing(master: &Redis, key: &str) -> Option<String> {
    let reply = master.command(&["GET", &format!("amends:lock:{key}")]).await.unwrap();
    reply.lines().nth(1).map(ToOwned::to_owned)
}

/// One command on one master; its key is a lock key.
pub(crate) async fn meddle(master: &Redis, command: &str, key: &str, more: &[&str]) {
    let name = format!("amends:lock:{key}");
    let words: Vec<&str> = [command, &name].into_iter().chain(more.iter().copied()).collect();
    master.command(&words).await.unwrap();
}
