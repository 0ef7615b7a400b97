//! One run: chaos, then calm, then the audit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amends_core::SagaId;
use amends_core::definition::{Definition, Digest};
use amends_core::saga::Saga;
use amends_ports::store::{NewDefinition, StoredSaga};
use amends_ports::testing::MemoryLocks;
use amends_ports::{SagaFilter, Store};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::audit::{self, Ended};
use crate::chance::Chance;
use crate::client::{Client, Known, mend, needs_operator, resume};
use crate::cluster::{Cluster, GUARD_TTL};
use crate::swarm::{Limits, Swarm};
use crate::world::World;
use crate::{plan, trouble};

/// In the calm every saga must end within this.
const CALM_MAX: Duration = Duration::from_mins(30);

/// Time between two looks in the calm.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Time between two looks of a coordinator at who lives, and some more for its answers.
const TAKEOVER_SLACK: Duration = Duration::from_secs(2);

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// What it was drawn from.
    pub seed: u64,
    /// Sagas that were accepted.
    pub sagas: usize,
    /// Of all events: the same for the same seed.
    pub hash: u64,
    /// How many events.
    pub events: u64,
    /// Invariants that were broken.
    pub violations: Vec<String>,
    /// What was seen, how often.
    pub counters: BTreeMap<&'static str, u64>,
    /// The log, if it was kept.
    pub lines: Vec<String>,
    /// How many clients there were.
    pub clients: usize,
}

/// Runs one seed, without what is left out; keeps its log if it is to be shown.
///
/// # Errors
///
/// None of the simulation's own: only if no runtime can be made.
pub fn run(seed: u64, limits: &Limits, shows: bool) -> anyhow::Result<Report> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let local = tokio::task::LocalSet::new();
    Ok(local.block_on(&runtime, play(seed, limits, shows)))
}

async fn play(seed: u64, limits: &Limits, shows: bool) -> Report {
    let chance = Chance::new(seed);
    let swarm = Swarm::draw(&chance).within(limits);
    let definitions: Arc<[Arc<Definition>]> = plan::definitions(&chance.of(2), 12).into();
    let world = Arc::new(World::new(chance.of(1), swarm.clone(), shows));
    world.show(|| format!("{swarm:?}"));
    let cluster = Cluster::new(Arc::clone(&world), swarm.coordinators);
    store_all(&cluster, &definitions).await;
    for place in 0..swarm.coordinators {
        cluster.start(place).await;
    }
    let mut clients = JoinSet::new();
    let all = (0..swarm.sagas).collect();
    for number in limits.clients.as_ref().unwrap_or(&all) {
        let (cluster, definitions) = (Arc::clone(&cluster), Arc::clone(&definitions));
        clients.spawn_local(Client::new(&cluster, *number).come(definitions));
    }
    let mut troubles = trouble::begin(&cluster);
    tokio::time::sleep(swarm.chaos).await;
    troubles.shutdown().await;
    calm_down(&cluster).await;

    let mut known: Vec<Known> = Vec::new();
    let calm = timeout(CALM_MAX, async {
        while let Some(client) = clients.join_next().await {
            known.extend(client.ok());
        }
        until_all_ended(&cluster).await;
    });
    if calm.await.is_err() {
        tell_open(&cluster).await;
    } else {
        nothing_is_left(&cluster).await;
    }
    let sagas = read(&cluster, &SagaFilter::default()).await;
    audit::audit(&world, &sagas, &known);
    let (hash, events) = world.log_hash();
    Report {
        seed,
        sagas: world.watch(|watch| watch.sagas().len()),
        hash,
        events,
        violations: world.violations(),
        counters: world.counters(),
        lines: world.lines(),
        clients: swarm.sagas,
    }
}

async fn store_all(cluster: &Cluster, definitions: &[Arc<Definition>]) {
    cluster.world.watch(|watch| watch.knows(&plan::interactive()));
    for definition in definitions {
        cluster.world.watch(|watch| watch.knows(definition));
        let new = NewDefinition {
            name: definition.name.clone(),
            digest: definition.digest.clone(),
            source: definition.source.clone(),
            participants: Vec::new(),
            ad_hoc: false,
            created_at: amends_ports::testing::TestClock::ORIGIN,
        };
        let _ = cluster.store.put_definition(&new).await;
    }
}

/// Ends all faults, and lets every coordinator run again. One of them dies once more, and others
/// must have taken its partitions within a lease and a look (L2).
async fn calm_down(cluster: &Arc<Cluster>) {
    let world = &cluster.world;
    world.log("calm");
    world.calm_down();
    for place in 0..cluster.size() {
        cluster.set_paused(place, false);
        cluster.cut_off(place, 0);
        cluster.clear_away(place);
        if cluster.is_empty(place) {
            cluster.start(place).await;
        }
    }
    if let Some(locks) = &cluster.locks {
        for key in plan::keys() {
            locks.take_away(&key);
        }
    }
    if cluster.size() < 2 || !world.chance.is(0.3) {
        return;
    }
    tokio::time::sleep(LOOK_EVERY).await;
    let before = world.watch(|watch| watch.leases.newest());
    cluster.kill(0);
    tokio::time::sleep(cluster.lease_ttl() + TAKEOVER_SLACK).await;
    let after = world.watch(|watch| watch.leases.newest());
    world.seen("taken over in the calm");
    if before == after && cluster.size() <= before.len() {
        world.violated("L2: nobody took a partition over whose owner has died");
    }
    cluster.start(0).await;
}

/// Mends what is suspended, until everything has ended.
async fn until_all_ended(cluster: &Cluster) {
    loop {
        let open = open_sagas(cluster).await;
        if open.is_empty() {
            return;
        }
        for saga in open.iter().filter(|saga| saga.is_paused()) {
            resume(cluster, saga).await;
        }
        for saga in open.iter().filter(|saga| needs_operator(saga)) {
            mend(cluster, saga).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// S18: of guards nothing is left, after the time that an outsider would wait for them.
async fn nothing_is_left(cluster: &Cluster) {
    let Some(locks) = cluster.locks.as_ref().map(MemoryLocks::peer) else { return };
    tokio::time::sleep(GUARD_TTL * 2).await;
    for key in plan::keys() {
        if let Some(holder) = locks.holder(&key).filter(|holder| holder.contains('/')) {
            cluster.world.violated(&format!("S18: {key} is still guarded by {holder}"));
        }
    }
}

async fn tell_open(cluster: &Cluster) {
    let world = &cluster.world;
    let open = open_sagas(cluster).await;
    for saga in open.iter().take(20) {
        world.violated(&format!("L1: {} did not end: {}", saga.id(), saga.explain()));
        let row = cluster.store.summary(saga.id()).await;
        world.show(|| format!("{row:?}"));
        for key in &saga.accepted().lock_keys {
            let queue = cluster.store.lock(key, 5).await;
            world.show(|| format!("{queue:?}"));
            if let Some(locks) = &cluster.locks {
                world.show(|| format!("guard of {key}: {:?}", locks.holder(key)));
            }
        }
        if let Some(ended) = one(cluster, saga.id()).await {
            audit::tell(world, &ended);
        }
    }
    if open.is_empty() {
        world.violated("L1: a client was never answered");
    }
}

async fn open_sagas(cluster: &Cluster) -> Vec<Saga> {
    let live = [
        amends_core::saga::Status::Queued,
        amends_core::saga::Status::Running,
        amends_core::saga::Status::Confirming,
        amends_core::saga::Status::Compensating,
        amends_core::saga::Status::Suspended,
    ];
    let filter = SagaFilter { statuses: live.to_vec(), ..SagaFilter::default() };
    read(cluster, &filter).await.into_iter().map(|ended| ended.saga).collect()
}

async fn read(cluster: &Cluster, filter: &SagaFilter) -> Vec<Ended> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let Ok(page) = cluster.store.sagas(filter, after.as_ref(), 500).await else { return found };
        for summary in &page.items {
            found.extend(one(cluster, &summary.saga_id).await);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

async fn one(cluster: &Cluster, id: &SagaId) -> Option<Ended> {
    let (summary, StoredSaga { definition, records, .. }) =
        cluster.store.saga(id).await.ok().flatten()?;
    let definition = compiled(cluster, &definition)?;
    match Saga::replay(definition, &records) {
        Ok(saga) => Some(Ended { saga, records, row_status: summary.status }),
        Err(error) => {
            cluster.world.violated(&format!("S2: the journal of {id} cannot be folded: {error}"));
            None
        }
    }
}

fn compiled(cluster: &Cluster, digest: &Digest) -> Option<Arc<Definition>> {
    cluster.world.watch(|watch| watch.definition(digest))
}
