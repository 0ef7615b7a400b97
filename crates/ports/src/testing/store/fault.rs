//! How a write can go wrong, as the port allows.

use std::collections::VecDeque;
use std::time::Duration;

use crate::store::{Batch, Error, WriteError};

/// What becomes of a write instead of its success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written, and the writer knows.
    Unavailable,
    /// It is written, but the answer is lost.
    UnknownApplied,
    /// It is not written, and the answer is lost.
    UnknownNotApplied,
    /// The answer is lost, and it is written only later: just before the epoch of a partition that it
    /// relies on is raised or taken over, which waits for it, or at [`super::MemoryStore::finish_late`].
    /// Catches who reads before raising.
    UnknownLate,
}

/// Says what becomes of a batch.
type Choose = dyn FnMut(&Batch) -> Option<Fault> + Send;

/// The faults of one link.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) down: bool,
    pub(super) queue: VecDeque<Fault>,
    pub(super) choose: Option<Box<Choose>>,
    pub(super) write_delay: Duration,
    pub(super) claim_delay: Duration,
}

impl Faults {
    pub(super) fn next(&mut self, batch: &Batch) -> Option<Fault> {
        self.queue.pop_front().or_else(|| self.choose.as_mut().and_then(|choose| choose(batch)))
    }
}

pub(super) fn down() -> Error {
    Error::Unavailable("the store is down, as the test asked".into())
}

pub(super) fn write_unavailable() -> WriteError {
    WriteError::Unavailable("the write failed, as the test asked".into())
}

pub(super) fn answer_lost() -> WriteError {
    WriteError::OutcomeUnknown("the answer was lost, as the test asked".into())
}
