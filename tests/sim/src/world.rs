//! What all lives of all coordinators share: chance, faults, the participants' books, the log.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{OnceLock, Weak};

use amends_core::saga::JournalFormat;
use amends_ports::OutgoingCall;
use amends_ports::store::{CoordinatorId, Lease, StoredSaga};
use amends_ports::testing::Change;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::books::Books;
use crate::chance::Chance;
use crate::cluster::Cluster;
use crate::swarm::Swarm;
use crate::watch::Watch;

/// The world of one run.
pub(crate) struct World {
    /// What the network, the store and the troubles draw.
    pub(crate) chance: Chance,
    /// What the participants have done.
    pub(crate) books: Mutex<Books>,
    /// Who judges every write and call.
    watch: Mutex<Watch>,
    cluster: OnceLock<Weak<Cluster>>,
    swarm: Mutex<Swarm>,
    log: Mutex<Log>,
    violations: Mutex<Vec<String>>,
    began: Instant,
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
            watch: Mutex::default(),
            cluster: OnceLock::new(),
            swarm: Mutex::new(swarm),
            log: Mutex::new(log),
            violations: Mutex::default(),
            began: Instant::now(),
        }
    }

    /// Who runs the coordinators.
    pub(crate) fn run_by(&self, cluster: Weak<Cluster>) {
        let _ = self.cluster.set(cluster);
    }

    /// Who runs the coordinators, while somebody does.
    pub(crate) fn cluster(&self) -> Option<std::sync::Arc<Cluster>> {
        self.cluster.get()?.upgrade()
    }

    /// Lets the watch look, and notes what it finds broken.
    pub(crate) fn watch<T>(&self, look: impl FnOnce(&mut Watch) -> T) -> T {
        let mut watch = self.watch.lock();
        let seen = look(&mut watch);
        let broken = watch.take_broken();
        drop(watch);
        for what in broken {
            self.violated(&what);
        }
        seen
    }

    /// The store has changed.
    pub(crate) fn changed(&self, change: &Change<'_>) {
        self.watch(|watch| match change {
            Change::Written(commit) => watch.written(commit),
            Change::Deleted(saga_id) => watch.deleted(saga_id),
        });
    }

    /// Somebody was given leases; they may never hear of it.
    pub(crate) fn gave(&self, owner: &CoordinatorId, leases: &[Lease]) {
        self.watch(|watch| watch.leases.given(owner, leases));
    }

    /// Somebody has read sagas to drive them.
    pub(crate) fn took(&self, found: &[StoredSaga], leases: &[Lease]) {
        self.watch(|watch| watch.taken(found, leases));
    }

    /// A call leaves.
    pub(crate) fn calls(&self, call: &OutgoingCall) {
        self.watch(|watch| watch.calls(call));
    }

    /// Lets somebody look into the participants' books, and notes what is broken then.
    pub(crate) fn books<T>(&self, look: impl FnOnce(&mut Books) -> T) -> T {
        let mut books = self.books.lock();
        let seen = look(&mut books);
        let broken = std::mem::take(&mut books.broken);
        drop(books);
        for what in broken {
            self.violated(&what);
        }
        seen
    }

    /// How often a fault happens now.
    pub(crate) fn rate(&self, rate: impl FnOnce(&Swarm) -> f64) -> f64 {
        rate(&self.swarm.lock())
    }

    /// What coordinators may tell one another.
    pub(crate) fn journal_format(&self) -> JournalFormat {
        self.swarm.lock().journal_format
    }

    /// Whether a fault of the network happens now.
    pub(crate) fn draws(&self, rate: impl FnOnce(&Swarm) -> f64) -> bool {
        self.chance.is(self.rate(rate))
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

    /// Writes an event down: two runs of one seed have the same. It is hashed as it is, and only
    /// made a text if somebody looks.
    pub(crate) fn log(&self, event: impl Hash + fmt::Debug) {
        let mut log = self.log.lock();
        let at = self.began.elapsed();
        log.hash.write_u128(at.as_micros());
        event.hash(&mut log.hash);
        log.events += 1;
        if let Some(lines) = &mut log.lines {
            lines.push(format!("{:>12.6} {event:?}", at.as_secs_f64()));
        }
    }

    /// Adds to the log that is shown, if somebody looks; nothing of it is hashed.
    pub(crate) fn show(&self, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.log.lock().lines {
            lines.push(format!("{:>12} {}", "", text()));
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
        self.watch.lock().see(what);
    }

    /// How often what was seen.
    pub(crate) fn counters(&self) -> BTreeMap<&'static str, u64> {
        self.watch.lock().seen.clone()
    }

    /// An invariant is broken.
    pub(crate) fn violated(&self, what: &str) {
        let at = self.began.elapsed().as_secs_f64();
        self.log(("VIOLATION", what));
        self.violations.lock().push(format!("at {at:.3}s: {what}"));
    }

    /// What was broken.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.lock().clone()
    }
}
