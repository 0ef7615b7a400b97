//! One run: chaos, then calm, then the audit.

use std::sync::Arc;
use std::time::Duration;

use amends_core::SagaId;
use amends_core::definition::{Definition, Digest};
use amends_core::saga::{Command, Saga};
use amends_ports::store::{NewDefinition, StoredSaga};
use amends_ports::{SagaFilter, Store};

use crate::audit::{Ended, audit};
use crate::chance::Chance;
use crate::client::{self, Known};
use crate::cluster::{Cluster, trouble};
use crate::plan;
use crate::swarm::Swarm;
use crate::world::World;

/// In the calm every saga must end within this.
const CALM_MAX: Duration = Duration::from_mins(30);

/// Time between two looks in the calm.
const LOOK_EVERY: Duration = Duration::from_secs(5);

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
    pub counters: std::collections::BTreeMap<&'static str, u64>,
    /// The log, if it was kept.
    pub lines: Vec<String>,
}

/// Runs one seed.
///
/// # Errors
///
/// None of the simulation's own: only if no runtime can be made.
pub fn run(seed: u64, shows: bool) -> anyhow::Result<Report> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let local = tokio::task::LocalSet::new();
    Ok(local.block_on(&runtime, play(seed, shows)))
}

async fn play(seed: u64, shows: bool) -> Report {
    let chance = Chance::new(seed);
    let swarm = Swarm::draw(&chance);
    let world = Arc::new(World::new(chance.clone(), swarm.clone(), shows));
    world.log(|| format!("{swarm:?}"));
    let definitions = plan::definitions(&chance, 12);
    let cluster = Cluster::new(Arc::clone(&world), swarm.coordinators);
    store_all(&cluster, &definitions).await;
    for place in 0..swarm.coordinators {
        cluster.start(place).await;
    }
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..swarm.sagas {
        let (cluster, world) = (Arc::clone(&cluster), Arc::clone(&world));
        let definition = Arc::clone(chance.one_of(&definitions));
        let wait = chance.time(Duration::ZERO, swarm.chaos);
        let is_transaction = chance.is(0.15);
        clients.spawn_local(async move {
            tokio::time::sleep(wait).await;
            world.log(|| format!("client {number} begins"));
            if is_transaction {
                client::run_transaction(cluster, number).await
            } else {
                client::run_saga(cluster, definition, number).await
            }
        });
    }
    let mut troubles = tokio::task::JoinSet::new();
    troubles.spawn(trouble(Arc::clone(&cluster)));
    tokio::time::sleep(swarm.chaos).await;

    troubles.shutdown().await;
    world.log(|| "calm".to_owned());
    world.calm_down();
    for place in 0..cluster.size() {
        cluster.set_paused(place, false);
        cluster.cut_off(place, 0);
        if cluster.is_empty(place) {
            cluster.start(place).await;
        }
    }
    let mut known: Vec<Known> = Vec::new();
    let is_calm = tokio::time::timeout(CALM_MAX, async {
        while let Some(client) = clients.join_next().await {
            known.extend(client.ok());
        }
        until_all_ended(&cluster).await;
    })
    .await;
    if is_calm.is_err() {
        let open = open_sagas(&cluster).await;
        for saga in open.iter().take(20) {
            world.violated(format!("{} did not end: {}", saga.id(), saga.explain()));
            let row = cluster.store.summary(saga.id()).await;
            world.log(|| format!("{row:?}"));
            for key in &saga.accepted().lock_keys {
                let queue = cluster.store.lock(key, 5).await;
                world.log(|| format!("{queue:?}"));
                if let Some(locks) = &cluster.locks {
                    world.log(|| format!("guard of {key}: {:?}", locks.holder(key)));
                }
            }
            if let Some(ended) = one(&cluster, saga.id()).await {
                for record in ended.records {
                    world.log(|| serde_json::to_string(&record).unwrap_or_default());
                }
            }
        }
        if open.is_empty() {
            world.violated("a client was never answered".to_owned());
        }
    }
    let sagas = all_sagas(&cluster).await;
    audit(&world, &sagas, &known);
    let (hash, events) = world.log_hash();
    Report {
        seed,
        sagas: sagas.len(),
        hash,
        events,
        violations: world.violations(),
        counters: world.counters(),
        lines: world.lines(),
    }
}

async fn store_all(cluster: &Cluster, definitions: &[Arc<Definition>]) {
    for definition in definitions {
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

/// Mends what is suspended, until everything has ended.
async fn until_all_ended(cluster: &Cluster) {
    loop {
        let open = open_sagas(cluster).await;
        if open.is_empty() {
            return;
        }
        // A pause whose answer was lost may be carried out after the resume that followed it.
        for saga in open.iter().filter(|saga| saga.is_paused()) {
            client::ask(cluster, saga.id(), &Command::Resume).await;
        }
        for saga in open.iter().filter(|saga| client::needs_operator(saga)) {
            cluster.world.seen("suspended");
            client::mend(cluster, saga).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
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

async fn all_sagas(cluster: &Cluster) -> Vec<Ended> {
    read(cluster, &SagaFilter::default()).await
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
    let definition = compiled(cluster, &definition).await?;
    match Saga::replay(definition, &records) {
        Ok(saga) => Some(Ended { saga, records, row_status: summary.status }),
        Err(error) => {
            cluster.world.violated(format!("the journal of {id} cannot be folded: {error}"));
            None
        }
    }
}

async fn compiled(cluster: &Cluster, digest: &Digest) -> Option<Arc<Definition>> {
    if let Some(definition) = cluster.compiled.lock().get(digest) {
        return Some(Arc::clone(definition));
    }
    let stored = cluster.store.definition(digest).await.ok().flatten()?;
    let registry = amends_core::definition::Registry::default();
    let definition =
        amends_core::definition::parse(stored.source.value(), &registry).definition?;
    cluster.compiled.lock().insert(digest.clone(), Arc::clone(&definition));
    Some(definition)
}
