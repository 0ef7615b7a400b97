//! What the engine shows of sagas.

use std::sync::Arc;

use amends_core::saga::{Saga, Status};
use amends_core::{DefinitionName, SagaId, Timestamp};
use amends_ports::store::SagaLock;

/// One saga, whole.
#[derive(Clone, Debug)]
pub struct SagaDetail {
    /// Its state, at some durable moment.
    pub saga: Arc<Saga>,
    /// When its last fact became known.
    pub updated_at: Timestamp,
}

/// [`Saga::explain`], by one who also knows where the saga stands for its lock keys: one that has
/// its tickets and does not run waits for the guard on the lock service.
pub fn explain(saga: &Saga, places: &[SagaLock]) -> String {
    let has_tickets = !places.is_empty() && places.iter().all(|place| place.token.is_some());
    if saga.waits_for_lock() && has_tickets {
        return "It is its turn for its lock keys, and it waits for their guard on the lock service: \
                a writer that is no saga has one of them, or no majority of the masters can vote."
            .to_owned();
    }
    saga.explain()
}

/// Something about a saga has changed and is durable. A hint, not the truth: read the saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Which.
    pub saga_id: SagaId,
    /// Its definition.
    pub definition: DefinitionName,
    /// How many facts it has: later hints have more.
    pub fact_count: u64,
    /// Where it stands.
    pub status: Status,
}
