//! Coordinators: where they run, and how their lives begin and end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use amends_core::Timestamp;
use amends_core::mutant::Mutant;
use amends_engine::{Engine, EngineConfig, NoTracing, Ports};
use amends_ports::testing::{MemoryLocks, MemoryStore, TestClock, TestIds};
use amends_ports::{Clock as _, Locks};
use parking_lot::Mutex;

use crate::chance::Chance;
use crate::gate::{Gate, SimClock};
use crate::guards::SimLocks;
use crate::network::Network;
use crate::store::SimStore;
use crate::world::World;

/// Longest time that an orderly stop takes while nothing stands still.
const DRAIN_MAX: Duration = Duration::from_mins(2);

/// Life of a guard.
pub(crate) const GUARD_TTL: Duration = Duration::from_secs(10);

/// The coordinators of a run.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) world: Arc<World>,
    pub(crate) store: MemoryStore,
    pub(crate) locks: Option<MemoryLocks>,
    clock: TestClock,
    places: Mutex<Vec<Option<Life>>>,
    lives: AtomicU16,
    config: EngineConfig,
}

#[derive(Clone, Debug)]
struct Life {
    gate: Gate,
    engine: Option<Engine>,
    locks: Option<Arc<SimLocks>>,
}

impl Cluster {
    /// Places for coordinators, all empty.
    pub(crate) fn new(world: Arc<World>, places: usize) -> Arc<Self> {
        let clock = TestClock::new();
        let swarm = world.swarm();
        let store = MemoryStore::new(16, Arc::new(clock));
        let watched = Arc::clone(&world);
        store.watch(move |change| watched.changed(&change));
        world.books.lock().has_no_barrier = Mutant::NoBarrier.is_on();
        let cluster = Arc::new(Self {
            world,
            store,
            locks: swarm.has_locks.then(|| MemoryLocks::new(3, GUARD_TTL)),
            clock,
            places: Mutex::new(vec![None; places]),
            lives: AtomicU16::new(0),
            config: EngineConfig {
                poll_every: Duration::from_millis(500),
                park_after: swarm.park_after,
                retention: swarm.retention,
                ..EngineConfig::default()
            },
        });
        cluster.world.run_by(Arc::downgrade(&cluster));
        cluster
    }

    /// The time that everybody's clock shows.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How long a lease lives without renewal.
    pub(crate) const fn lease_ttl(&self) -> Duration {
        self.config.lease_ttl
    }

    /// How many places there are.
    pub(crate) fn size(&self) -> usize {
        self.places.lock().len()
    }

    /// Whether nobody is at a place.
    pub(crate) fn is_empty(&self, place: usize) -> bool {
        self.places.lock()[place].is_none()
    }

    /// Puts an end to a coordinator that is half started, or half stopped.
    pub(crate) fn clear_away(&self, place: usize) {
        let mut places = self.places.lock();
        let is_whole =
            |life: &&mut Life| life.engine.as_ref().is_some_and(|engine| !engine.is_draining());
        if let Some(life) = places[place].take_if(|life| !is_whole(&life)) {
            life.gate.kill();
        }
    }

    /// Starts a coordinator at a place.
    pub(crate) async fn start(self: &Arc<Self>, place: usize) {
        let gate = Gate::default();
        let locks = self.locks.as_ref().map(|locks| {
            let world = Arc::clone(&self.world);
            Arc::new(SimLocks { gate: gate.clone(), locks: locks.peer(), world })
        });
        let life = Life { gate: gate.clone(), engine: None, locks: locks.clone() };
        self.places.lock()[place] = Some(life);
        let number = self.lives.fetch_add(1, Ordering::Relaxed);
        let ports = Ports {
            store: Arc::new(SimStore {
                name: number,
                gate: gate.clone(),
                store: self.store.link(),
                world: Arc::clone(&self.world),
                chance: self.world.chance.of(1_000 + u64::from(number)),
            }),
            locks: locks.map(|locks| locks as Arc<dyn Locks>),
            participants: Arc::new(Network { gate: gate.clone(), world: Arc::clone(&self.world) }),
            clock: Arc::new(SimClock { gate: gate.clone(), clock: self.clock }),
            ids: Arc::new(TestIds::new(number)),
            tracing: Arc::new(NoTracing),
        };
        loop {
            if gate.is_dead() {
                return;
            }
            if let Ok(engine) = Engine::start(ports.clone(), self.config.clone()).await {
                let mut places = self.places.lock();
                if let Some(life) = places[place].as_mut().filter(|_| !gate.is_dead()) {
                    life.engine = Some(engine);
                }
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A coordinator that takes requests, and its gate.
    pub(crate) fn any(&self, chance: &Chance) -> Option<(Engine, Gate)> {
        let places = self.places.lock();
        let up: Vec<_> = places
            .iter()
            .flatten()
            .filter(|life| !life.gate.is_dead())
            .filter_map(|life| Some((life.engine.as_ref()?, &life.gate)))
            .collect();
        (!up.is_empty()).then(|| *chance.one_of(&up)).map(|(one, gate)| (one.clone(), gate.clone()))
    }

    /// Kills the coordinator at a place.
    pub(crate) fn kill(&self, place: usize) {
        if let Some(life) = self.places.lock()[place].take() {
            self.world.log(("kill", place));
            self.world.seen("crash");
            life.gate.kill();
        }
    }

    /// Stops the coordinator at a place in order.
    pub(crate) async fn drain(&self, place: usize) {
        let life = self.places.lock()[place].clone();
        let Some((Some(engine), gate)) = life.map(|life| (life.engine, life.gate)) else { return };
        self.world.log(("drain", place));
        if tokio::time::timeout(DRAIN_MAX, engine.drain()).await.is_err() && !gate.is_dead() {
            self.world.violated(&format!("the drain of coordinator {place} did not end"));
        }
        if gate.is_dead() {
            return;
        }
        gate.kill();
        self.world.seen("drain");
        self.places.lock()[place].take();
    }

    /// Lets the coordinator at a place stand still, or go on.
    pub(crate) fn set_paused(&self, place: usize, paused: bool) {
        if let Some(life) = &self.places.lock()[place] {
            self.world.log(("pause", place, paused));
            if paused {
                self.world.seen("pause");
                life.gate.pause();
            } else {
                life.gate.resume();
            }
        }
    }

    /// Cuts a coordinator off from so many lock masters.
    pub(crate) fn cut_off(&self, place: usize, masters: usize) {
        if let Some(locks) = self.places.lock()[place].as_ref().and_then(|life| life.locks.clone())
        {
            self.world.log(("cut off", place, masters));
            locks.locks.partition(masters);
        }
    }
}
