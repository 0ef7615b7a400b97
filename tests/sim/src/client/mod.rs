//! Clients and operators: they submit, repeat, look, and meddle.

mod ask;
mod look;
mod operator;
mod saga;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use amends_core::SagaId;
use amends_core::definition::Definition;
use amends_core::saga::{Actor, Decision};

use crate::chance::Chance;
use crate::cluster::Cluster;
use crate::world::World;

pub(crate) use operator::{mend, needs_operator, resume};

/// How long a client waits for one answer.
const PATIENCE: Duration = Duration::from_secs(8);

/// What a client knows at the end.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Its saga, once that was acknowledged.
    pub(crate) saga_id: Option<SagaId>,
    /// The decision that it was told.
    pub(crate) told: Option<Decision>,
    /// Whether it said itself that all its own calls have had their effects.
    pub(crate) all_done: bool,
}

/// One client.
pub(crate) struct Client {
    cluster: Arc<Cluster>,
    chance: Chance,
    number: usize,
    /// It does not ask any more after so long: nobody knows a request for ever.
    gives_up_after: Option<Duration>,
}

impl Client {
    pub(crate) fn new(cluster: &Arc<Cluster>, number: usize) -> Self {
        let chance = cluster.world.chance.of(10_000 + number as u64);
        // Where ended sagas are deleted, a repetition that comes later is a request of its own.
        let gives_up_after = cluster.world.swarm().retention.map(|retention| retention / 2);
        Self { cluster: Arc::clone(cluster), chance, number, gives_up_after }
    }

    fn world(&self) -> &World {
        &self.cluster.world
    }

    /// Comes at its time, does what it came for, and says what it knows.
    pub(crate) async fn come(self, definitions: Arc<[Arc<Definition>]>) -> Known {
        let chaos = self.world().swarm().chaos;
        tokio::time::sleep(self.chance.time(Duration::ZERO, chaos)).await;
        self.world().log(("comes", self.number));
        if self.chance.is(0.2) {
            self.run_transaction(&definitions).await
        } else {
            let definition = Arc::clone(self.chance.one_of(&definitions));
            self.run_saga(definition).await
        }
    }
}

fn by() -> Actor {
    Actor { name: "sim".to_owned(), reason: "so it was drawn".to_owned() }
}
