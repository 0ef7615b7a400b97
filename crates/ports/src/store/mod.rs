//! The durable state of all sagas.

mod batch;
mod error;
mod lease;
mod lock;
mod registry;
mod saga;

use std::fmt;
use std::time::Duration;

use amends_core::definition::Digest;
use amends_core::participant::ParticipantSpec;
use amends_core::saga::{JournalFormat, Status};
use amends_core::{DefinitionName, LockKey, ParticipantName, SagaId, Timestamp};
use async_trait::async_trait;

pub use batch::{
    AcceptOutcome, Append, Batch, Grant, GrantAtOnce, GrantFacts, Header, NewSaga, Settle,
    Successor, Wake, Written,
};
pub use error::{Error, WriteError};
pub use lease::{CoordinatorId, Epoch, Lease, Member, Partition};
pub use lock::{LockHolder, LockPlace, LockQueue, LockSummary, PLACES_MAX, SagaLock, Tickets};
pub use registry::{
    DefinitionSummary, NewDefinition, PutParticipant, StoredDefinition, StoredParticipant,
};
pub use saga::{InboxId, InboxItem, JournalPage, StoredSaga};

use crate::{Cursor, Page, SagaFilter, SagaSummary};

/// Durable state of all sagas.
///
/// Every method is one transaction: it happens whole or not at all. Methods that read for the
/// engine read the primary. All times that decide who may do what are the store's own clock;
/// times inside records are the coordinators'. Every method ends within the adapter's time-out.
/// Dropping a future leaves it unknown whether the method happened.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    // --- who drives what -------------------------------------------------------------------

    /// How many partitions there are; fixed when the database was made.
    async fn partitions(&self) -> Result<u16, Error>;

    /// Says that `me` lives for another `ttl`, reachable at `address` (a base URL; may be empty),
    /// and extends by `ttl` every lease it still holds. Answers all live coordinators (not
    /// draining first, then by id) and the leases that `me` holds now. A lease that has expired
    /// but that nobody has taken is renewed like any other.
    ///
    /// Also says which [`JournalFormat`] this release reads. The format in force is raised to what
    /// this release writes as soon as every live coordinator reads it, and never lowered.
    ///
    /// # Errors
    ///
    /// [`Error::Outdated`], and nothing was renewed, if this release does not read the format in
    /// force, or must not use the schema (any more).
    async fn heartbeat(
        &self,
        me: &CoordinatorId,
        address: &str,
        draining: bool,
        ttl: Duration,
    ) -> Result<(Vec<Member>, Vec<Lease>), Error>;

    /// The format in force at the last heartbeat of this store: nothing newer may be written.
    fn journal_format(&self) -> JournalFormat {
        JournalFormat::FIRST
    }

    /// Takes up to `limit` partitions that nobody has or whose lease has expired, for `ttl`,
    /// raising the epoch of each; lowest partition first. Waits for (or fences) writes in flight
    /// under the old epochs.
    async fn acquire(
        &self,
        me: &CoordinatorId,
        limit: u16,
        ttl: Duration,
    ) -> Result<Vec<Lease>, Error>;

    /// Raises the epochs of `leases` that are still the newest, keeping `me` their owner for
    /// `ttl`: what a coordinator does when the answer to a commit is lost. When it returns, every
    /// write under the old epochs has either happened or never will. Answers the new leases;
    /// those not among them are lost.
    async fn raise_epochs(
        &self,
        me: &CoordinatorId,
        leases: &[Lease],
        ttl: Duration,
    ) -> Result<Vec<Lease>, Error>;

    /// Gives `leases` back: their partitions are free at once. Ones that are not the newest are
    /// passed over.
    async fn release(&self, leases: &[Lease]) -> Result<(), Error>;

    /// Forgets `me`: after a drain.
    async fn leave(&self, me: &CoordinatorId) -> Result<(), Error>;

    // --- writing ---------------------------------------------------------------------------

    /// Writes a batch in one transaction.
    ///
    /// First every lease in `batch.leases` is checked, and locked so that a taker waits for this
    /// transaction. Then, in this order: appends (with their releases), accepts (with their
    /// tickets), grants, settles. A batch names each saga at most once in `accepts` and `appends`
    /// together.
    ///
    /// # Errors
    ///
    /// [`WriteError::Fenced`] if a lease is not the newest or has expired by more than the
    /// store can tell: nothing was written. [`WriteError::Unavailable`]: nothing was written, try
    /// again. [`WriteError::OutcomeUnknown`]: it may have been written, or may still be; raise
    /// the epochs before anything else.
    async fn write(&self, batch: &Batch) -> Result<Written, WriteError>;

    // --- loading ---------------------------------------------------------------------------

    /// Up to `limit` live sagas of one partition that its last owner had in memory
    /// ([`Wake::InMemory`]), with ids after `after`, in order of id. For recovery after a
    /// takeover.
    async fn recover(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: u16,
    ) -> Result<Vec<StoredSaga>, Error>;

    /// Takes up to `limit` sagas of these leases whose wake-up time has come into memory: sets
    /// them to [`Wake::InMemory`] under the checked epochs and answers them. Leases that are not
    /// the newest are passed over.
    async fn claim_due(&self, leases: &[Lease], limit: u16) -> Result<Vec<StoredSaga>, Error>;

    /// Takes this one saga into memory, if it is live, parked (not already
    /// [`Wake::InMemory`]) and in one of these leases' partitions.
    async fn claim_one(
        &self,
        leases: &[Lease],
        saga_id: &SagaId,
    ) -> Result<Option<StoredSaga>, Error>;

    /// One saga with its whole journal, live or ended.
    async fn saga(&self, saga_id: &SagaId) -> Result<Option<(SagaSummary, StoredSaga)>, Error>;

    /// The partition and summary of one saga, without its journal.
    async fn summary(&self, saga_id: &SagaId) -> Result<Option<(Partition, SagaSummary)>, Error>;

    /// The saga that was made under an idempotency key.
    async fn saga_of_key(&self, idempotency_key: &str) -> Result<Option<SagaId>, Error>;

    /// A part of a saga's journal, from fact number `from` (0 is the first).
    async fn journal(
        &self,
        saga_id: &SagaId,
        from: u64,
        limit: u16,
    ) -> Result<Option<JournalPage>, Error>;

    /// A page of sagas, newest first; in descending order of id under a prefix of ids.
    async fn sagas(
        &self,
        filter: &SagaFilter,
        after: Option<&Cursor>,
        limit: u16,
    ) -> Result<Page<SagaSummary>, Error>;

    /// How many sagas stand in each status; counting stops at `limit` for each.
    async fn counts(&self, limit: u32) -> Result<Vec<(Status, u32)>, Error>;

    /// Deletes up to `limit` sagas that ended before `before`, with all that belongs to them. A
    /// nested saga stays as long as its parent ([`SagaId::parent`]) lives, which still has to find
    /// it: what became of it, or that its id is taken.
    async fn delete_ended(&self, before: Timestamp, limit: u16) -> Result<u64, Error>;

    // --- lock keys -------------------------------------------------------------------------

    /// Up to `limit` lock keys that somebody holds or waits for, those that begin with `prefix` and
    /// come after `after`, in order of key.
    async fn locks(
        &self,
        prefix: Option<&str>,
        after: Option<&LockKey>,
        limit: u16,
    ) -> Result<Vec<LockSummary>, Error>;

    /// One lock key with the first `limit` of those who wait for it; none if nobody holds it or
    /// waits for it.
    async fn lock(&self, key: &LockKey, limit: u16) -> Result<Option<LockQueue>, Error>;

    /// Where a saga stands for each of its lock keys, sorted; none at all if it has no keys or has
    /// given them back.
    async fn lock_places(&self, saga_id: &SagaId) -> Result<Vec<SagaLock>, Error>;

    /// Up to `limit` live sagas of one partition that hold their lock keys, with ids after `after`,
    /// in order of id: what a new owner must guard again. None at all if the lease is not the
    /// newest.
    async fn lock_holders(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: u16,
    ) -> Result<Vec<LockHolder>, Error>;

    /// Forgets up to `limit` lock keys that nobody holds or waits for, so that what is kept does
    /// not grow with every key that was ever used. Later tokens of a forgotten key are greater than
    /// its earlier ones all the same. Answers how many; fewer than `limit` means that there is
    /// nothing more to forget now.
    async fn forget_idle_locks(&self, limit: u16) -> Result<u64, Error>;

    // --- upgrades --------------------------------------------------------------------------

    /// Makes up to `limit` sagas, written by a release before this one, as fast to find in lists
    /// as all others; answers how many. They are shown before that as well. By default there are
    /// none.
    async fn list_left_behind(&self, limit: u16) -> Result<u64, Error> {
        let _ = limit;
        Ok(0)
    }

    // --- commands for sagas of others ------------------------------------------------------

    /// Puts a command or completion for a saga into the inbox of its partition. Idempotent by id.
    async fn post(&self, item: &InboxItem) -> Result<(), Error>;

    /// Up to `limit` unsettled items for these leases' partitions, oldest first.
    async fn inbox(&self, leases: &[Lease], limit: u16) -> Result<Vec<InboxItem>, Error>;

    /// What the owner answered ([`Settle::result`]); none while it has not.
    async fn inbox_result(&self, id: &InboxId) -> Result<Option<String>, Error>;

    // --- definitions and participants ------------------------------------------------------

    /// Stores a definition as the next version of its name, or finds the one with the same digest.
    /// An ad-hoc definition gets no version. The flag says whether it was new.
    async fn put_definition(
        &self,
        definition: &NewDefinition,
    ) -> Result<(StoredDefinition, bool), Error>;

    /// The definition with this content.
    async fn definition(&self, digest: &Digest) -> Result<Option<StoredDefinition>, Error>;

    /// A version of a definition; the newest without a number.
    async fn definition_version(
        &self,
        name: &DefinitionName,
        version: Option<u32>,
    ) -> Result<Option<StoredDefinition>, Error>;

    /// The newest version of each definition, by name, after `after`.
    async fn definitions(
        &self,
        after: Option<&DefinitionName>,
        limit: u16,
    ) -> Result<Vec<DefinitionSummary>, Error>;

    /// Registers or changes a participant. With an expected revision (0: must be new), only if
    /// that is the stored one.
    async fn put_participant(
        &self,
        spec: &ParticipantSpec,
        expected_revision: Option<u64>,
        now: Timestamp,
    ) -> Result<PutParticipant, Error>;

    /// Deletes a participant; false if there is none.
    async fn delete_participant(&self, name: &ParticipantName) -> Result<bool, Error>;

    /// All participants, by name.
    async fn participants(&self) -> Result<Vec<StoredParticipant>, Error>;

    /// A number that grows with every change to any participant.
    async fn participants_revision(&self) -> Result<u64, Error>;

    /// Names of definitions whose newest version, or a version that a live saga runs, names this
    /// participant; at most `limit`.
    async fn definitions_naming(
        &self,
        participant: &ParticipantName,
        limit: u16,
    ) -> Result<Vec<DefinitionName>, Error>;

    // --- the rest --------------------------------------------------------------------------

    /// 32 random bytes as hex, made with the database: the key under which callback URLs are
    /// signed.
    async fn secret(&self) -> Result<String, Error>;

    /// Whether the store answers, with a schema and a journal that this release can use.
    async fn ready(&self) -> Result<(), Error>;
}
