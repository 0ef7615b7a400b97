//! Coordinators: their lives, crashes and pauses.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use amends_core::definition::{Definition, Digest};
use amends_core::mutant::Mutant;
use amends_engine::{Engine, EngineConfig, NoTracing, Ports};
use amends_ports::Locks;
use amends_ports::testing::{MemoryLocks, MemoryStore, TestClock, TestIds};
use parking_lot::Mutex;

use crate::gate::{Gate, SimClock};
use crate::guards::SimLocks;
use crate::network::Network;
use crate::store::SimStore;
use crate::world::World;

/// Life of a guard.
const GUARD_TTL: Duration = Duration::from_secs(10);

/// The coordinators of a run.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) world: Arc<World>,
    pub(crate) store: MemoryStore,
    pub(crate) locks: Option<MemoryLocks>,
    /// Definitions that the auditor has read.
    pub(crate) compiled: Mutex<HashMap<Digest, Arc<Definition>>>,
    clock: TestClock,
    places: Mutex<Vec<Option<Life>>>,
    lives: AtomicU16,
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
        let has_locks = world.swarm().has_locks;
        let store = MemoryStore::new(16, Arc::new(clock));
        world.watch(store.link());
        world.books.lock().has_no_barrier = Mutant::NoBarrier.is_on();
        Arc::new(Self {
            world,
            store,
            locks: has_locks.then(|| MemoryLocks::new(3, GUARD_TTL)),
            compiled: Mutex::default(),
            clock,
            places: Mutex::new(vec![None; places]),
            lives: AtomicU16::new(0),
        })
    }

    /// How many places there are.
    pub(crate) fn size(&self) -> usize {
        self.places.lock().len()
    }

    /// Whether nobody is at a place.
    pub(crate) fn is_empty(&self, place: usize) -> bool {
        self.places.lock()[place].is_none()
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
            }),
            locks: locks.map(|locks| locks as Arc<dyn Locks>),
            participants: Arc::new(Network { gate: gate.clone(), world: Arc::clone(&self.world) }),
            clock: Arc::new(SimClock { gate: gate.clone(), clock: self.clock }),
            ids: Arc::new(TestIds::new(number)),
            tracing: Arc::new(NoTracing),
        };
        let config = EngineConfig {
            poll_every: Duration::from_millis(500),
            retention: None,
            ..EngineConfig::default()
        };
        loop {
            if gate.is_dead() {
                return;
            }
            if let Ok(engine) = Engine::start(ports.clone(), config.clone()).await {
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
    pub(crate) fn any(&self) -> Option<(Engine, Gate)> {
        let places = self.places.lock();
        let up: Vec<_> = places
            .iter()
            .flatten()
            .filter(|life| !life.gate.is_dead())
            .filter_map(|life| Some((life.engine.clone()?, life.gate.clone())))
            .collect();
        (!up.is_empty()).then(|| self.world.chance.one_of(&up).clone())
    }

    /// Kills the coordinator at a place.
    pub(crate) fn kill(&self, place: usize) {
        if let Some(life) = self.places.lock()[place].take() {
            self.world.log(|| format!("kill {place}"));
            self.world.seen("crash");
            life.gate.kill();
        }
    }

    /// Lets the coordinator at a place stand still, or go on.
    pub(crate) fn set_paused(&self, place: usize, paused: bool) {
        if let Some(life) = &self.places.lock()[place] {
            self.world.log(|| format!("pause {place} {paused}"));
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
            self.world.log(|| format!("cut {place} off from {masters} masters"));
            locks.locks.partition(masters);
        }
    }
}

/// Crashes and pauses coordinators, and troubles the lock service, until it is told to stop.
pub(crate) async fn trouble(cluster: Arc<Cluster>) {
    loop {
        let swarm = cluster.world.swarm();
        let chance = &cluster.world.chance;
        let mean = |every: Option<Duration>| every.unwrap_or(Duration::from_secs(5));
        tokio::time::sleep(chance.time(Duration::from_millis(200), mean(swarm.crash_every))).await;
        let place = chance.below(cluster.size());
        match chance.below(3) {
            0 if swarm.crash_every.is_some() => {
                cluster.kill(place);
                tokio::time::sleep(chance.time(Duration::ZERO, Duration::from_secs(15))).await;
                cluster.start(place).await;
            }
            1 if swarm.pause_every.is_some() => {
                cluster.set_paused(place, true);
                tokio::time::sleep(chance.time(Duration::ZERO, Duration::from_secs(25))).await;
                cluster.set_paused(place, false);
            }
            2 if swarm.lock_trouble_every.is_some() && cluster.locks.is_some() => {
                if chance.is(0.5) {
                    let masters = chance.below(4);
                    cluster.cut_off(place, masters);
                    tokio::time::sleep(chance.time(Duration::ZERO, Duration::from_secs(20))).await;
                    cluster.cut_off(place, 0);
                } else if let Some(locks) = &cluster.locks {
                    cluster.world.seen("master forgot");
                    locks.forget(chance.below(3));
                }
            }
            _ => {}
        }
    }
}
