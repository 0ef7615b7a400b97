//! [`MemoryStore`]: the `Store` port in memory, by its own clock, with faults on demand.

mod accept;
mod fault;
mod lease;
mod list;
mod load;
mod port;
mod registry;
mod state;
mod ticket;
mod write;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

pub use fault::Fault;
use fault::Faults;
use state::State;

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
