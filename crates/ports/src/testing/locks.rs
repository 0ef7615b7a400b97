//! Guards in memory, with a lock service that can fail.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amends_core::LockKey;
use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{Guard, GuardError, GuardHolder, LockMaster, Locks, LocksHealth};

/// [`Locks`] for tests: masters that are maps, on tokio's clock.
///
/// Made once for a service; each coordinator gets a [`MemoryLocks::peer`], which can be cut off
/// from some of the masters alone. Answers are at once.
#[derive(Debug)]
pub struct MemoryLocks {
    service: Arc<Mutex<Vec<Master>>>,
    ttl: Duration,
    cut_off: AtomicUsize,
}

/// What stands under each key, and until when.
type Master = HashMap<LockKey, (String, Instant)>;

/// Longer than any test.
const EVER: Duration = Duration::from_hours(24 * 365);

impl MemoryLocks {
    /// A service of so many masters whose guards live for `ttl`.
    pub fn new(masters: usize, ttl: Duration) -> Self {
        let service = Arc::new(Mutex::new(vec![Master::new(); masters]));
        Self { service, ttl, cut_off: AtomicUsize::new(0) }
    }

    /// The same service as another coordinator sees it.
    #[must_use]
    pub fn peer(&self) -> Self {
        let service = Arc::clone(&self.service);
        Self { service, ttl: self.ttl, cut_off: AtomicUsize::new(0) }
    }

    /// Cuts this coordinator off from the first `masters` masters; 0 mends it. From a majority:
    /// everything is [`GuardError::NoQuorum`].
    pub fn partition(&self, masters: usize) {
        self.cut_off.store(masters, Ordering::Relaxed);
    }

    /// Takes a key away on all masters, whoever has it: its guard is [`GuardError::Lost`].
    pub fn take_away(&self, key: &LockKey) {
        for master in &mut *self.service.lock() {
            master.remove(key);
        }
    }

    /// Lets an outsider, who is no saga, have a key on all masters until [`MemoryLocks::take_away`]:
    /// its guard is [`GuardError::Busy`], or lost if it was held.
    pub fn occupy(&self, key: &LockKey, holder: &str) {
        let until = Instant::now() + EVER;
        for master in &mut *self.service.lock() {
            master.insert(key.clone(), (holder.to_owned(), until));
        }
    }

    /// Restarts one master, by its place: it has forgotten everything.
    pub fn forget(&self, master: usize) {
        if let Some(master) = self.service.lock().get_mut(master) {
            master.clear();
        }
    }

    /// Moves one master's clock, by its place, forward: what it keeps ends earlier by so much.
    pub fn jump(&self, master: usize, forward: Duration) {
        let now = Instant::now();
        for (_, until) in
            self.service.lock().get_mut(master).into_iter().flat_map(HashMap::values_mut)
        {
            *until = until.checked_sub(forward).unwrap_or(now);
        }
    }

    /// What stands under a key at more than half of the masters.
    pub fn holder(&self, key: &LockKey) -> Option<String> {
        let now = Instant::now();
        let masters = self.service.lock();
        let mut held: HashMap<&str, usize> = HashMap::new();
        for holder in masters.iter().filter_map(|master| standing(master, key, now)) {
            *held.entry(holder).or_default() += 1;
        }
        let most = held.into_iter().find(|(_, count)| *count > masters.len() / 2);
        most.map(|(holder, _)| holder.to_owned())
    }

    /// Lets the masters that can be reached vote on each key; on the way each may do something.
    fn vote(
        &self,
        guard: &Guard,
        mut vote: impl FnMut(&mut Master, &LockKey, Instant) -> Result<(), String>,
    ) -> Result<Duration, Refusal> {
        let now = Instant::now();
        let mut masters = self.service.lock();
        let (total, cut_off) = (masters.len(), self.cut_off.load(Ordering::Relaxed));
        let quorum = total / 2 + 1;
        for key in &guard.keys {
            let reached = masters.iter_mut().skip(cut_off);
            let votes: Vec<_> = reached.map(|master| vote(master, key, now)).collect();
            let refusals = votes.iter().filter(|vote| vote.is_err()).count();
            if total < quorum + refusals {
                let holder = votes.into_iter().find_map(Result::err).unwrap_or_default();
                return Err(Refusal::By(key.clone(), holder));
            }
            if votes.len() - refusals < quorum {
                return Err(Refusal::Nobody(no_quorum(total, votes.len())));
            }
        }
        Ok(self.ttl.saturating_sub(self.ttl / 100 + Duration::from_millis(2)))
    }

    fn remove(&self, guard: &Guard) {
        let cut_off = self.cut_off.load(Ordering::Relaxed);
        for master in self.service.lock().iter_mut().skip(cut_off) {
            for key in &guard.keys {
                if master.get(key).is_some_and(|(held, _)| is_ours(held, &guard.holder)) {
                    master.remove(key);
                }
            }
        }
    }

    fn acquire_now(&self, guard: &Guard) -> Result<Duration, GuardError> {
        let ttl = self.ttl;
        let result = self.vote(guard, |master, key, now| {
            if let Some(held) = standing(master, key, now)
                && !is_ours(held, &guard.holder)
            {
                return Err(held.to_owned());
            }
            master.insert(key.clone(), (guard.holder.to_string(), now + ttl));
            Ok(())
        });
        if result.is_err() {
            self.remove(guard);
        }
        result.map_err(|refusal| match refusal {
            Refusal::By(key, holder) => GuardError::Busy { key, holder },
            Refusal::Nobody(why) => GuardError::NoQuorum(why),
        })
    }

    fn extend_now(&self, guard: &Guard) -> Result<Duration, GuardError> {
        let (holder, ttl) = (guard.holder.to_string(), self.ttl);
        let result = self.vote(guard, |master, key, now| {
            if standing(master, key, now) != Some(holder.as_str()) {
                return Err(String::new());
            }
            master.insert(key.clone(), (holder.clone(), now + ttl));
            Ok(())
        });
        result.map_err(|refusal| match refusal {
            Refusal::By(key, _) => GuardError::Lost { key },
            Refusal::Nobody(why) => GuardError::NoQuorum(why),
        })
    }
}

/// Why a vote was not won.
enum Refusal {
    By(LockKey, String),
    Nobody(String),
}

fn no_quorum(total: usize, reached: usize) -> String {
    format!("{reached} of {total} masters can be reached")
}

fn standing<'a>(master: &'a Master, key: &LockKey, now: Instant) -> Option<&'a str> {
    master.get(key).filter(|(_, until)| *until > now).map(|(held, _)| held.as_str())
}

/// Whether it is this saga's, under the same or a lower token.
fn is_ours(held: &str, holder: &GuardHolder) -> bool {
    let token = held.strip_prefix(&holder.saga_prefix()).and_then(|token| token.parse().ok());
    token.is_some_and(|token: u64| token <= holder.token.0)
}

#[async_trait]
impl Locks for MemoryLocks {
    async fn acquire(&self, guard: &Guard) -> Result<Duration, GuardError> {
        self.acquire_now(guard)
    }

    async fn extend(&self, guards: &[Guard]) -> Vec<Result<Duration, GuardError>> {
        guards.iter().map(|guard| self.extend_now(guard)).collect()
    }

    async fn release(&self, guards: &[Guard]) {
        for guard in guards {
            self.remove(guard);
        }
    }

    fn ttl(&self) -> Duration {
        self.ttl
    }

    async fn health(&self) -> LocksHealth {
        let (total, cut_off) = (self.service.lock().len(), self.cut_off.load(Ordering::Relaxed));
        let master = |place: usize| LockMaster {
            address: format!("memory://{place}"),
            trusted: place >= cut_off,
            detail: (place < cut_off).then(|| "is cut off by the test".to_owned()),
        };
        let reached = total.saturating_sub(cut_off);
        LocksHealth { quorum: reached > total / 2, masters: (0..total).map(master).collect() }
    }
}

#[cfg(test)]
mod tests {
    use amends_core::SagaId;
    use amends_core::saga::Token;

    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    #[expect(clippy::unused_async, reason = "the suite takes an async function")]
    async fn fresh() -> (Arc<dyn Locks>, ()) {
        (Arc::new(MemoryLocks::new(3, Duration::from_secs(1))), ())
    }

    crate::locks_conformance!(fresh);

    fn key(text: &str) -> LockKey {
        LockKey::new(text).unwrap()
    }

    fn guard(saga: &str, token: u64) -> Guard {
        let saga_id = SagaId::new(saga).unwrap();
        let holder = GuardHolder { nonce: "abc".to_owned(), saga_id, token: Token(token) };
        Guard { keys: vec![key("k")], holder }
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_is_no_quorum_for_one_coordinator_only() {
        let locks = MemoryLocks::new(3, TTL);
        let other = locks.peer();
        locks.partition(2);
        let result = locks.acquire(&guard("a", 1)).await;
        assert!(matches!(result, Err(GuardError::NoQuorum(_))), "{result:?}");
        assert!(!locks.health().await.quorum && other.health().await.quorum);
        other.acquire(&guard("b", 1)).await.unwrap();
        locks.partition(1);
        let busy = GuardError::Busy { key: key("k"), holder: "abc/b/1".to_owned() };
        assert_eq!(locks.acquire(&guard("a", 1)).await, Err(busy));
    }

    #[tokio::test(start_paused = true)]
    async fn outsiders_are_busy_and_what_is_taken_away_is_lost() {
        let locks = MemoryLocks::new(3, TTL);
        locks.occupy(&key("k"), "a batch job");
        let busy = GuardError::Busy { key: key("k"), holder: "a batch job".to_owned() };
        assert_eq!(locks.acquire(&guard("a", 1)).await, Err(busy));
        locks.take_away(&key("k"));
        locks.acquire(&guard("a", 1)).await.unwrap();
        assert_eq!(locks.holder(&key("k")).as_deref(), Some("abc/a/1"));
        locks.forget(0);
        assert!(locks.extend(&[guard("a", 1)]).await[0].is_ok(), "a majority has it");
        locks.forget(1);
        let lost = GuardError::Lost { key: key("k") };
        assert_eq!(locks.extend(&[guard("a", 1)]).await, [Err(lost)]);
    }

    #[tokio::test(start_paused = true)]
    async fn guards_expire_by_tokios_clock() {
        let locks = MemoryLocks::new(1, TTL);
        let holds_for = locks.acquire(&guard("a", 1)).await.unwrap();
        tokio::time::advance(holds_for).await;
        assert!(locks.acquire(&guard("b", 1)).await.is_err());
        tokio::time::advance(TTL.saturating_sub(holds_for)).await;
        locks.acquire(&guard("b", 1)).await.unwrap();
        assert!(locks.extend(&[guard("a", 1)]).await[0].is_err());
    }
}
