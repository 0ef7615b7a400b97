//! The tables.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use amends_core::definition::Digest;
use amends_core::saga::{Record, Token};
use amends_core::{DefinitionName, LockKey, ParticipantName, SagaId, Timestamp};

use super::watcher::Watcher;
use crate::SagaSummary;
use crate::store::{
    Batch, CoordinatorId, Header, InboxId, InboxItem, NewDefinition, Partition, StoredDefinition,
    StoredParticipant, StoredSaga,
};

/// Everything the store keeps.
pub(super) struct State {
    pub(super) leases: Vec<LeaseRow>,
    pub(super) members: BTreeMap<CoordinatorId, MemberRow>,
    pub(super) sagas: BTreeMap<SagaId, SagaRow>,
    /// Sagas that have not ended.
    pub(super) live: BTreeSet<SagaId>,
    pub(super) idempotency: HashMap<String, SagaId>,
    /// Tickets of each lock key by position: the first one holds or may have the key.
    pub(super) queues: BTreeMap<LockKey, BTreeMap<u64, SagaId>>,
    /// Last position and last token given; one counter serves both, for all keys.
    pub(super) counter: u64,
    pub(super) inbox: Vec<InboxRow>,
    pub(super) definitions: HashMap<Digest, DefinitionRow>,
    pub(super) participants: BTreeMap<ParticipantName, StoredParticipant>,
    pub(super) participants_revision: u64,
    pub(super) batches_written: u64,
    /// Batches whose transaction is still open though its answer was lost.
    pub(super) late: Vec<Batch>,
    /// Tokens that a planted fault gives once more.
    pub(super) kept: BTreeMap<SagaId, Vec<Token>>,
    /// Sees every change.
    pub(super) watcher: Option<Watcher>,
}

pub(super) struct LeaseRow {
    pub(super) epoch: u64,
    pub(super) owner: Option<CoordinatorId>,
    pub(super) expires_at: Timestamp,
}

pub(super) struct MemberRow {
    pub(super) address: String,
    pub(super) draining: bool,
    pub(super) expires_at: Timestamp,
}

pub(super) struct SagaRow {
    pub(super) partition: Partition,
    pub(super) definition: Digest,
    pub(super) definition_name: DefinitionName,
    pub(super) definition_version: Option<u32>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) lock_keys: Vec<LockKey>,
    /// Its tickets; none when they are given back or it has no keys.
    pub(super) ticket: Option<Ticket>,
    pub(super) idempotency_key: Option<String>,
    pub(super) request_digest: String,
    pub(super) created_at: Timestamp,
    pub(super) header: Header,
    pub(super) records: Vec<Record>,
}

/// All tickets of one saga.
pub(super) struct Ticket {
    pub(super) position: u64,
    /// One a key, in order; empty while it waits.
    pub(super) tokens: Vec<Token>,
    pub(super) taken_at: Timestamp,
}

pub(super) struct InboxRow {
    pub(super) item: InboxItem,
    pub(super) result: Option<String>,
}

pub(super) struct DefinitionRow {
    pub(super) stored: StoredDefinition,
    pub(super) participants: Vec<ParticipantName>,
}

impl State {
    pub(super) fn new(partitions: u16) -> Self {
        let free = |_| LeaseRow { epoch: 0, owner: None, expires_at: Timestamp(i64::MIN) };
        Self {
            leases: (0..partitions).map(free).collect(),
            members: BTreeMap::new(),
            sagas: BTreeMap::new(),
            live: BTreeSet::new(),
            idempotency: HashMap::new(),
            queues: BTreeMap::new(),
            counter: 0,
            inbox: Vec::new(),
            definitions: HashMap::new(),
            participants: BTreeMap::new(),
            participants_revision: 0,
            batches_written: 0,
            late: Vec::new(),
            kept: BTreeMap::new(),
            watcher: None,
        }
    }

    /// A number that was never given before, greater than all that were.
    pub(super) fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(super) fn inbox_row(&mut self, id: &InboxId) -> Option<&mut InboxRow> {
        self.inbox.iter_mut().find(|row| row.item.id == *id)
    }
}

impl SagaRow {
    pub(super) fn stored(&self, saga_id: &SagaId) -> StoredSaga {
        StoredSaga {
            saga_id: saga_id.clone(),
            partition: self.partition,
            definition: self.definition.clone(),
            records: self.records.clone(),
        }
    }

    pub(super) fn summary(&self, saga_id: &SagaId) -> SagaSummary {
        SagaSummary {
            saga_id: saga_id.clone(),
            definition: self.definition_name.clone(),
            version: self.definition_version,
            status: self.header.status,
            paused: self.header.paused,
            step: self.header.step.clone(),
            reason: self.header.reason.clone(),
            labels: self.labels.clone(),
            lock_keys: self.lock_keys.clone(),
            created_at: self.created_at,
            updated_at: self.header.updated_at,
            ended_at: self.header.ended_at,
        }
    }
}

impl DefinitionRow {
    pub(super) fn new(definition: &NewDefinition, version: Option<u32>) -> Self {
        Self {
            stored: StoredDefinition {
                name: definition.name.clone(),
                version,
                digest: definition.digest.clone(),
                source: definition.source.clone(),
                created_at: definition.created_at,
            },
            participants: definition.participants.clone(),
        }
    }
}
