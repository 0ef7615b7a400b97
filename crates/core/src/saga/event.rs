//! Facts: what happened to a saga, as its journal keeps it for ever.
//!
//! A journal is the list of a saga's [`Record`]s. Folding it gives the saga's state; nothing else
//! is needed. Facts say what was decided, not what led to it, so a later release with another
//! policy still reads an old journal the same way. The JSON form is a promise: variants and fields
//! may be added with a default and under a new [`super::JournalFormat`], never renamed or given
//! another meaning (golden file in `tests/golden`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Actor, Answer, Op, Problem};
use crate::definition::{Branch, CheckBack, Definition, Digest};
use crate::{DefinitionName, Json, LockKey, SagaId, StepId, StepIndex, Timestamp};

/// One fact and when it was known, by the clock of the coordinator that wrote it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}

/// Fencing token of one lock key: grows with every grant of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub u64);

/// The one decision of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Go forward only.
    Commit,
    /// Undo what may have happened.
    Abort,
}

/// How a saga ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndStatus {
    /// Every step took effect, was skipped or was optional.
    Completed,
    /// Everything that may have happened was undone.
    Compensated,
    /// An operator gave it up; what stands half done is theirs to mend.
    Abandoned,
}

/// Why a step was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Its `when` was false.
    Condition,
    /// An operator skipped it.
    Operator,
    /// The decision made it needless: what it asks for is known.
    Decided,
}

/// What a submission was accepted with: all that a saga is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// The saga.
    pub saga_id: SagaId,
    /// Identity of the definition's content.
    pub definition: Digest,
    /// The definition's name.
    pub definition_name: DefinitionName,
    /// The definition's version; none for an ad-hoc definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition_version: Option<u32>,
    /// The input.
    pub input: Json,
    /// The caller's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its lock keys, sorted, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lock_keys: Vec<LockKey>,
    /// Not before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<Timestamp>,
    /// After this time no forward step starts or retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<Timestamp>,
    /// Longest wait in the queue of its lock keys ends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_wait_until: Option<Timestamp>,
    /// W3C trace context of the submission, `traceparent` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// How the client of an interactive transaction is asked when it falls silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<Box<CheckBack>>,
    /// It is cancelled before it was made: nothing of it will run, and its id is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<Actor>,
    /// The branch that this saga is, and whose decision it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
}

impl Accepted {
    /// What a saga of an ad-hoc definition was accepted with, with nothing more said.
    pub fn new(saga_id: SagaId, definition: &Definition) -> Self {
        Self {
            saga_id,
            definition: definition.digest.clone(),
            definition_name: definition.name.clone(),
            definition_version: None,
            input: Json::null(),
            labels: BTreeMap::new(),
            lock_keys: Vec::new(),
            start_at: None,
            deadline_at: None,
            lock_wait_until: None,
            traceparent: None,
            prepared: None,
            cancelled: None,
            parent: None,
        }
    }
}

/// The branch of another saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// The other saga.
    pub saga_id: SagaId,
    /// Its branch.
    pub branch: StepId,
}

/// One fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The saga exists. Always the first fact, and only there.
    Accepted(Arc<Accepted>),
    /// Its lock keys were granted, with these tokens in the order of its keys.
    LockGranted {
        /// One a key.
        tokens: Vec<Token>,
    },
    /// It left the queue.
    Started,
    /// A step will not be run.
    StepSkipped {
        /// Which.
        step: StepIndex,
        /// Why.
        reason: SkipReason,
    },
    /// An attempt of a call may leave from now on.
    CallStarted {
        /// Which step.
        step: StepIndex,
        /// Which operation.
        op: Op,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// An attempt was answered, or its time-out passed.
    CallAnswered {
        /// Which step.
        step: StepIndex,
        /// Which operation.
        op: Op,
        /// Which attempt.
        attempt: u32,
        /// The answer.
        answer: Box<Answer>,
    },
    /// A pending call is waited for until this time.
    CallPending {
        /// Which step.
        step: StepIndex,
        /// Which operation.
        op: Op,
        /// Until when an answer counts.
        until: Timestamp,
        /// Where to ask, when the step completes by polling.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<String>,
    },
    /// The next attempt of a call waits until this time.
    RetryScheduled {
        /// Which step.
        step: StepIndex,
        /// Which operation.
        op: Op,
        /// When it is due.
        until: Timestamp,
    },
    /// A forward call will not be tried again: its attempts are used up, or the saga aborts.
    CallGivenUp {
        /// Which step.
        step: StepIndex,
        /// Which operation.
        op: Op,
    },
    /// A call that must not give up has used up its attempts: an operator is needed.
    CallStuck {
        /// Which step.
        step: StepIndex,
        /// Which operation.
        op: Op,
        /// When it is tried again all the same; never, if none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// The one decision.
    Decided {
        /// Which way.
        decision: Decision,
        /// Why, when it is to abort.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The client of an interactive transaction added a branch: its last step from now on.
    BranchEnlisted {
        /// The branch.
        branch: Box<Branch>,
    },
    /// The client of an interactive transaction, or the parent of a nested saga, wants to commit.
    CommitRequested {
        /// Who and why.
        by: Actor,
    },
    /// The client of an interactive transaction asked for more time.
    DeadlineExtended {
        /// The new deadline.
        until: Timestamp,
        /// Who and why.
        by: Actor,
    },
    /// An operator took its lock keys away; it stands at the end of their queues again.
    LockReleased {
        /// Who and why.
        by: Actor,
    },
    /// The deadline passed before the decision, or while steps were still open after it.
    DeadlinePassed,
    /// The longest wait in the queue passed.
    LockWaitPassed,
    /// Somebody asked for an abort.
    CancelRequested {
        /// Who and why.
        by: Actor,
    },
    /// Nothing new starts.
    Paused {
        /// Who and why.
        by: Actor,
    },
    /// Things start again.
    Resumed {
        /// Who and why.
        by: Actor,
    },
    /// An operator asked for the next attempt at once; attempts count anew.
    RetryForced {
        /// Which step.
        step: StepIndex,
        /// Which operation.
        op: Op,
        /// Who and why.
        by: Actor,
    },
    /// An operator found out what became of a call and said so.
    CallResolved {
        /// Which step.
        step: StepIndex,
        /// Which operation.
        op: Op,
        /// Whether it took effect.
        succeeded: bool,
        /// The step's output, if it took effect and the operator knows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Json>,
        /// Who and why.
        by: Actor,
    },
    /// A coordinator took the saga over; attempts that were in flight stay unanswered.
    Recovered {
        /// The partition's new epoch.
        epoch: u64,
    },
    /// The end.
    Ended {
        /// How.
        status: EndStatus,
        /// What a completed saga answers with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Json>,
        /// Why the output could not be made, or who abandoned the saga and why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<Problem>,
    },
}

impl Event {
    /// Whether effects that follow from it must wait until it is durable (*What must be durable,
    /// and when* in the semantics).
    pub const fn is_awaited(&self) -> bool {
        match self {
            Self::CallStarted { attempt, .. } => *attempt == 1,
            Self::Accepted(_)
            | Self::LockGranted { .. }
            | Self::Started
            | Self::StepSkipped { .. }
            | Self::Decided { .. }
            | Self::BranchEnlisted { .. }
            | Self::CommitRequested { .. }
            | Self::DeadlineExtended { .. }
            | Self::LockReleased { .. }
            | Self::CancelRequested { .. }
            | Self::Paused { .. }
            | Self::Resumed { .. }
            | Self::RetryForced { .. }
            | Self::CallResolved { .. }
            | Self::CallStuck { .. }
            | Self::Ended { .. } => true,
            Self::CallAnswered { .. }
            | Self::CallPending { .. }
            | Self::RetryScheduled { .. }
            | Self::CallGivenUp { .. }
            | Self::DeadlinePassed
            | Self::LockWaitPassed
            | Self::Recovered { .. } => false,
        }
    }
}
