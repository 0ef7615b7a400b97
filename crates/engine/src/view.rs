//! What the engine shows of sagas.

use std::sync::Arc;

use amends_core::saga::{Saga, Status};
use amends_core::{DefinitionName, SagaId, Timestamp};

/// One saga, whole.
#[derive(Clone, Debug)]
pub struct SagaDetail {
    /// Its state, at some durable moment.
    pub saga: Arc<Saga>,
    /// When its last fact became known.
    pub updated_at: Timestamp,
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
