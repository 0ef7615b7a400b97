//! Who holds lock keys and who waits for them.

#![expect(clippy::unused_async, reason = "reads the database as soon as its statements exist")]

use amends_core::{LockKey, SagaId};
use amends_ports::store::{Lease, LockHolder, LockQueue, LockSummary, SagaLock};

use super::SqliteStore;
use super::failure::Failure;

impl SqliteStore {
    pub(super) async fn lock_list(
        &self,
        _prefix: Option<&str>,
        _after: Option<&LockKey>,
        _limit: u16,
    ) -> Result<Vec<LockSummary>, Failure> {
        Err(Failure::not_written("queues of lock keys cannot be read from this store yet"))
    }

    pub(super) async fn lock_queue(
        &self,
        _key: &LockKey,
        _limit: u16,
    ) -> Result<Option<LockQueue>, Failure> {
        Err(Failure::not_written("queues of lock keys cannot be read from this store yet"))
    }

    pub(super) async fn places_of(&self, _saga_id: &SagaId) -> Result<Vec<SagaLock>, Failure> {
        Err(Failure::not_written("queues of lock keys cannot be read from this store yet"))
    }

    pub(super) async fn holders(
        &self,
        _lease: Lease,
        _after: Option<&SagaId>,
        _limit: u16,
    ) -> Result<Vec<LockHolder>, Failure> {
        Err(Failure::not_written("queues of lock keys cannot be read from this store yet"))
    }
}
