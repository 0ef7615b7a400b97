//! Who holds lock keys and who waits for them.

#![expect(clippy::unused_async, reason = "reads the database as soon as its statements exist")]

use amends_core::{LockKey, SagaId};
use amends_ports::store::{Error, Lease, LockHolder, LockQueue, LockSummary, SagaLock};

use super::PostgresStore;

impl PostgresStore {
    pub(super) async fn lock_list(
        &self,
        _prefix: Option<&str>,
        _after: Option<&LockKey>,
        _limit: u16,
    ) -> Result<Vec<LockSummary>, Error> {
        Err(Error::Unavailable("queues of lock keys cannot be read from this store yet".into()))
    }

    pub(super) async fn lock_queue(
        &self,
        _key: &LockKey,
        _limit: u16,
    ) -> Result<Option<LockQueue>, Error> {
        Err(Error::Unavailable("queues of lock keys cannot be read from this store yet".into()))
    }

    pub(super) async fn places_of(&self, _saga_id: &SagaId) -> Result<Vec<SagaLock>, Error> {
        Err(Error::Unavailable("queues of lock keys cannot be read from this store yet".into()))
    }

    pub(super) async fn holders(
        &self,
        _lease: Lease,
        _after: Option<&SagaId>,
        _limit: u16,
    ) -> Result<Vec<LockHolder>, Error> {
        Err(Error::Unavailable("queues of lock keys cannot be read from this store yet".into()))
    }

    pub(super) async fn forget_idle(&self, _limit: u16) -> Result<u64, Error> {
        Ok(0)
    }
}
