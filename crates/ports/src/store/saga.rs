//! Sagas and inbox items as they are read back.

use amends_core::definition::Digest;
use amends_core::saga::Record;
use amends_core::{SagaId, Timestamp};

use super::Partition;

/// A saga as its journal tells it.
#[derive(Clone, Debug)]
pub struct StoredSaga {
    /// Its id.
    pub saga_id: SagaId,
    /// Its partition.
    pub partition: Partition,
    /// Identity of its definition's content.
    pub definition: Digest,
    /// All its facts, in order, without a gap, from number 0.
    pub records: Vec<Record>,
}

/// A part of a journal.
#[derive(Clone, Debug)]
pub struct JournalPage {
    /// Number of the first fact here.
    pub from: u64,
    /// The facts.
    pub records: Vec<Record>,
    /// Whether there are more.
    pub more: bool,
}

/// Names an inbox item; made by the one who posts it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InboxId(pub String);

/// A command or completion for a saga that another coordinator drives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxItem {
    /// Its id.
    pub id: InboxId,
    /// The saga's partition.
    pub partition: Partition,
    /// The saga.
    pub saga_id: SagaId,
    /// What is asked, as JSON of the engine's own.
    pub message: String,
    /// When it was posted.
    pub posted_at: Timestamp,
}
