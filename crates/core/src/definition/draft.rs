//! A definition while it is read: what is sound of it, so that every fault can be found.

use std::time::Duration;

use super::{Completion, InputSchema, Lock, Mode, OutcomeOverride, StepKind};
use crate::expression::{Condition, PathTemplate, Reference, Template};
use crate::{DefinitionName, Jitter, ParticipantName, RetryPolicy, StepId};

/// What could be read of a document.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) name: Option<DefinitionName>,
    pub(super) description: String,
    pub(super) mode: Mode,
    pub(super) input_schema: Option<InputSchema>,
    pub(super) lock: Option<Lock>,
    pub(super) deadline: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) retry: RetryDraft,
    pub(super) steps: Vec<StepDraft>,
    pub(super) output: Option<Template>,
    /// Every name that an expression reads.
    pub(super) uses: Vec<Use>,
}

/// What could be read of a step.
#[derive(Debug)]
pub(super) struct StepDraft {
    pub(super) pointer: String,
    pub(super) id: Option<StepId>,
    pub(super) kind: StepKind,
    pub(super) participant: Option<ParticipantName>,
    /// The ids that `after` lists, if it is there.
    pub(super) after: Option<Vec<String>>,
    pub(super) forward: Option<OperationDraft>,
    pub(super) undo: Option<OperationDraft>,
    pub(super) confirm: Option<OperationDraft>,
    /// `compensation: none`.
    pub(super) undo_declined: bool,
    pub(super) when: Option<Condition>,
    pub(super) optional: bool,
    pub(super) pivot: bool,
    pub(super) undo_refused: bool,
    pub(super) completion: Completion,
    pub(super) outcomes: Vec<OutcomeOverride>,
    pub(super) timeout: Option<Duration>,
    pub(super) retry: RetryDraft,
}

/// What could be read of an operation.
#[derive(Debug, Default)]
pub(super) struct OperationDraft {
    pub(super) method: String,
    pub(super) path: PathTemplate,
    pub(super) body: Option<Template>,
    pub(super) headers: Vec<(String, Template)>,
    pub(super) timeout: Option<Duration>,
    pub(super) retry: RetryDraft,
}

/// A retry policy of which only some members are written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RetryDraft {
    pub(super) attempts_max: Option<u32>,
    pub(super) initial: Option<Duration>,
    pub(super) factor: Option<f64>,
    pub(super) max: Option<Duration>,
    pub(super) jitter: Option<Jitter>,
}

impl RetryDraft {
    /// What is written here, and of `outer` what is not.
    pub(super) fn or(self, outer: Self) -> Self {
        Self {
            attempts_max: self.attempts_max.or(outer.attempts_max),
            initial: self.initial.or(outer.initial),
            factor: self.factor.or(outer.factor),
            max: self.max.or(outer.max),
            jitter: self.jitter.or(outer.jitter),
        }
    }

    /// The policy, the rest taken from `base`; none when nothing is written.
    pub(super) fn resolve(self, base: RetryPolicy) -> Option<RetryPolicy> {
        (self != Self::default()).then(|| {
            let initial = self.initial.unwrap_or(base.initial);
            RetryPolicy {
                attempts_max: self.attempts_max.unwrap_or(base.attempts_max),
                initial,
                factor: self.factor.unwrap_or(base.factor),
                max: self.max.unwrap_or(base.max).max(initial),
                jitter: self.jitter.unwrap_or(base.jitter),
            }
        })
    }
}

/// One name that an expression reads, and where.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) pointer: String,
    pub(super) place: Place,
    /// Whether it stands in the path of a request.
    pub(super) in_path: bool,
    pub(super) reference: Reference,
}

/// What an expression belongs to; steps by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    LockKey,
    Output,
    When(usize),
    Forward(usize),
    Undo(usize),
    Confirm(usize),
}

impl Place {
    /// The step it belongs to.
    pub(super) const fn step(self) -> Option<usize> {
        match self {
            Self::LockKey | Self::Output => None,
            Self::When(step) | Self::Forward(step) | Self::Undo(step) | Self::Confirm(step) => {
                Some(step)
            }
        }
    }

    /// Whether it is sent with a call.
    pub(super) const fn is_operation(self) -> bool {
        matches!(self, Self::Forward(_) | Self::Undo(_) | Self::Confirm(_))
    }
}
