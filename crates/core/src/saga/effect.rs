//! What a saga asks the engine to do.

use super::{Op, Token};
use crate::{LockKey, StepIndex, Timestamp};

/// One call of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId {
    /// The step.
    pub step: StepIndex,
    /// The operation.
    pub op: Op,
}

/// Something to wait for until a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The start time: then [`super::Input::StartDue`].
    Start,
    /// The deadline: then [`super::Input::DeadlinePassed`].
    Deadline,
    /// The longest wait in the queue: then [`super::Input::LockWaitPassed`].
    LockWait,
    /// A retry: then [`super::Input::RetryDue`].
    Retry(CallId),
    /// A pending call: then [`super::Input::PendingExpired`].
    Pending(CallId),
}

/// One thing to do. Doing it twice is harmless: calls carry the same key and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make this attempt: then [`super::Input::Answered`].
    Call {
        /// Which call.
        call: CallId,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// An attempt of a coordinator that is gone may still be open: wait its time-out, then answer
    /// the attempt as unknown.
    Drain {
        /// Which call.
        call: CallId,
        /// Which attempt.
        attempt: u32,
    },
    /// Ask `location` every so often whether the pending call has ended: then
    /// [`super::Input::Completed`].
    Poll {
        /// Which call.
        call: CallId,
        /// Where, relative to the participant's base URL or absolute.
        location: String,
    },
    /// Wait until `at`; replaces an earlier timer of the same name.
    Arm {
        /// Which.
        timer: Timer,
        /// When, by the engine's clock.
        at: Timestamp,
    },
    /// Get these lock keys granted: then [`super::Input::Granted`].
    Lock {
        /// Sorted, each once.
        keys: Vec<LockKey>,
    },
    /// Its lock keys go to the next saga, in the write that says so.
    Unlock {
        /// Whether it stands at the end of their queues again.
        requeue: bool,
    },
    /// The saga has ended; its lock keys, if it holds or waits for any, are to be released in the
    /// write that ends it.
    End {
        /// What it held.
        tokens: Vec<(LockKey, Token)>,
    },
}
