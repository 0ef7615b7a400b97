//! Lock keys as operators see them: who holds them, who waits, and how they are taken away.

use std::sync::Arc;

use amends_core::definition::OnBusy;
use amends_core::saga::{Actor, Command, Saga};
use amends_core::{LockKey, SagaId};
use amends_ports::store::{self, LockQueue, LockSummary, SagaLock};

use crate::engine::Inner;
use crate::{CommandError, Engine, SagaDetail};

/// Sagas that a newer one replaces at most.
const REPLACED_MAX: u16 = 1_000;

/// Why a lock key was not released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Nobody holds it or waits for it.
    #[error("nobody holds lock key {0} or waits for it")]
    UnknownLock(LockKey),
    /// Nobody holds it just now: the next saga is about to get it.
    #[error("nobody holds lock key {0} just now")]
    NotHeld(LockKey),
    /// The saga that holds it could not be told.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The store is away.
    #[error("the store is not available")]
    Unavailable(#[source] store::Error),
}

impl Engine {
    /// Lock keys that somebody holds or waits for, those that begin with `prefix` and come after
    /// `after`.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn locks(
        &self,
        prefix: Option<&str>,
        after: Option<&LockKey>,
        limit: u16,
    ) -> Result<Vec<LockSummary>, store::Error> {
        self.inner().store.locks(prefix, after, limit).await
    }

    /// One lock key with those who wait for it; none if nobody holds it or waits for it.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn lock(&self, key: &LockKey, limit: u16) -> Result<Option<LockQueue>, store::Error> {
        self.inner().store.lock(key, limit).await
    }

    /// Where a saga stands for each of its lock keys.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn lock_places(&self, saga_id: &SagaId) -> Result<Vec<SagaLock>, store::Error> {
        self.inner().store.lock_places(saga_id).await
    }

    /// Takes a lock key away from the saga that holds it, with all others that it holds: with some
    /// of them it could wait for itself. What the saga does then, its definition says.
    ///
    /// # Errors
    ///
    /// [`ReleaseError`].
    pub async fn release_lock(&self, key: &LockKey, by: Actor) -> Result<SagaDetail, ReleaseError> {
        let queue = self.lock(key, 1).await.map_err(ReleaseError::Unavailable)?;
        let queue = queue.ok_or_else(|| ReleaseError::UnknownLock(key.clone()))?;
        let holder = queue.holder.ok_or_else(|| ReleaseError::NotHeld(key.clone()))?;
        Ok(self.command(&holder.saga_id, Command::ReleaseLock, by).await?)
    }
}

impl Inner {
    /// `on_busy: replace`: cancels the sagas of the same definition that wait for a key of this
    /// one, which was not granted its keys. Whoever of them has started by then goes on.
    pub(crate) fn replace_waiting(self: &Arc<Self>, saga: &Saga) {
        let on_busy = saga.definition().lock.as_ref().map(|lock| lock.on_busy);
        if on_busy != Some(OnBusy::Replace) || saga.status() != amends_core::saga::Status::Queued {
            return;
        }
        let (inner, id) = (Arc::clone(self), saga.id().clone());
        let (keys, name) =
            (saga.accepted().lock_keys.clone(), saga.accepted().definition_name.clone());
        self.tasks.spawn(async move {
            for key in keys {
                let queue = match inner.store.lock(&key, REPLACED_MAX).await {
                    Ok(Some(queue)) => queue.queue,
                    Ok(None) => continue,
                    Err(error) => {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, saga.id = %id, "sagas that wait could not be replaced");
                        continue;
                    }
                };
                let before = queue.into_iter().take_while(|place| place.saga_id != id);
                for place in before.filter(|place| place.definition_name == name) {
                    let by = Actor {
                        name: format!("saga {id}"),
                        reason: format!("it is newer and wants {key} too"),
                    };
                    let engine = Engine::from_inner(Arc::clone(&inner));
                    let command = Command::Replace;
                    // One that has started or ended meanwhile refuses, and that is right.
                    let _ = engine.command(&place.saga_id, command, by).await;
                }
            }
        });
    }
}
