//! The port, method by method.

use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::Digest;
use amends_core::participant::ParticipantSpec;
use amends_core::saga::{JournalFormat, Status};
use amends_core::{DefinitionName, LockKey, ParticipantName, SagaId, Timestamp};
use amends_ports::store::{
    Batch, CoordinatorId, DefinitionSummary, Error, InboxId, InboxItem, JournalPage, Lease,
    LockHolder, LockQueue, LockSummary, Member, NewDefinition, Partition, PutParticipant, SagaLock,
    StoredDefinition, StoredParticipant, StoredSaga, WriteError, Written,
};
use amends_ports::{Cursor, Page, SagaFilter, SagaSummary, Store};
use async_trait::async_trait;

use super::generation::Generation;
use super::guess::Guesses;
use super::load::InDoubt;
use super::pool::Pool;
use crate::version::Version;

/// All sagas in one PostgreSQL database, shared by any number of coordinators.
#[derive(Debug)]
pub struct PostgresStore {
    /// Batches. Its connections belong to the runtime that writes, whose reactor wakes it.
    pub(super) writes: Pool,
    /// Loads of sagas, and writes that are no batches.
    pub(super) hot: Pool,
    /// Lists, definitions, participants.
    pub(super) lists: Pool,
    /// Leases: never waits behind the others.
    pub(super) control: Pool,
    pub(super) generation: Arc<Generation>,
    pub(super) version: Version,
    pub(super) partitions: u16,
    pub(super) in_doubt: InDoubt,
    pub(super) guesses: Guesses,
}

#[async_trait]
impl Store for PostgresStore {
    async fn partitions(&self) -> Result<u16, Error> {
        Ok(self.partitions)
    }

    async fn heartbeat(
        &self,
        me: &CoordinatorId,
        address: &str,
        draining: bool,
        ttl: Duration,
    ) -> Result<(Vec<Member>, Vec<Lease>), Error> {
        self.heartbeat_of(me, address, draining, ttl).await
    }

    fn journal_format(&self) -> JournalFormat {
        self.version.in_force()
    }

    async fn acquire(
        &self,
        me: &CoordinatorId,
        limit: u16,
        ttl: Duration,
    ) -> Result<Vec<Lease>, Error> {
        self.acquire_for(me, limit, ttl).await
    }

    async fn raise_epochs(
        &self,
        me: &CoordinatorId,
        leases: &[Lease],
        ttl: Duration,
    ) -> Result<Vec<Lease>, Error> {
        self.raise(me, leases, ttl).await
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), Error> {
        self.give_back(leases).await
    }

    async fn leave(&self, me: &CoordinatorId) -> Result<(), Error> {
        self.forget(me).await
    }

    async fn write(&self, batch: &Batch) -> Result<Written, WriteError> {
        self.write_batch(batch).await
    }

    async fn recover(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: u16,
    ) -> Result<Vec<StoredSaga>, Error> {
        self.left_behind(lease, after, limit).await
    }

    async fn claim_due(&self, leases: &[Lease], limit: u16) -> Result<Vec<StoredSaga>, Error> {
        self.due(leases, limit).await
    }

    async fn claim_one(
        &self,
        leases: &[Lease],
        saga_id: &SagaId,
    ) -> Result<Option<StoredSaga>, Error> {
        self.parked(leases, saga_id).await
    }

    async fn saga(&self, saga_id: &SagaId) -> Result<Option<(SagaSummary, StoredSaga)>, Error> {
        self.whole(saga_id).await
    }

    async fn summary(&self, saga_id: &SagaId) -> Result<Option<(Partition, SagaSummary)>, Error> {
        self.summary_row(saga_id).await
    }

    async fn saga_of_key(&self, idempotency_key: &str) -> Result<Option<SagaId>, Error> {
        self.id_of_key(idempotency_key).await
    }

    async fn journal(
        &self,
        saga_id: &SagaId,
        from: u64,
        limit: u16,
    ) -> Result<Option<JournalPage>, Error> {
        self.journal_part(saga_id, from, limit).await
    }

    async fn sagas(
        &self,
        filter: &SagaFilter,
        after: Option<&Cursor>,
        limit: u16,
    ) -> Result<Page<SagaSummary>, Error> {
        self.page(filter, after, limit).await
    }

    async fn counts(&self, limit: u32) -> Result<Vec<(Status, u32)>, Error> {
        self.status_counts(limit).await
    }

    async fn delete_ended(&self, before: Timestamp, limit: u16) -> Result<u64, Error> {
        self.delete_before(before, limit).await
    }

    async fn locks(
        &self,
        prefix: Option<&str>,
        after: Option<&LockKey>,
        limit: u16,
    ) -> Result<Vec<LockSummary>, Error> {
        self.lock_list(prefix, after, limit).await
    }

    async fn lock(&self, key: &LockKey, limit: u16) -> Result<Option<LockQueue>, Error> {
        self.lock_queue(key, limit).await
    }

    async fn lock_places(&self, saga_id: &SagaId) -> Result<Vec<SagaLock>, Error> {
        self.places_of(saga_id).await
    }

    async fn lock_holders(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: u16,
    ) -> Result<Vec<LockHolder>, Error> {
        self.holders(lease, after, limit).await
    }

    async fn forget_idle_locks(&self, limit: u16) -> Result<u64, Error> {
        self.forget_idle(limit).await
    }

    async fn list_left_behind(&self, limit: u16) -> Result<u64, Error> {
        self.list_unlisted(limit).await
    }

    async fn post(&self, item: &InboxItem) -> Result<(), Error> {
        self.post_item(item).await
    }

    async fn inbox(&self, leases: &[Lease], limit: u16) -> Result<Vec<InboxItem>, Error> {
        self.open_items(leases, limit).await
    }

    async fn inbox_result(&self, id: &InboxId) -> Result<Option<String>, Error> {
        self.result_of(id).await
    }

    async fn put_definition(
        &self,
        definition: &NewDefinition,
    ) -> Result<(StoredDefinition, bool), Error> {
        self.keep_definition(definition).await
    }

    async fn definition(&self, digest: &Digest) -> Result<Option<StoredDefinition>, Error> {
        self.definition_with(digest).await
    }

    async fn definition_version(
        &self,
        name: &DefinitionName,
        version: Option<u32>,
    ) -> Result<Option<StoredDefinition>, Error> {
        self.definition_named(name, version).await
    }

    async fn definitions(
        &self,
        after: Option<&DefinitionName>,
        limit: u16,
    ) -> Result<Vec<DefinitionSummary>, Error> {
        self.definition_list(after, limit).await
    }

    async fn put_participant(
        &self,
        spec: &ParticipantSpec,
        expected_revision: Option<u64>,
        now: Timestamp,
    ) -> Result<PutParticipant, Error> {
        self.keep_participant(spec, expected_revision, now).await
    }

    async fn delete_participant(&self, name: &ParticipantName) -> Result<bool, Error> {
        self.drop_participant(name).await
    }

    async fn participants(&self) -> Result<Vec<StoredParticipant>, Error> {
        self.participant_list().await
    }

    async fn participants_revision(&self) -> Result<u64, Error> {
        self.revision_of_participants().await
    }

    async fn definitions_naming(
        &self,
        participant: &ParticipantName,
        limit: u16,
    ) -> Result<Vec<DefinitionName>, Error> {
        self.definitions_with(participant, limit).await
    }

    async fn secret(&self) -> Result<String, Error> {
        Ok(self.fact("secret").await?)
    }

    async fn ready(&self) -> Result<(), Error> {
        self.check_version().await
    }
}
