//! A definition that has passed its checks, compiled for running.
//!
//! Immutable and shared: one parse serves every saga of a version.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Graph, InputSchema, NestedSaga};
use crate::expression::{Condition, PathTemplate, Template};
use crate::saga::{Op, OutcomeKind};
use crate::{DefinitionName, Json, ParticipantName, RetryPolicy, StepId, StepIndex};

/// SHA-256 of a definition's canonical JSON (names sorted, no white space), as 64 hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a saga's steps come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// From its definition.
    #[default]
    Definition,
    /// From its client, who adds branches and decides.
    Interactive,
}

impl Mode {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Definition => "definition",
            Self::Interactive => "interactive",
        }
    }
}

/// A checked and compiled definition. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its name.
    pub name: DefinitionName,
    /// What it is for, in the author's words.
    pub description: String,
    /// Where the steps of its sagas come from.
    pub mode: Mode,
    /// What inputs must look like.
    pub input_schema: Option<Arc<InputSchema>>,
    /// Business keys that serialise its sagas.
    pub lock: Option<Arc<Lock>>,
    /// Time from acceptance after which no forward step starts or retries.
    pub deadline: Option<Duration>,
    /// The steps, in the order they stand in; at least one, unless the mode is interactive.
    pub steps: Vec<Arc<Step>>,
    /// Who comes after whom.
    pub graph: Graph,
    /// What a completed saga answers with; `null` without one.
    pub output: Option<Arc<Template>>,
    /// Identity of the content.
    pub digest: Digest,
    /// The document as JSON, as it was given.
    pub source: Json,
}

impl Definition {
    /// The step at `index`.
    pub fn step(&self, index: StepIndex) -> &Step {
        &self.steps[index.get()]
    }

    /// The index of the step named `id`.
    pub fn index_of(&self, id: &str) -> Option<StepIndex> {
        self.indices().find(|index| self.step(*index).id.as_str() == id)
    }

    /// All step indices, in order.
    pub fn indices(&self) -> impl DoubleEndedIterator<Item = StepIndex> + use<> {
        // The number of steps is checked to fit when the definition is read.
        (0..u16::try_from(self.steps.len()).unwrap_or(u16::MAX)).map(StepIndex)
    }
}

/// `lock` of a definition.
#[derive(Debug)]
pub struct Lock {
    /// One template a key; each sees `input` only and must give a text.
    pub keys: Vec<Template>,
    /// Longest time in the queue; without it, as long as it takes.
    pub wait: Option<Duration>,
    /// What a saga does whose key another one holds.
    pub on_busy: OnBusy,
    /// What a saga does that loses its keys while it runs.
    pub on_lost: OnLost,
    /// When its keys go to the next saga.
    pub release: LockRelease,
}

/// What a saga does whose lock key another saga holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBusy {
    /// Wait in the queue, first come, first served.
    Queue,
    /// End at once, without a call made.
    Reject,
    /// Take the place of sagas of the same definition that still wait: only the newest is wanted.
    Replace,
}

/// What a saga does whose lock keys somebody else has on the lock service while it runs, or that an
/// operator takes them away from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    /// Go on without the guard; participants refuse it once they have seen a newer token.
    Fence,
    /// Start no forward call until the guard holds again.
    #[default]
    Pause,
    /// Abort, if commit is not decided.
    Abort,
}

/// When a saga's lock keys go to the next saga.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockRelease {
    /// When it has ended.
    #[default]
    End,
    /// When commit is decided: what is left runs outside the lock.
    Pivot,
}

/// Whether a step is one of a saga or of TCC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// `action`, maybe with `compensation`.
    Saga,
    /// `try`, `confirm` and `cancel`.
    Tcc,
}

/// Who makes a step's forward call, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starts {
    /// The engine, when the steps before it are done.
    InOrder,
    /// The client, whenever it likes; what became of it shows in the decision.
    ByClient,
    /// The engine, once commit is decided.
    AfterCommit,
    /// The engine, when the deadline passes and the client has not said what it wants.
    WhenSilent,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// Its name.
    pub id: StepId,
    /// Saga or TCC.
    pub kind: StepKind,
    /// Whom its operations call.
    pub participant: ParticipantName,
    /// `action` or `try`.
    pub forward: Operation,
    /// `compensation` or `cancel`.
    pub undo: Option<Operation>,
    /// `confirm`; present exactly on TCC steps.
    pub confirm: Option<Operation>,
    /// The step is skipped when this is false.
    pub when: Option<Condition>,
    /// `on_failure: ignore`: its failure does not abort the saga.
    pub optional: bool,
    /// Its success is the point of no return.
    pub pivot: bool,
    /// `undo_refused: true`: undone even if every attempt that left was refused.
    pub undo_refused: bool,
    /// How the forward call is answered.
    pub completion: Completion,
    /// Outcomes that this step reads from statuses otherwise than usual.
    pub outcomes: Vec<OutcomeOverride>,
    /// Who makes the forward call, and when.
    pub starts: Starts,
    /// The saga that this step is, instead of calls to a participant.
    pub nested: Option<NestedSaga>,
}

impl Step {
    /// The operation that `op` names on this step, if it has it.
    pub fn operation(&self, op: Op) -> Option<&Operation> {
        match (op, self.kind) {
            (Op::Action, StepKind::Saga) | (Op::Try, StepKind::Tcc) => Some(&self.forward),
            (Op::Compensation, StepKind::Saga) | (Op::Cancel, StepKind::Tcc) => self.undo.as_ref(),
            (Op::Confirm, StepKind::Tcc) => self.confirm.as_ref(),
            (Op::Action | Op::Compensation, StepKind::Tcc)
            | (Op::Try | Op::Cancel | Op::Confirm, StepKind::Saga) => None,
        }
    }

    /// The name of its forward operation.
    pub const fn forward_op(&self) -> Op {
        match self.kind {
            StepKind::Saga => Op::Action,
            StepKind::Tcc => Op::Try,
        }
    }

    /// The name of its undo.
    pub const fn undo_op(&self) -> Op {
        match self.kind {
            StepKind::Saga => Op::Compensation,
            StepKind::Tcc => Op::Cancel,
        }
    }
}

/// One operation of a step: what is sent where, and how often.
#[derive(Debug)]
pub struct Operation {
    /// HTTP method, upper case.
    pub method: String,
    /// Path below the participant's base URL, starting with `/`; may hold a query.
    pub path: PathTemplate,
    /// The body; without one, none (forward, confirm) or the forward call's body (undo).
    pub body: Option<Template>,
    /// Further headers, names in lower case.
    pub headers: Vec<(String, Template)>,
    /// Time for one attempt; the participant's default without one.
    pub timeout: Option<Duration>,
    /// How often; the participant's default without one.
    pub retry: Option<RetryPolicy>,
}

/// How a forward call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Completion {
    /// By the answer to the call.
    Answer,
    /// A 202 means: later, by a POST to the callback URL.
    Callback,
    /// A 202 names a `Location` that is asked every so often until it answers otherwise.
    Poll {
        /// Time between two questions.
        interval: Duration,
    },
}

/// Reads one status (or gRPC code) of a participant's answer as another outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeOverride {
    /// HTTP status.
    pub status: u16,
    /// What it means for this step.
    pub outcome: OutcomeKind,
}
