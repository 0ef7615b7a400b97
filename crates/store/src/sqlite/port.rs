//! The port: each method is one of a family's, within the time-out.

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

use super::SqliteStore;
use super::failure::Failure;

impl SqliteStore {
    async fn in_time<T>(
        &self,
        method: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Error> {
        match tokio::time::timeout(self.options.timeout, method).await {
            Ok(result) => result.map_err(Error::from),
            Err(late) => Err(Error::Unavailable(late.into())),
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
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
        self.in_time(self.renew(me, address, draining, ttl)).await
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
        self.in_time(self.take(me, limit, ttl)).await
    }

    async fn raise_epochs(
        &self,
        me: &CoordinatorId,
        leases: &[Lease],
        ttl: Duration,
    ) -> Result<Vec<Lease>, Error> {
        self.in_time(self.raise(me, leases, ttl)).await
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), Error> {
        self.in_time(self.give_back(leases)).await
    }

    async fn leave(&self, me: &CoordinatorId) -> Result<(), Error> {
        self.in_time(self.forget(me)).await
    }

    async fn write(&self, batch: &Batch) -> Result<Written, WriteError> {
        // What runs out of time before its commit was sent is rolled back by the next writer; which
        // of the two it was is not known here.
        tokio::time::timeout(self.options.timeout, self.write_batch(batch))
            .await
            .unwrap_or_else(|late| Err(WriteError::OutcomeUnknown(late.into())))
    }

    async fn recover(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: u16,
    ) -> Result<Vec<StoredSaga>, Error> {
        self.in_time(self.in_memory(lease, after, limit)).await
    }

    async fn claim_due(&self, leases: &[Lease], limit: u16) -> Result<Vec<StoredSaga>, Error> {
        self.in_time(self.claim_what_is_due(leases, limit)).await
    }

    async fn claim_one(
        &self,
        leases: &[Lease],
        saga_id: &SagaId,
    ) -> Result<Option<StoredSaga>, Error> {
        self.in_time(self.claim_by_name(leases, saga_id)).await
    }

    async fn saga(&self, saga_id: &SagaId) -> Result<Option<(SagaSummary, StoredSaga)>, Error> {
        self.in_time(self.whole(saga_id)).await
    }

    async fn summary(&self, saga_id: &SagaId) -> Result<Option<(Partition, SagaSummary)>, Error> {
        self.in_time(self.row_of(saga_id)).await
    }

    async fn saga_of_key(&self, idempotency_key: &str) -> Result<Option<SagaId>, Error> {
        self.in_time(self.id_of_key(idempotency_key)).await
    }

    async fn journal(
        &self,
        saga_id: &SagaId,
        from: u64,
        limit: u16,
    ) -> Result<Option<JournalPage>, Error> {
        self.in_time(self.journal_page(saga_id, from, limit)).await
    }

    async fn sagas(
        &self,
        filter: &SagaFilter,
        after: Option<&Cursor>,
        limit: u16,
    ) -> Result<Page<SagaSummary>, Error> {
        self.in_time(self.page(filter, after, limit)).await
    }

    async fn counts(&self, limit: u32) -> Result<Vec<(Status, u32)>, Error> {
        self.in_time(self.count_each(limit)).await
    }

    async fn delete_ended(&self, before: Timestamp, limit: u16) -> Result<u64, Error> {
        self.in_time(self.delete(before, limit)).await
    }

    async fn locks(
        &self,
        prefix: Option<&str>,
        after: Option<&LockKey>,
        limit: u16,
    ) -> Result<Vec<LockSummary>, Error> {
        self.in_time(self.lock_list(prefix, after, limit)).await
    }

    async fn lock(&self, key: &LockKey, limit: u16) -> Result<Option<LockQueue>, Error> {
        self.in_time(self.lock_queue(key, limit)).await
    }

    async fn lock_places(&self, saga_id: &SagaId) -> Result<Vec<SagaLock>, Error> {
        self.in_time(self.places_of(saga_id)).await
    }

    async fn lock_holders(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: u16,
    ) -> Result<Vec<LockHolder>, Error> {
        self.in_time(self.holders(lease, after, limit)).await
    }

    /// Nothing is kept for a key without tickets: one counter serves the tokens of all.
    async fn forget_idle_locks(&self, _limit: u16) -> Result<u64, Error> {
        Ok(0)
    }

    async fn post(&self, item: &InboxItem) -> Result<(), Error> {
        self.in_time(self.post_item(item)).await
    }

    async fn inbox(&self, leases: &[Lease], limit: u16) -> Result<Vec<InboxItem>, Error> {
        self.in_time(self.open_items(leases, limit)).await
    }

    async fn inbox_result(&self, id: &InboxId) -> Result<Option<String>, Error> {
        self.in_time(self.answer_of(id)).await
    }

    async fn put_definition(
        &self,
        definition: &NewDefinition,
    ) -> Result<(StoredDefinition, bool), Error> {
        self.in_time(self.store_definition(definition)).await
    }

    async fn definition(&self, digest: &Digest) -> Result<Option<StoredDefinition>, Error> {
        self.in_time(self.definition_by_digest(digest)).await
    }

    async fn definition_version(
        &self,
        name: &DefinitionName,
        version: Option<u32>,
    ) -> Result<Option<StoredDefinition>, Error> {
        self.in_time(self.definition_by_version(name, version)).await
    }

    async fn definitions(
        &self,
        after: Option<&DefinitionName>,
        limit: u16,
    ) -> Result<Vec<DefinitionSummary>, Error> {
        self.in_time(self.newest_definitions(after, limit)).await
    }

    async fn put_participant(
        &self,
        spec: &ParticipantSpec,
        expected_revision: Option<u64>,
        now: Timestamp,
    ) -> Result<PutParticipant, Error> {
        self.in_time(self.store_participant(spec, expected_revision, now)).await
    }

    async fn delete_participant(&self, name: &ParticipantName) -> Result<bool, Error> {
        self.in_time(self.forget_participant(name)).await
    }

    async fn participants(&self) -> Result<Vec<StoredParticipant>, Error> {
        self.in_time(self.all_participants()).await
    }

    async fn participants_revision(&self) -> Result<u64, Error> {
        self.in_time(self.last_change_of_participants()).await
    }

    async fn definitions_naming(
        &self,
        participant: &ParticipantName,
        limit: u16,
    ) -> Result<Vec<DefinitionName>, Error> {
        self.in_time(self.names_naming(participant, limit)).await
    }

    async fn secret(&self) -> Result<String, Error> {
        Ok(self.secret.clone())
    }

    async fn ready(&self) -> Result<(), Error> {
        self.in_time(self.last_change_of_participants()).await.map(drop)
    }
}
