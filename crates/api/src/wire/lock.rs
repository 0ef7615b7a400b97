//! Lock keys: who holds them, who waits for them.

use amends_core::LockKey;
use amends_ports::store::{LockPlace, LockQueue, LockSummary, SagaLock};
use serde::Serialize;
use utoipa::ToSchema;

use super::{StatusWord, Time};

/// The saga that holds a lock key.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = LockHolder)]
pub struct LockHolderView {
    /// Its id.
    pub saga: String,
    /// Its definition's name.
    pub definition: String,
    /// Where it stands.
    pub status: StatusWord,
    /// Since when it stands in the queue.
    pub since: Time,
}

impl From<LockPlace> for LockHolderView {
    fn from(place: LockPlace) -> Self {
        Self {
            saga: place.saga_id.into(),
            definition: place.definition_name.into(),
            status: place.status.into(),
            since: Time(place.since),
        }
    }
}

/// A saga that waits for a lock key.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = LockWaiter)]
pub struct LockWaiterView {
    /// Its place in the queue, from 1.
    pub position: u32,
    /// Which saga, and since when it waits.
    #[serde(flatten)]
    pub place: LockHolderView,
}

/// A lock key in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = LockSummary)]
pub struct LockRow {
    /// The key.
    pub key: String,
    /// The holder's fencing token; no later one is lower.
    pub token: u64,
    /// Who holds it; null between a release and the next grant.
    pub holder: Option<LockHolderView>,
    /// How many wait for it, counted up to 10,000.
    pub waiting: u32,
}

impl From<LockSummary> for LockRow {
    fn from(row: LockSummary) -> Self {
        Self {
            key: row.key.into(),
            token: row.token.0,
            holder: row.holder.map(LockHolderView::from),
            waiting: row.waiting,
        }
    }
}

/// A page of lock keys, by key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LockList {
    /// The rows.
    pub locks: Vec<LockRow>,
    /// Cursor of the next page; null on the last one.
    pub next: Option<String>,
}

/// A lock key with its queue.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Lock)]
pub struct LockView {
    /// The key.
    pub key: String,
    /// The holder's fencing token; no later one is lower. Null if nobody holds it or waits for it
    /// any more.
    pub token: Option<u64>,
    /// Who holds it; null between a release and the next grant.
    pub holder: Option<LockHolderView>,
    /// How many wait for it, counted up to 10,000.
    pub waiting: u32,
    /// Who waits for it, first come first; at most 100.
    pub queue: Vec<LockWaiterView>,
}

impl LockView {
    /// A key that nobody holds or waits for.
    pub(crate) fn free(key: &LockKey) -> Self {
        let key = key.as_str().to_owned();
        Self { key, token: None, holder: None, waiting: 0, queue: Vec::new() }
    }
}

impl From<LockQueue> for LockView {
    fn from(lock: LockQueue) -> Self {
        let queue = (1..).zip(lock.queue);
        Self {
            key: lock.key.into(),
            token: Some(lock.token.0),
            holder: lock.holder.map(LockHolderView::from),
            waiting: lock.waiting,
            queue: queue
                .map(|(position, place)| LockWaiterView { position, place: place.into() })
                .collect(),
        }
    }
}

/// Where a saga stands for its lock keys.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SagaLocks)]
pub struct SagaLocksView {
    /// One a key.
    pub keys: Vec<SagaLockView>,
}

/// Where a saga stands for one lock key.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SagaLock)]
pub struct SagaLockView {
    /// The key.
    pub key: String,
    /// The fencing token that it holds the key with; null while it waits.
    pub token: Option<u64>,
    /// How many sagas stand before it; 0 once it holds the key, or is about to.
    pub position: u32,
    /// Who holds the key; may be the saga itself.
    pub holder: Option<String>,
}

impl SagaLocksView {
    /// None if the saga stands nowhere.
    pub(crate) fn of(places: Vec<SagaLock>) -> Option<Self> {
        let key = |place: SagaLock| SagaLockView {
            key: place.key.into(),
            token: place.token.map(|token| token.0),
            position: place.ahead,
            holder: place.holder.map(String::from),
        };
        (!places.is_empty()).then(|| Self { keys: places.into_iter().map(key).collect() })
    }
}
