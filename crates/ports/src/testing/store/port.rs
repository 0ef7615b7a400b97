//! The port: each method is one locked look at the tables.

use std::time::Duration;

use amends_core::definition::Digest;
use amends_core::participant::ParticipantSpec;
use amends_core::saga::Status;
use amends_core::{DefinitionName, LockKey, ParticipantName, SagaId, Timestamp};
use async_trait::async_trait;
use parking_lot::MutexGuard;

use super::MemoryStore;
use super::fault::{Fault, answer_lost, down, write_unavailable};
use super::state::{InboxRow, State};
use crate::store::{
    Batch, CoordinatorId, DefinitionSummary, Error, InboxId, InboxItem, JournalPage, Lease,
    LockHolder, LockQueue, LockSummary, Member, NewDefinition, Partition, PutParticipant, SagaLock,
    StoredDefinition, StoredParticipant, StoredSaga, WriteError, Written,
};
use crate::{Cursor, Page, SagaFilter, SagaSummary, Store};

impl MemoryStore {
    /// The tables, unless the link is down.
    fn up(&self) -> Result<MutexGuard<'_, State>, Error> {
        if self.faults.lock().down { Err(down()) } else { Ok(self.state.lock()) }
    }

    /// Lets others run, as any real store would.
    async fn pace(&self) {
        let delay = self.faults.lock().write_delay;
        if delay.is_zero() {
            tokio::task::yield_now().await;
        } else {
            self.clock.sleep(delay).await;
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn partitions(&self) -> Result<u16, Error> {
        Ok(u16::try_from(self.up()?.leases.len()).unwrap_or(u16::MAX))
    }

    async fn heartbeat(
        &self,
        me: &CoordinatorId,
        address: &str,
        draining: bool,
        ttl: Duration,
    ) -> Result<(Vec<Member>, Vec<Lease>), Error> {
        Ok(self.up()?.heartbeat(me, address, draining, ttl, self.clock.now()))
    }

    async fn acquire(
        &self,
        me: &CoordinatorId,
        limit: u16,
        ttl: Duration,
    ) -> Result<Vec<Lease>, Error> {
        Ok(self.up()?.acquire(me, limit, ttl, self.clock.now()))
    }

    async fn raise_epochs(
        &self,
        me: &CoordinatorId,
        leases: &[Lease],
        ttl: Duration,
    ) -> Result<Vec<Lease>, Error> {
        Ok(self.up()?.raise_epochs(me, leases, ttl, self.clock.now()))
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), Error> {
        self.up()?.release(leases);
        Ok(())
    }

    async fn leave(&self, me: &CoordinatorId) -> Result<(), Error> {
        self.up()?.members.remove(me);
        Ok(())
    }

    async fn write(&self, batch: &Batch) -> Result<Written, WriteError> {
        self.pace().await;
        let fault = self.faults.lock().next(batch);
        let mut state = self.up().map_err(|error| WriteError::Unavailable(error.into()))?;
        let now = self.clock.now();
        match fault {
            None => state.write(batch, now),
            Some(Fault::Unavailable) => Err(write_unavailable()),
            Some(Fault::UnknownApplied) => {
                state.write(batch, now)?;
                Err(answer_lost())
            }
            Some(Fault::UnknownNotApplied) => Err(answer_lost()),
            Some(Fault::UnknownLate) => {
                state.late.push(batch.clone());
                Err(answer_lost())
            }
        }
    }

    async fn recover(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: u16,
    ) -> Result<Vec<StoredSaga>, Error> {
        Ok(self.up()?.recover(lease, after, limit))
    }

    async fn claim_due(&self, leases: &[Lease], limit: u16) -> Result<Vec<StoredSaga>, Error> {
        let claimed = self.up()?.claim_due(leases, limit, self.clock.now());
        let delay = self.faults.lock().claim_delay;
        if !delay.is_zero() {
            self.clock.sleep(delay).await;
        }
        Ok(claimed)
    }

    async fn claim_one(
        &self,
        leases: &[Lease],
        saga_id: &SagaId,
    ) -> Result<Option<StoredSaga>, Error> {
        Ok(self.up()?.claim_one(leases, saga_id))
    }

    async fn saga(&self, saga_id: &SagaId) -> Result<Option<(SagaSummary, StoredSaga)>, Error> {
        let state = self.up()?;
        Ok(state.sagas.get(saga_id).map(|row| (row.summary(saga_id), row.stored(saga_id))))
    }

    async fn summary(&self, saga_id: &SagaId) -> Result<Option<(Partition, SagaSummary)>, Error> {
        let state = self.up()?;
        Ok(state.sagas.get(saga_id).map(|row| (row.partition, row.summary(saga_id))))
    }

    async fn saga_of_key(&self, idempotency_key: &str) -> Result<Option<SagaId>, Error> {
        Ok(self.up()?.idempotency.get(idempotency_key).cloned())
    }

    async fn journal(
        &self,
        saga_id: &SagaId,
        from: u64,
        limit: u16,
    ) -> Result<Option<JournalPage>, Error> {
        Ok(self.up()?.journal(saga_id, from, limit))
    }

    async fn sagas(
        &self,
        filter: &SagaFilter,
        after: Option<&Cursor>,
        limit: u16,
    ) -> Result<Page<SagaSummary>, Error> {
        Ok(self.up()?.list(filter, after, limit))
    }

    async fn counts(&self, limit: u32) -> Result<Vec<(Status, u32)>, Error> {
        Ok(self.up()?.counts(limit))
    }

    async fn delete_ended(&self, before: Timestamp, limit: u16) -> Result<u64, Error> {
        Ok(self.up()?.delete_ended(before, limit))
    }

    async fn locks(
        &self,
        prefix: Option<&str>,
        after: Option<&LockKey>,
        limit: u16,
    ) -> Result<Vec<LockSummary>, Error> {
        Ok(self.up()?.locks(prefix, after, limit))
    }

    async fn lock(&self, key: &LockKey, limit: u16) -> Result<Option<LockQueue>, Error> {
        Ok(self.up()?.lock(key, limit))
    }

    async fn lock_places(&self, saga_id: &SagaId) -> Result<Vec<SagaLock>, Error> {
        Ok(self.up()?.lock_places(saga_id))
    }

    async fn lock_holders(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: u16,
    ) -> Result<Vec<LockHolder>, Error> {
        Ok(self.up()?.lock_holders(lease, after, limit))
    }

    /// Nothing is kept for a key without tickets: one counter serves the tokens of all.
    async fn forget_idle_locks(&self, _limit: u16) -> Result<u64, Error> {
        self.up().map(|_| 0)
    }

    async fn post(&self, item: &InboxItem) -> Result<(), Error> {
        let mut state = self.up()?;
        if state.inbox_row(&item.id).is_none() {
            state.inbox.push(InboxRow { item: item.clone(), result: None });
        }
        Ok(())
    }

    async fn inbox(&self, leases: &[Lease], limit: u16) -> Result<Vec<InboxItem>, Error> {
        Ok(self.up()?.inbox(leases, limit))
    }

    async fn inbox_result(&self, id: &InboxId) -> Result<Option<String>, Error> {
        Ok(self.up()?.inbox_row(id).and_then(|row| row.result.clone()))
    }

    async fn put_definition(
        &self,
        definition: &NewDefinition,
    ) -> Result<(StoredDefinition, bool), Error> {
        Ok(self.up()?.put_definition(definition))
    }

    async fn definition(&self, digest: &Digest) -> Result<Option<StoredDefinition>, Error> {
        Ok(self.up()?.definitions.get(digest).map(|row| row.stored.clone()))
    }

    async fn definition_version(
        &self,
        name: &DefinitionName,
        version: Option<u32>,
    ) -> Result<Option<StoredDefinition>, Error> {
        Ok(self.up()?.definition_version(name, version))
    }

    async fn definitions(
        &self,
        after: Option<&DefinitionName>,
        limit: u16,
    ) -> Result<Vec<DefinitionSummary>, Error> {
        Ok(self.up()?.list_definitions(after, limit))
    }

    async fn put_participant(
        &self,
        spec: &ParticipantSpec,
        expected_revision: Option<u64>,
        now: Timestamp,
    ) -> Result<PutParticipant, Error> {
        Ok(self.up()?.put_participant(spec, expected_revision, now))
    }

    async fn delete_participant(&self, name: &ParticipantName) -> Result<bool, Error> {
        Ok(self.up()?.delete_participant(name))
    }

    async fn participants(&self) -> Result<Vec<StoredParticipant>, Error> {
        Ok(self.up()?.participants.values().cloned().collect())
    }

    async fn participants_revision(&self) -> Result<u64, Error> {
        Ok(self.up()?.participants_revision)
    }

    async fn definitions_naming(
        &self,
        participant: &ParticipantName,
        limit: u16,
    ) -> Result<Vec<DefinitionName>, Error> {
        Ok(self.up()?.definitions_naming(participant, limit))
    }

    async fn secret(&self) -> Result<String, Error> {
        drop(self.up()?);
        Ok("5ec7e7".repeat(11)[..64].to_owned())
    }

    async fn ready(&self) -> Result<(), Error> {
        self.up().map(drop)
    }
}
