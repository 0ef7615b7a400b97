//! Guards: lock keys, held towards writers that are not sagas.

use std::fmt;
use std::time::Duration;

use amends_core::saga::Token;
use amends_core::{LockKey, SagaId};
use async_trait::async_trait;

/// Sets guards on a service that everybody who honours the same keys can see.
///
/// Which saga has a key is decided by the store's tickets; a guard only tells others. It expires
/// by itself unless it is extended, so that a lost coordinator blocks nobody for ever. A guard
/// belongs to a saga and not to a coordinator: whoever drives the saga next takes it over.
///
/// Every method ends within the adapter's own time-out. Dropping a future leaves it unknown whether
/// the method happened; [`Locks::release`] mends that.
#[async_trait]
pub trait Locks: fmt::Debug + Send + Sync {
    /// Sets the guard on all its keys, once, without waiting for other holders. What the same saga
    /// had set before is taken over, with a longer life. After an error nothing is left behind, as
    /// far as the service can be reached.
    ///
    /// Answers for how long the guard holds, counted from the answer.
    ///
    /// # Errors
    ///
    /// [`GuardError::Busy`] or [`GuardError::NoQuorum`].
    async fn acquire(&self, guard: &Guard) -> Result<Duration, GuardError>;

    /// Lengthens the life of guards that still hold. One that has expired, or that somebody else
    /// has now, is not set again. Answers one result a guard, in order, each like
    /// [`Locks::acquire`]'s.
    async fn extend(&self, guards: &[Guard]) -> Vec<Result<Duration, GuardError>>;

    /// Takes guards away, as far as they are still this saga's. Best effort: what stays, expires.
    async fn release(&self, guards: &[Guard]);

    /// How long a guard lives unless it is extended.
    fn ttl(&self) -> Duration;

    /// How the service is.
    async fn health(&self) -> LocksHealth;
}

/// The guard of one saga's lock keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Sorted, each once; at least one.
    pub keys: Vec<LockKey>,
    /// Whose it is.
    pub holder: GuardHolder,
}

/// Whose a guard is: as text, what stands under its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardHolder {
    /// Hexadecimal, hard to guess, the same for one saga always: a keyed hash of the saga under
    /// the database's secret. Two databases may have sagas of one id.
    pub nonce: String,
    /// The saga.
    pub saga_id: SagaId,
    /// The highest token of the grant.
    pub token: Token,
}

impl GuardHolder {
    /// The beginning that all grants of the saga share.
    pub fn saga_prefix(&self) -> String {
        format!("{}/{}/", self.nonce, self.saga_id)
    }
}

impl fmt::Display for GuardHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.nonce, self.saga_id, self.token.0)
    }
}

/// Why a guard does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// Somebody else has a key: so many masters said so that no quorum is left.
    #[error("{key} is guarded by {holder}")]
    Busy {
        /// The key.
        key: LockKey,
        /// What stands under it.
        holder: String,
    },
    /// It had held, and holds no more: it expired, or was taken away.
    #[error("the guard of {key} is gone")]
    Lost {
        /// The key.
        key: LockKey,
    },
    /// Too few masters answered in time, or can be trusted: nobody knows.
    #[error("no quorum of the lock service: {0}")]
    NoQuorum(String),
}

/// How the lock service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocksHealth {
    /// Whether a quorum answers and is trusted.
    pub quorum: bool,
    /// Each master.
    pub masters: Vec<LockMaster>,
}

/// How one master is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockMaster {
    /// Its address, without credentials.
    pub address: String,
    /// Whether its votes count.
    pub trusted: bool,
    /// Why not, what it means and what to do; or a warning.
    pub detail: Option<String>,
}
