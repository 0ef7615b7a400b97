//! [`MemoryStore`]: the `Store` port in memory, by its own clock, with faults on demand.

mod accept;
mod fault;
mod lease;
mod list;
mod load;
mod lock;
mod port;
mod registry;
mod state;
mod ticket;
mod watcher;
mod write;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

pub use fault::Fault;
use fault::Faults;
use state::State;
pub use watcher::{Change, Commit};

use crate::store::Batch;
use crate::{Clock, Store};

/// A store in memory, shared by all its links.
///
/// Several coordinators may share one; each may have its own [`MemoryStore::link`], whose faults
/// are its own, so that one coordinator can be cut off while the others go on.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
    faults: Mutex<Faults>,
}

impl MemoryStore {
    /// An empty store of `partitions` partitions whose leases are judged by `clock`.
    pub fn new(partitions: u16, clock: Arc<dyn Clock>) -> Self {
        let state = Arc::new(Mutex::new(State::new(partitions)));
        Self { clock, state, faults: Mutex::default() }
    }

    /// Another way to the same state, with faults of its own.
    #[must_use]
    pub fn link(&self) -> Self {
        Self {
            clock: Arc::clone(&self.clock),
            state: Arc::clone(&self.state),
            faults: Mutex::default(),
        }
    }

    /// Lets the next write that has no fault yet end in `fault`; several calls queue up.
    pub fn fail_next_write(&self, fault: Fault) {
        self.faults.lock().queue.push_back(fault);
    }

    /// Asks `choose` before every write that has no queued fault, until it is replaced.
    pub fn fail_writes_by(&self, choose: impl FnMut(&Batch) -> Option<Fault> + Send + 'static) {
        self.faults.lock().choose = Some(Box::new(choose));
    }

    /// While down, every method answers that the store is not available, and does nothing.
    pub fn set_down(&self, down: bool) {
        self.faults.lock().down = down;
    }

    /// Lets every write take this long before it happens.
    pub fn set_write_delay(&self, delay: Duration) {
        self.faults.lock().write_delay = delay;
    }

    /// Lets the answer to every claim of what is due take this long after it has happened.
    pub fn set_claim_delay(&self, delay: Duration) {
        self.faults.lock().claim_delay = delay;
    }

    /// Shows every change of the store, through any link, to `watcher` from now on, at the moment in
    /// which it happens.
    pub fn watch(&self, watcher: impl FnMut(Change<'_>) + Send + 'static) {
        self.state.lock().watcher = Some(Box::new(watcher));
    }

    /// Lets transactions happen that are still running ([`Fault::UnknownLate`]), or fail if they are
    /// too late by now; answers how many of them happened.
    pub fn finish_late(&self) -> usize {
        let now = self.clock.now();
        self.state.lock().finish_late_writes(now, |_| true)
    }

    /// How many batches were written through any link.
    pub fn batches_written(&self) -> u64 {
        self.state.lock().batches_written
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl From<MemoryStore> for Arc<dyn Store> {
    fn from(store: MemoryStore) -> Self {
        Arc::new(store)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use amends_core::definition::Digest;
    use amends_core::saga::{Event, Record, Status};
    use amends_core::{DefinitionName, SagaId};

    use super::*;
    use crate::SystemClock;
    use crate::store::{CoordinatorId, Header, NewSaga, Wake, WriteError};
    use crate::testing::TestClock;
    use crate::testing::conformance::PARTITIONS;

    async fn fresh() -> (Arc<dyn Store>, ()) {
        (Arc::new(MemoryStore::new(PARTITIONS, Arc::new(SystemClock::new()))), ())
    }

    crate::store_conformance!(fresh);

    /// A coordinator's link to a store of one partition, with the right to write to it.
    async fn linked() -> (MemoryStore, Batch) {
        let store = MemoryStore::new(1, Arc::new(TestClock::new())).link();
        let me = CoordinatorId("a".to_owned());
        let leases = store.acquire(&me, 1, Duration::from_mins(1)).await.unwrap();
        let record = Record { at: TestClock::ORIGIN, event: Event::Started };
        let new = NewSaga {
            saga_id: SagaId::new("s").unwrap(),
            partition: leases[0].partition,
            definition: Digest("d".to_owned()),
            definition_name: DefinitionName::new("d").unwrap(),
            definition_version: None,
            labels: BTreeMap::new(),
            lock_keys: Vec::new(),
            grant: None,
            idempotency_key: None,
            request_digest: String::new(),
            created_at: TestClock::ORIGIN,
            header: Header {
                status: Status::Running,
                paused: false,
                step: None,
                reason: None,
                updated_at: TestClock::ORIGIN,
                ended_at: None,
                wake: Wake::InMemory,
            },
            records: serde_json::to_string(&[record]).unwrap(),
            record_count: 1,
        };
        (store, Batch { leases, accepts: vec![new], ..Batch::default() })
    }

    async fn is_there(store: &MemoryStore) -> bool {
        store.summary(&SagaId::new("s").unwrap()).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn each_fault_happens_once_and_as_it_says() {
        for (fault, written) in [
            (Fault::Unavailable, false),
            (Fault::UnknownApplied, true),
            (Fault::UnknownNotApplied, false),
            (Fault::UnknownLate, false),
        ] {
            let (store, batch) = linked().await;
            store.fail_next_write(fault);
            let error = store.write(&batch).await.unwrap_err();
            let unknown = matches!(error, WriteError::OutcomeUnknown(_));
            assert_eq!(unknown, fault != Fault::Unavailable);
            assert_eq!(is_there(&store).await, written, "{fault:?}");
            store.write(&batch).await.unwrap();
            assert!(is_there(&store).await);
        }
    }

    #[tokio::test]
    async fn a_late_write_happens_before_the_epochs_are_raised_and_never_after() {
        let (store, batch) = linked().await;
        store.fail_next_write(Fault::UnknownLate);
        store.write(&batch).await.unwrap_err();
        assert!(!is_there(&store).await);
        let me = CoordinatorId("a".to_owned());
        store.raise_epochs(&me, &batch.leases, Duration::from_mins(1)).await.unwrap();
        assert!(is_there(&store).await);
        assert!(matches!(store.write(&batch).await, Err(WriteError::Fenced(_))));
    }

    #[tokio::test]
    async fn one_link_goes_down_alone() {
        let (store, batch) = linked().await;
        let other = store.link();
        store.set_down(true);
        assert!(store.ready().await.is_err());
        assert!(matches!(store.write(&batch).await, Err(WriteError::Unavailable(_))));
        assert!(!is_there(&other).await);
        other.fail_writes_by(|batch| (!batch.accepts.is_empty()).then_some(Fault::Unavailable));
        assert!(other.write(&batch).await.is_err());
        other.write(&Batch::default()).await.unwrap();
    }
}
