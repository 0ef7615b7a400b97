//! What all lives of all coordinators share: chance, faults, the participants' books, the log.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::OnceLock;

use amends_core::SagaId;
use amends_core::saga::Event;
use amends_ports::store::{Epoch, Lease, Partition};
use amends_ports::testing::MemoryStore;
use amends_ports::{OutgoingCall, Store};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::books::Books;
use crate::chance::Chance;
use crate::swarm::Swarm;

/// The world of one run.
pub(crate) struct World {
    /// Everything that is drawn.
    pub(crate) chance: Chance,
    /// What the participants have done.
    pub(crate) books: Mutex<Books>,
    swarm: Mutex<Swarm>,
    log: Mutex<Log>,
    counters: Mutex<BTreeMap<&'static str, u64>>,
    violations: Mutex<Vec<String>>,
    order: Mutex<HashMap<SagaId, usize>>,
    began: Instant,
    store: OnceLock<MemoryStore>,
    epochs: Mutex<BTreeMap<Partition, Epoch>>,
}

#[derive(Debug)]
struct Log {
    hash: DefaultHasher,
    events: u64,
    /// What is printed, if somebody looks.
    lines: Option<Vec<String>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl World {
    /// A world with these faults; keeps its log if it is to be shown.
    pub(crate) fn new(chance: Chance, swarm: Swarm, shows: bool) -> Self {
        let log = Log { hash: DefaultHasher::new(), events: 0, lines: shows.then(Vec::new) };
        Self {
            chance,
            books: Mutex::default(),
            swarm: Mutex::new(swarm),
            log: Mutex::new(log),
            counters: Mutex::default(),
            violations: Mutex::default(),
            order: Mutex::default(),
            began: Instant::now(),
            store: OnceLock::new(),
            epochs: Mutex::default(),
        }
    }

    /// The store that all coordinators share.
    pub(crate) fn watch(&self, store: MemoryStore) {
        let _ = self.store.set(store);
    }

    /// Somebody has taken partitions under these epochs.
    pub(crate) fn raised(&self, leases: &[Lease]) {
        let mut epochs = self.epochs.lock();
        for lease in leases {
            let newest = epochs.entry(lease.partition).or_insert(lease.epoch);
            *newest = (*newest).max(lease.epoch);
        }
    }

    /// Rule 11: nothing is written under an old epoch.
    pub(crate) fn check_epochs(&self, leases: &[Lease]) {
        let epochs = self.epochs.lock();
        let is_old =
            |lease: &&Lease| epochs.get(&lease.partition).is_some_and(|new| *new > lease.epoch);
        let old: Vec<Lease> = leases.iter().filter(is_old).copied().collect();
        drop(epochs);
        if !old.is_empty() {
            self.violated(format!("a write was taken under old epochs: {old:?}"));
        }
    }

    /// Rules 3 to 5: what arrives was written down before it left.
    pub(crate) async fn check_intent(&self, call: &OutgoingCall) {
        let Some(store) = self.store.get().filter(|_| call.attempt == 1) else { return };
        let key = &call.key;
        let found = store.saga(&key.saga_id).await.ok().flatten();
        let is_intended = found.is_some_and(|(_, stored)| {
            stored.records.iter().any(|record| {
                matches!(&record.event, Event::CallStarted { op, attempt: 1, .. } if *op == key.op)
            })
        });
        if !is_intended {
            self.violated(format!("{key} left before it was written down"));
        }
    }

    /// Whether a fault happens now, whose rate the swarm says.
    pub(crate) fn draws(&self, rate: impl FnOnce(&Swarm) -> f64) -> bool {
        let rate = rate(&self.swarm.lock());
        self.chance.is(rate)
    }

    /// The faults as they are now.
    pub(crate) fn swarm(&self) -> Swarm {
        self.swarm.lock().clone()
    }

    /// Ends all faults.
    pub(crate) fn calm_down(&self) {
        let mut swarm = self.swarm.lock();
        *swarm = swarm.calm();
    }

    /// Writes an event down: two runs of one seed have the same.
    pub(crate) fn log(&self, event: impl FnOnce() -> String) {
        let event = event();
        let mut log = self.log.lock();
        let at = self.began.elapsed();
        log.hash.write_u128(at.as_micros());
        log.hash.write(event.as_bytes());
        log.events += 1;
        if let Some(lines) = &mut log.lines {
            lines.push(format!("{:>12.6} {event}", at.as_secs_f64()));
        }
    }

    /// The hash of all events, and how many.
    pub(crate) fn log_hash(&self) -> (u64, u64) {
        let log = self.log.lock();
        (log.hash.finish(), log.events)
    }

    /// The log, if it was kept.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.log.lock().lines.clone().unwrap_or_default()
    }

    /// Something that must happen in some runs has happened.
    pub(crate) fn seen(&self, what: &'static str) {
        *self.counters.lock().entry(what).or_default() += 1;
    }

    /// How often what was seen.
    pub(crate) fn counters(&self) -> BTreeMap<&'static str, u64> {
        self.counters.lock().clone()
    }

    /// An invariant is broken.
    pub(crate) fn violated(&self, what: String) {
        self.log(|| format!("VIOLATION {what}"));
        self.violations.lock().push(what);
    }

    /// What was broken.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.lock().clone()
    }

    /// The store has accepted a saga: sagas are numbered in this order.
    pub(crate) fn accepted(&self, saga_id: &SagaId) {
        let mut order = self.order.lock();
        let next = order.len();
        order.entry(saga_id.clone()).or_insert(next);
    }

    /// The place of a saga among all that were accepted with their answers known.
    pub(crate) fn place(&self, saga_id: &SagaId) -> Option<usize> {
        self.order.lock().get(saga_id).copied()
    }
}
