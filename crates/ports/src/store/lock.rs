//! Who holds lock keys and who waits for them, as it is read back.

use amends_core::saga::{Status, Token};
use amends_core::{DefinitionName, LockKey, SagaId, Timestamp};

use super::Partition;

/// Places in a queue are counted up to here: a greater number means that many or more.
pub const PLACES_MAX: u32 = 10_000;

/// What becomes of a saga's tickets in a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tickets {
    /// They stay as they are.
    #[default]
    Keep,
    /// They go: the sagas that are first in the queues then are woken.
    Release,
    /// They go, and new ones are taken for the same keys at the end of every queue: an operator's
    /// forced release. Each key's token is raised, so that every later one is greater than the one
    /// that was taken away. Wakes like [`Tickets::Release`]; among those woken is the saga itself
    /// if nobody else is before it in any queue. A saga without tickets stays without.
    Requeue,
}

impl Tickets {
    /// What two changes of one saga come to, the other one being the later.
    #[must_use]
    pub const fn then(self, later: Self) -> Self {
        match (self, later) {
            (Self::Release, _) | (_, Self::Release) => Self::Release,
            (Self::Requeue, _) | (_, Self::Requeue) => Self::Requeue,
            (Self::Keep, Self::Keep) => Self::Keep,
        }
    }
}

/// A lock key that somebody holds or waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockSummary {
    /// Which.
    pub key: LockKey,
    /// See [`LockQueue::token`].
    pub token: Token,
    /// Who has it; none between a release and the next grant.
    pub holder: Option<LockPlace>,
    /// How many wait for it, counted up to [`PLACES_MAX`].
    pub waiting: u32,
}

/// A lock key with its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockQueue {
    /// Which.
    pub key: LockKey,
    /// The holder's token. While nobody holds the key: a number that no token of it has exceeded
    /// and that the next one will exceed.
    pub token: Token,
    /// Who has it; none between a release and the next grant.
    pub holder: Option<LockPlace>,
    /// Who waits for it, first come first, as many as were asked for.
    pub queue: Vec<LockPlace>,
    /// How many wait for it, counted up to [`PLACES_MAX`].
    pub waiting: u32,
}

/// A saga that holds a lock key or waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockPlace {
    /// Which.
    pub saga_id: SagaId,
    /// Its partition.
    pub partition: Partition,
    /// Its definition's name.
    pub definition_name: DefinitionName,
    /// Its status.
    pub status: Status,
    /// When it took this place in the queue, by the store's clock; the grant leaves it.
    pub since: Timestamp,
}

/// Where a saga stands for one of its lock keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SagaLock {
    /// Which key.
    pub key: LockKey,
    /// The token that it holds the key with; none while it waits.
    pub token: Option<Token>,
    /// How many stand before it, the holder among them, counted up to [`PLACES_MAX`].
    pub ahead: u32,
    /// Who holds the key; may be the saga itself.
    pub holder: Option<SagaId>,
}

/// A saga that holds its lock keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// Which.
    pub saga_id: SagaId,
    /// Its keys, sorted.
    pub keys: Vec<LockKey>,
    /// Their tokens, in the order of the keys.
    pub tokens: Vec<Token>,
}
