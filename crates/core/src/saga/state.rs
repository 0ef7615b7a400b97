//! The state of a saga: what its facts add up to.

use std::sync::Arc;

use super::{
    Accepted, Actor, Decision, EndStatus, ForwardOutcome, Op, Problem, SkipReason, Status, Token,
};
use crate::definition::{Branch, Definition, Step, StepKind};
use crate::mutant::Mutant;
use crate::{CallKey, Json, RetryPolicy, SagaId, StepIndex, Timestamp};

/// One saga. Made by [`Saga::accept`] or [`Saga::replay`]; changed by [`Saga::handle`] alone.
#[derive(Clone, Debug)]
pub struct Saga {
    pub(super) definition: Arc<Definition>,
    pub(super) accepted: Arc<Accepted>,
    pub(super) accepted_at: Timestamp,
    /// What the client of an interactive transaction added, in order.
    pub(super) branches: Vec<Branch>,
    pub(super) started: bool,
    pub(super) tokens: Option<Vec<Token>>,
    pub(super) decision: Option<Decision>,
    pub(super) reason: Option<String>,
    pub(super) cancel: Option<Actor>,
    /// Its client, or its parent, wants to commit.
    pub(super) commit_requested: bool,
    /// An operator took its lock keys away.
    pub(super) lock_taken: bool,
    pub(super) deadline_at: Option<Timestamp>,
    pub(super) deadline_passed: bool,
    pub(super) lock_wait_passed: bool,
    pub(super) paused: bool,
    pub(super) steps: Vec<StepState>,
    pub(super) end: Option<End>,
    pub(super) fact_count: u64,
    /// Every `when` is taken to hold.
    pub(super) assumes_conditions: bool,
    /// Nothing new starts here: another coordinator goes on. Not a fact.
    pub(super) held: bool,
}

/// How a saga ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    pub(super) status: EndStatus,
    pub(super) output: Option<Json>,
    pub(super) problem: Option<Problem>,
    pub(super) at: Timestamp,
}

/// The calls of one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepState {
    /// `action` or `try`.
    pub forward: Call,
    /// `confirm`.
    pub confirm: Call,
    /// `compensation` or `cancel`.
    pub undo: Call,
    /// Set when the step is not run.
    pub skipped: Option<SkipReason>,
}

/// One call and its attempts so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    /// Where it stands.
    pub state: CallState,
    /// Attempts started so far.
    pub attempts: u32,
    /// Attempts that count no more, since an operator asked for a retry.
    pub attempts_forgiven: u32,
    /// Whether an attempt that was not refused may have reached the participant.
    pub maybe_effect: bool,
    /// The JSON of its success.
    pub output: Option<Json>,
    /// Why the last attempt did not succeed.
    pub problem: Option<Problem>,
    /// The participant's retry policy at the last answer.
    pub(super) retry: Option<RetryPolicy>,
}

/// Where a call stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum CallState {
    /// Nothing was sent.
    #[default]
    Idle,
    /// An attempt may be on its way.
    InFlight,
    /// It was accepted and is waited for.
    Pending {
        /// Until when.
        until: Timestamp,
        /// Where to ask.
        location: Option<String>,
    },
    /// The last attempt did not succeed; what follows is decided in the same step of the machine.
    Failed,
    /// The next attempt waits.
    Waiting {
        /// Until when.
        until: Timestamp,
    },
    /// It took effect.
    Succeeded,
    /// The last attempt was refused, and that is final.
    Refused,
    /// It will not be tried again; what became of it is known only as far as
    /// [`Call::maybe_effect`] says.
    GivenUp,
    /// Its attempts are used up; an operator is needed.
    Stuck {
        /// When it is tried again all the same.
        until: Option<Timestamp>,
    },
}

impl CallState {
    /// Whether the call may still change by itself.
    pub const fn is_open(&self) -> bool {
        match self {
            Self::InFlight | Self::Pending { .. } | Self::Failed | Self::Waiting { .. } => true,
            Self::Idle | Self::Succeeded | Self::Refused | Self::GivenUp | Self::Stuck { .. } => {
                false
            }
        }
    }

    /// When it is tried again by itself.
    pub(super) const fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Waiting { until } => Some(*until),
            Self::Stuck { until } => *until,
            Self::Idle
            | Self::InFlight
            | Self::Pending { .. }
            | Self::Failed
            | Self::Succeeded
            | Self::Refused
            | Self::GivenUp => None,
        }
    }

    /// The word for it, for people.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Idle => "not started",
            Self::InFlight => "in flight",
            Self::Pending { .. } => "pending",
            Self::Failed => "failed",
            Self::Waiting { .. } => "waiting for a retry",
            Self::Succeeded => "done",
            Self::Refused => "refused",
            Self::GivenUp => "given up",
            Self::Stuck { .. } => "stuck",
        }
    }
}

impl StepState {
    /// The call of `op`.
    pub const fn call(&self, op: Op) -> &Call {
        match op {
            Op::Action | Op::Try => &self.forward,
            Op::Confirm => &self.confirm,
            Op::Compensation | Op::Cancel => &self.undo,
        }
    }

    pub(super) const fn call_mut(&mut self, op: Op) -> &mut Call {
        match op {
            Op::Action | Op::Try => &mut self.forward,
            Op::Confirm => &mut self.confirm,
            Op::Compensation | Op::Cancel => &mut self.undo,
        }
    }
}

impl Saga {
    /// Its id.
    pub fn id(&self) -> &SagaId {
        &self.accepted.saga_id
    }

    /// Its definition.
    pub const fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// What it was accepted with.
    pub fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// When it was accepted.
    pub const fn accepted_at(&self) -> Timestamp {
        self.accepted_at
    }

    /// The decision, once it is taken.
    pub const fn decision(&self) -> Option<Decision> {
        self.decision
    }

    /// Why it aborts.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Whether nothing new starts.
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// Starts no further call, so that the saga can be handed over; forgotten by a replay.
    pub const fn hold(&mut self) {
        self.held = true;
    }

    /// After this time no forward step starts or retries.
    pub const fn deadline_at(&self) -> Option<Timestamp> {
        self.deadline_at
    }

    /// Whether its deadline has passed.
    pub const fn is_past_deadline(&self) -> bool {
        self.deadline_passed
    }

    /// What became of each step, in the definition's order.
    pub fn steps(&self) -> &[StepState] {
        &self.steps
    }

    /// What became of one step.
    pub fn step(&self, step: StepIndex) -> &StepState {
        &self.steps[step.get()]
    }

    /// How many facts it is made of: the number of the next one.
    pub const fn fact_count(&self) -> u64 {
        self.fact_count
    }

    /// What it ended with, if it completed.
    pub fn output(&self) -> Option<&Json> {
        self.end.as_ref()?.output.as_ref()
    }

    /// When it ended.
    pub fn ended_at(&self) -> Option<Timestamp> {
        self.end.as_ref().map(|end| end.at)
    }

    /// What went wrong at the very end: the output could not be made, or it was abandoned.
    pub fn end_problem(&self) -> Option<&Problem> {
        self.end.as_ref()?.problem.as_ref()
    }

    /// Where it stands.
    pub fn status(&self) -> Status {
        match &self.end {
            Some(End { status: EndStatus::Completed, .. }) => Status::Completed,
            Some(End { status: EndStatus::Compensated, .. }) => Status::Compensated,
            Some(End { status: EndStatus::Abandoned, .. }) => Status::Abandoned,
            None if self.stuck().is_some() => Status::Suspended,
            None => self.status_unless_stuck(),
        }
    }

    /// Where it would stand if no call were stuck.
    pub(super) fn status_unless_stuck(&self) -> Status {
        match self.decision {
            Some(Decision::Abort) => Status::Compensating,
            Some(Decision::Commit) if self.has_confirms() => Status::Confirming,
            Some(Decision::Commit) => Status::Running,
            None if self.started => Status::Running,
            None => Status::Queued,
        }
    }

    /// The first call that needs an operator.
    pub fn stuck(&self) -> Option<(StepIndex, Op)> {
        let is_stuck = |call: &Call| matches!(call.state, CallState::Stuck { .. });
        let of = |state: &StepState| [&state.forward, &state.confirm, &state.undo].map(is_stuck);
        let mut states = self.definition.indices().zip(&self.steps);
        let (index, state) = states.find(|(_, state)| of(state).contains(&true))?;
        let step = self.definition.step(index);
        let op = match of(state) {
            [true, ..] => step.forward_op(),
            [_, true, _] => Op::Confirm,
            _ => step.undo_op(),
        };
        Some((index, op))
    }

    /// Every call of every step, whether it was started or not.
    pub fn calls(&self) -> impl Iterator<Item = (StepIndex, Op, &Call)> {
        self.definition.indices().flat_map(move |index| {
            let (step, state) = (self.definition.step(index), self.step(index));
            let confirm = step.confirm.as_ref().map(|_| (index, Op::Confirm, &state.confirm));
            let undo = step.undo.as_ref().map(|_| (index, step.undo_op(), &state.undo));
            [Some((index, step.forward_op(), &state.forward)), confirm, undo].into_iter().flatten()
        })
    }

    /// What is known of a step's forward call, as its undo is told.
    pub fn forward_outcome(&self, step: StepIndex) -> ForwardOutcome {
        let forward = &self.step(step).forward;
        if forward.state == CallState::Succeeded {
            ForwardOutcome::Succeeded
        } else if forward.maybe_effect {
            ForwardOutcome::Unknown
        } else {
            ForwardOutcome::Refused
        }
    }

    /// The idempotency key of a call.
    pub fn call_key(&self, step: StepIndex, op: Op) -> CallKey {
        CallKey {
            saga_id: self.accepted.saga_id.clone(),
            step_id: self.definition.step(step).id.clone(),
            op,
        }
    }

    /// Whether a step needs nothing more for those after it to start.
    pub(super) fn is_done(&self, index: StepIndex) -> bool {
        let (step, state) = (self.definition.step(index), self.step(index));
        state.skipped.is_some()
            || match state.forward.state {
                CallState::Succeeded => true,
                CallState::Refused | CallState::GivenUp => step.optional,
                CallState::Idle
                | CallState::InFlight
                | CallState::Pending { .. }
                | CallState::Failed
                | CallState::Waiting { .. }
                | CallState::Stuck { .. } => false,
            }
    }

    /// Whether a step must be undone if the saga aborts (rule 5).
    pub(super) fn needs_undo(&self, index: StepIndex) -> bool {
        let (step, forward) = (self.definition.step(index), &self.step(index).forward);
        step.undo.is_some()
            && match forward.state {
                CallState::Succeeded => true,
                CallState::InFlight if Mutant::UndoOvertakes.is_on() => true,
                CallState::Refused if Mutant::RefusalIsFinal.is_on() => false,
                CallState::Refused => {
                    forward.maybe_effect || (step.undo_refused && forward.attempts > 0)
                }
                CallState::GivenUp => forward.maybe_effect,
                CallState::Idle
                | CallState::InFlight
                | CallState::Pending { .. }
                | CallState::Failed
                | CallState::Waiting { .. }
                | CallState::Stuck { .. } => false,
            }
    }

    /// Whether a TCC step must be confirmed once commit is decided.
    pub(super) fn needs_confirm(&self, index: StepIndex) -> bool {
        self.definition.step(index).kind == StepKind::Tcc
            && self.step(index).skipped.is_none()
            && self.step(index).forward.state == CallState::Succeeded
    }

    fn has_confirms(&self) -> bool {
        self.definition.indices().any(|index| self.needs_confirm(index))
    }

    /// Whether a call must not give up: undo, confirm, and what is left after the commit decision
    /// unless it is optional (rule 8).
    pub(super) fn is_persistent(&self, step: &Step, op: Op) -> bool {
        !op.is_forward() || (self.decision == Some(Decision::Commit) && !step.optional)
    }
}
