//! The store as one coordinator sees it: through its gate, with faults.

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
use amends_ports::testing::{Fault, MemoryStore};
use amends_ports::{Cursor, Page, SagaFilter, SagaSummary, Store};
use async_trait::async_trait;

use crate::chance::Chance;
use crate::gate::Gate;
use crate::world::World;

/// The store through one gate.
#[derive(Debug)]
pub(crate) struct SimStore {
    pub(crate) name: u16,
    pub(crate) gate: Gate,
    pub(crate) store: MemoryStore,
    pub(crate) world: Arc<World>,
    /// What is drawn here.
    pub(crate) chance: Chance,
}

impl SimStore {
    /// A read: it may fail.
    async fn read<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let look = async { if self.fails() { Err(lost()) } else { work.await } };
        self.gate.around(look).await
    }

    /// Anything else that changes something: it may fail, and may have happened all the same.
    async fn change<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let act = async {
            if !self.fails() {
                return work.await;
            }
            if self.chance.is(0.5) {
                self.world.seen("change unknown");
                work.await?;
            }
            Err(lost())
        };
        self.gate.around(act).await
    }

    fn fails(&self) -> bool {
        self.chance.is(self.world.rate(|swarm| swarm.read_faults))
    }

    /// What becomes of the next write, if it has a fault.
    fn draw_fault(&self) {
        if !self.chance.is(self.world.rate(|swarm| swarm.store_faults)) {
            return;
        }
        let faults = [
            Fault::Unavailable,
            Fault::UnknownApplied,
            Fault::UnknownNotApplied,
            Fault::UnknownLate,
        ];
        let fault = *self.chance.one_of(&faults);
        self.world.seen(match fault {
            Fault::Unavailable => "write failed",
            Fault::UnknownApplied => "commit unknown, applied",
            Fault::UnknownNotApplied => "commit unknown, not applied",
            Fault::UnknownLate => "commit unknown, still running",
        });
        self.store.fail_next_write(fault);
        if fault == Fault::UnknownLate {
            // It ends some time, if nobody who raises an epoch has waited for it until then.
            let (store, world) = (self.store.link(), Arc::clone(&self.world));
            let wait = self.chance.seconds(10);
            #[expect(clippy::disallowed_methods, reason = "the simulated store is nobody's task")]
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                if store.finish_late() > 0 {
                    world.seen("late commit");
                }
            });
        }
    }
}

fn lost() -> Error {
    Error::Unavailable("the simulated network lost it".into())
}

#[async_trait]
impl Store for SimStore {
    async fn write(&self, batch: &Batch) -> Result<Written, WriteError> {
        self.gate.pass().await;
        let least = Duration::from_millis(1);
        tokio::time::sleep(self.chance.time(least, least * 4)).await;
        if self.gate.is_dead() {
            std::future::pending::<()>().await;
        }
        self.draw_fault();
        let result = self.store.write(batch).await;
        self.world.log(("writes", self.name, batch.appends.len(), result.is_ok()));
        self.world.show(|| {
            let appends = batch.appends.iter();
            let ids: Vec<_> = appends
                .map(|append| format!("{} {}", append.saga_id, append.records))
                .chain(batch.accepts.iter().map(|new| format!("new {}", new.saga_id)))
                .collect();
            let error = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
            format!("{} under {:?} {ids:#?} {error}", self.name, batch.leases)
        });
        self.gate.pass().await;
        result
    }

    fn journal_format(&self) -> JournalFormat {
        self.world.journal_format()
    }

    async fn partitions(&self) -> Result<u16, Error> {
        self.gate.around(self.store.partitions()).await
    }

    async fn heartbeat(
        &self,
        me: &CoordinatorId,
        address: &str,
        draining: bool,
        ttl: Duration,
    ) -> Result<(Vec<Member>, Vec<Lease>), Error> {
        let told = self.change(self.store.heartbeat(me, address, draining, ttl)).await;
        if let Ok((_, leases)) = &told {
            self.world.watch(|watch| watch.leases.told(me, leases));
        }
        told
    }

    async fn acquire(
        &self,
        me: &CoordinatorId,
        limit: u16,
        ttl: Duration,
    ) -> Result<Vec<Lease>, Error> {
        self.change(async {
            let leases = self.store.acquire(me, limit, ttl).await?;
            self.world.gave(me, &leases);
            Ok(leases)
        })
        .await
    }

    async fn raise_epochs(
        &self,
        me: &CoordinatorId,
        leases: &[Lease],
        ttl: Duration,
    ) -> Result<Vec<Lease>, Error> {
        let raised = self
            .change(async {
                let leases = self.store.raise_epochs(me, leases, ttl).await?;
                self.world.gave(me, &leases);
                Ok(leases)
            })
            .await;
        self.world.log(("raises", self.name, leases.len(), raised.is_ok()));
        self.world.show(|| format!("{leases:?}: {raised:?}"));
        raised
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), Error> {
        self.change(self.store.release(leases)).await
    }

    async fn leave(&self, me: &CoordinatorId) -> Result<(), Error> {
        self.change(self.store.leave(me)).await
    }

    async fn recover(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: u16,
    ) -> Result<Vec<StoredSaga>, Error> {
        let found = self.read(self.store.recover(lease, after, limit)).await?;
        self.world.took(&found, &[lease]);
        for stored in &found {
            self.world.log(("recovers", self.name, &stored.saga_id, lease.epoch));
        }
        Ok(found)
    }

    async fn claim_due(&self, leases: &[Lease], limit: u16) -> Result<Vec<StoredSaga>, Error> {
        let found = self.change(self.store.claim_due(leases, limit)).await?;
        self.world.took(&found, leases);
        Ok(found)
    }

    async fn claim_one(
        &self,
        leases: &[Lease],
        saga_id: &SagaId,
    ) -> Result<Option<StoredSaga>, Error> {
        let found = self.change(self.store.claim_one(leases, saga_id)).await?;
        self.world.took(found.as_slice(), leases);
        Ok(found)
    }

    async fn saga(&self, saga_id: &SagaId) -> Result<Option<(SagaSummary, StoredSaga)>, Error> {
        self.read(self.store.saga(saga_id)).await
    }

    async fn summary(&self, saga_id: &SagaId) -> Result<Option<(Partition, SagaSummary)>, Error> {
        self.read(self.store.summary(saga_id)).await
    }

    async fn saga_of_key(&self, idempotency_key: &str) -> Result<Option<SagaId>, Error> {
        self.read(self.store.saga_of_key(idempotency_key)).await
    }

    async fn journal(
        &self,
        saga_id: &SagaId,
        from: u64,
        limit: u16,
    ) -> Result<Option<JournalPage>, Error> {
        self.read(self.store.journal(saga_id, from, limit)).await
    }

    async fn sagas(
        &self,
        filter: &SagaFilter,
        after: Option<&Cursor>,
        limit: u16,
    ) -> Result<Page<SagaSummary>, Error> {
        self.read(self.store.sagas(filter, after, limit)).await
    }

    async fn counts(&self, limit: u32) -> Result<Vec<(Status, u32)>, Error> {
        self.read(self.store.counts(limit)).await
    }

    async fn delete_ended(&self, before: Timestamp, limit: u16) -> Result<u64, Error> {
        self.change(self.store.delete_ended(before, limit)).await
    }

    async fn locks(
        &self,
        prefix: Option<&str>,
        after: Option<&LockKey>,
        limit: u16,
    ) -> Result<Vec<LockSummary>, Error> {
        self.read(self.store.locks(prefix, after, limit)).await
    }

    async fn lock(&self, key: &LockKey, limit: u16) -> Result<Option<LockQueue>, Error> {
        self.read(self.store.lock(key, limit)).await
    }

    async fn lock_places(&self, saga_id: &SagaId) -> Result<Vec<SagaLock>, Error> {
        self.read(self.store.lock_places(saga_id)).await
    }

    async fn lock_holders(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: u16,
    ) -> Result<Vec<LockHolder>, Error> {
        self.read(self.store.lock_holders(lease, after, limit)).await
    }

    async fn forget_idle_locks(&self, limit: u16) -> Result<u64, Error> {
        self.change(self.store.forget_idle_locks(limit)).await
    }

    async fn list_left_behind(&self, limit: u16) -> Result<u64, Error> {
        self.change(self.store.list_left_behind(limit)).await
    }

    async fn post(&self, item: &InboxItem) -> Result<(), Error> {
        self.change(self.store.post(item)).await
    }

    async fn inbox(&self, leases: &[Lease], limit: u16) -> Result<Vec<InboxItem>, Error> {
        self.read(self.store.inbox(leases, limit)).await
    }

    async fn inbox_result(&self, id: &InboxId) -> Result<Option<String>, Error> {
        self.read(self.store.inbox_result(id)).await
    }

    async fn put_definition(
        &self,
        definition: &NewDefinition,
    ) -> Result<(StoredDefinition, bool), Error> {
        self.change(self.store.put_definition(definition)).await
    }

    async fn definition(&self, digest: &Digest) -> Result<Option<StoredDefinition>, Error> {
        self.read(self.store.definition(digest)).await
    }

    async fn definition_version(
        &self,
        name: &DefinitionName,
        version: Option<u32>,
    ) -> Result<Option<StoredDefinition>, Error> {
        self.read(self.store.definition_version(name, version)).await
    }

    async fn definitions(
        &self,
        after: Option<&DefinitionName>,
        limit: u16,
    ) -> Result<Vec<DefinitionSummary>, Error> {
        self.read(self.store.definitions(after, limit)).await
    }

    async fn put_participant(
        &self,
        spec: &ParticipantSpec,
        expected_revision: Option<u64>,
        now: Timestamp,
    ) -> Result<PutParticipant, Error> {
        self.change(self.store.put_participant(spec, expected_revision, now)).await
    }

    async fn delete_participant(&self, name: &ParticipantName) -> Result<bool, Error> {
        self.change(self.store.delete_participant(name)).await
    }

    async fn participants(&self) -> Result<Vec<StoredParticipant>, Error> {
        self.read(self.store.participants()).await
    }

    async fn participants_revision(&self) -> Result<u64, Error> {
        self.read(self.store.participants_revision()).await
    }

    async fn definitions_naming(
        &self,
        participant: &ParticipantName,
        limit: u16,
    ) -> Result<Vec<DefinitionName>, Error> {
        self.read(self.store.definitions_naming(participant, limit)).await
    }

    async fn secret(&self) -> Result<String, Error> {
        self.gate.around(self.store.secret()).await
    }

    async fn ready(&self) -> Result<(), Error> {
        self.gate.around(self.store.ready()).await
    }
}
