//! What a saga is told: answers, times, grants and commands, and why a command is refused.

use serde::{Deserialize, Serialize};

use super::{Answer, CallId, Decision, JournalFormat, Op, Status, Token};
use crate::definition::Branch;
use crate::{Json, SagaId, StepId, StepIndex, Timestamp};

/// Who asked for something, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// A name; empty where nobody is signed in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The reason given; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Something that happened outside the saga.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Its lock keys were granted, with tokens in the order of its keys.
    Granted(Vec<Token>),
    /// Its start time has come.
    StartDue,
    /// An attempt was answered, timed out, or could not be made.
    Answered {
        /// Which step.
        step: StepIndex,
        /// Which operation.
        op: Op,
        /// Which attempt.
        attempt: u32,
        /// The answer; boxed, since it is far larger than the rest.
        answer: Box<Answer>,
    },
    /// A pending call was completed by callback or polling.
    Completed {
        /// Which step.
        step: StepIndex,
        /// Which operation.
        op: Op,
        /// The answer.
        answer: Box<Answer>,
    },
    /// A pending call was not completed in time.
    PendingExpired {
        /// Which step.
        step: StepIndex,
        /// Which operation.
        op: Op,
    },
    /// A scheduled retry is due.
    RetryDue {
        /// Which step.
        step: StepIndex,
        /// Which operation.
        op: Op,
    },
    /// The deadline has passed.
    DeadlinePassed,
    /// The longest wait in the queue has passed.
    LockWaitPassed,
    /// A coordinator has taken the saga over.
    Recovered {
        /// The partition's new epoch.
        epoch: u64,
    },
    /// Its coordinator has read it back, after it had let it leave memory with nothing in flight
    /// and everything written.
    Loaded {
        /// The partition's epoch.
        epoch: u64,
    },
    /// Somebody wants something.
    Command {
        /// What.
        command: Command,
        /// Who and why.
        by: Actor,
    },
}

impl Input {
    /// The call that it is about, if it is about one.
    pub(super) const fn call(&self) -> Option<CallId> {
        match self {
            Self::Answered { step, op, .. }
            | Self::Completed { step, op, .. }
            | Self::PendingExpired { step, op }
            | Self::RetryDue { step, op } => Some(CallId { step: *step, op: *op }),
            Self::Granted(_)
            | Self::StartDue
            | Self::DeadlinePassed
            | Self::LockWaitPassed
            | Self::Recovered { .. }
            | Self::Loaded { .. }
            | Self::Command { .. } => None,
        }
    }
}

/// What a client or operator may ask of a live saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Start nothing new; hear out what is in flight.
    Pause,
    /// Undo a pause.
    Resume,
    /// Abort before the decision.
    Cancel,
    /// Make the next attempt of one step, or of every waiting or stuck step, at once.
    RetryNow {
        /// Which step; all, if none.
        step: Option<StepId>,
    },
    /// Don't run a step of which nothing can have happened.
    Skip {
        /// Which step.
        step: StepId,
    },
    /// The step's open call took effect: a person has looked.
    ResolveSucceeded {
        /// Which step.
        step: StepId,
        /// Its output.
        output: Option<Json>,
        /// The operation that was looked into; whichever is open, if none. Since
        /// [`JournalFormat::RESOLVED_OP`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        op: Option<Op>,
    },
    /// The step's open forward call had no effect: a person has looked.
    ResolveFailed {
        /// Which step.
        step: StepId,
    },
    /// The step is undone: a person has looked, or has undone it by hand.
    ResolveUndone {
        /// Which step.
        step: StepId,
    },
    /// Give a suspended saga up.
    Abandon,
    /// Add a branch to an interactive transaction.
    Enlist {
        /// The branch.
        branch: Box<Branch>,
    },
    /// Commit an interactive transaction.
    Commit,
    /// Put the deadline of an interactive transaction off.
    Extend {
        /// The new deadline.
        until: Timestamp,
    },
    /// The parent of a nested saga has decided.
    ParentDecided {
        /// Which way.
        decision: Decision,
    },
    /// Give way to a newer saga, while it waits in the queue.
    Replace,
    /// Take its lock keys away from a saga that holds them.
    ReleaseLock,
}

impl Command {
    /// The format in which it is told to another coordinator.
    pub const fn journal_format(&self) -> JournalFormat {
        if matches!(self, Self::ResolveSucceeded { op: Some(_), .. }) {
            return JournalFormat::RESOLVED_OP;
        }
        JournalFormat::FIRST
    }

    /// The word for it, as the API and the command line write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::RetryNow { .. } => "retry",
            Self::Skip { .. } => "skip",
            Self::ResolveSucceeded { .. } => "resolve-succeeded",
            Self::ResolveFailed { .. } => "resolve-failed",
            Self::ResolveUndone { .. } => "resolve-undone",
            Self::Abandon => "abandon",
            Self::Enlist { .. } => "enlist",
            Self::Commit => "commit",
            Self::Extend { .. } => "extend",
            Self::ParentDecided { .. } => "parent-decided",
            Self::Replace => "replace",
            Self::ReleaseLock => "release-lock",
        }
    }
}

/// Why an input changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The saga has ended.
    #[error("the saga has ended ({0}); nothing about it changes any more")]
    Ended(Status),
    /// The pivot has succeeded, or commit is decided: it can only go forward.
    #[error(
        "commit is decided: the pivot has succeeded, every step is done, or its client asked for \
         it; so the saga can only go forward and cannot be cancelled"
    )]
    Committed,
    /// Commit was promised to the client, and is decided when every nested saga has done its part.
    #[error(
        "commit was asked for, and is decided when every nested saga has done its part; until then \
         the transaction takes nothing else, and it aborts if one of them fails or the deadline \
         passes"
    )]
    CommitRequested,
    /// The pivot may have happened; until its outcome is known there is nothing to cancel.
    #[error(
        "the outcome of the pivot step {0} is not known yet, so the saga cannot be cancelled now; \
         ask again when it is, or resolve the step"
    )]
    PivotUndecided(StepId),
    /// No step of that name.
    #[error("the saga's definition has no step {0}")]
    UnknownStep(StepId),
    /// The step is not in a state to which the command fits.
    #[error("step {step} is {state}; {command} needs one that {needed}")]
    WrongStepState {
        /// Which step.
        step: StepId,
        /// What it is now.
        state: String,
        /// What was asked.
        command: &'static str,
        /// What the command needs.
        needed: &'static str,
    },
    /// The step's open call is another one than the command is about.
    #[error("the open call of step {step} is its {open}, and what was said is of its {named}")]
    OtherCall {
        /// Which step.
        step: StepId,
        /// The operation whose call is open.
        open: Op,
        /// The operation that the command names.
        named: Op,
    },
    /// Abort is decided.
    #[error("abort is decided ({0}), so the saga cannot commit or change any more")]
    Aborted(String),
    /// Only an interactive transaction can do that.
    #[error(
        "the saga is not an interactive transaction: its definition says what it does, and when it \
         commits"
    )]
    NotInteractive,
    /// A branch of that name stands there with other content.
    #[error("there is another branch {0} already; give the new one another id")]
    BranchMismatch(StepId),
    /// No room for another branch.
    #[error("the transaction has {0} branches, which is the most that it can have")]
    TooManyBranches(usize),
    /// A nested saga that has done its part is decided by its parent.
    #[error(
        "the saga is a part of saga {0} and has done its work, so only that one decides now; \
         cancel that one"
    )]
    Nested(SagaId),
    /// It holds no lock keys.
    #[error("the saga holds no lock keys, so there is nothing to release")]
    NoLock,
    /// Nothing waits or is stuck, so there is nothing to retry.
    #[error(
        "no call that the command is about is waiting for a retry or stuck, so there is nothing to retry"
    )]
    NothingToRetry,
    /// The command fits another status only.
    #[error("the saga is {status}; {command} needs one that {needed}")]
    WrongStatus {
        /// The status now.
        status: Status,
        /// What was asked.
        command: &'static str,
        /// What the command needs.
        needed: &'static str,
    },
    /// An answer, time or grant that nothing waits for (any more). Not an error: drop it.
    #[error("nothing waits for this (any more)")]
    Stale,
}
