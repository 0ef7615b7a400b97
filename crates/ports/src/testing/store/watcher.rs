//! Somebody who sees every change at the moment in which it happens: for invariants that are judged
//! inside a run.

use amends_core::saga::{Record, Status};
use amends_core::{SagaId, Timestamp};

use super::state::State;
use crate::store::{Batch, Written};

/// What has just happened, in one piece.
#[derive(Debug)]
pub enum Change<'a> {
    /// A batch was written.
    Written(Commit<'a>),
    /// An ended saga was deleted, its retention being over.
    Deleted(&'a SagaId),
}

/// A batch that was written, whoever was told so.
pub struct Commit<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// What its writer is told, unless the answer is lost.
    pub written: &'a Written,
    /// When, by the store's clock.
    pub at: Timestamp,
    pub(super) state: &'a State,
}

/// Who watches.
pub(super) type Watcher = Box<dyn FnMut(Change<'_>) + Send>;

impl std::fmt::Debug for Commit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commit").field("batch", self.batch).finish_non_exhaustive()
    }
}

impl Commit<'_> {
    /// The facts of a saga from number `from`, as they stand now.
    pub fn records(&self, saga_id: &SagaId, from: u64) -> &[Record] {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        self.state.sagas.get(saga_id).and_then(|row| row.records.get(from..)).unwrap_or_default()
    }

    /// The status that a saga's row shows now.
    pub fn status(&self, saga_id: &SagaId) -> Option<Status> {
        self.state.sagas.get(saga_id).map(|row| row.header.status)
    }
}

impl State {
    /// Shows a written batch to whoever watches.
    pub(super) fn show(&mut self, batch: &Batch, written: &Written, at: Timestamp) {
        let Some(mut watcher) = self.watcher.take() else { return };
        watcher(Change::Written(Commit { batch, written, at, state: self }));
        self.watcher = Some(watcher);
    }

    /// Shows the deletion of a saga to whoever watches.
    pub(super) fn show_deleted(&mut self, saga_id: &SagaId) {
        if let Some(watcher) = &mut self.watcher {
            watcher(Change::Deleted(saga_id));
        }
    }
}
