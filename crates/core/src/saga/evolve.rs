//! From facts to state. Nothing is decided here: a fact is true, whatever led to it.

use std::sync::Arc;

use super::state::End;
use super::{
    Answer, AttemptFailure, Call, CallState, Decision, Event, OutcomeKind, Problem, Record, Saga,
    SkipReason, StepState,
};
use crate::Timestamp;
use crate::definition::Definition;
use crate::mutant::Mutant;

/// Why a journal cannot be folded: it was damaged, or belongs to another definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// There is no first fact, or it is not that the saga was accepted.
    #[error("the journal does not begin with the saga's acceptance")]
    NoBeginning,
    /// Another acceptance, or anything after the end.
    #[error("fact {seq} of the journal cannot stand where it stands")]
    Misplaced {
        /// Number of the fact.
        seq: u64,
    },
    /// A fact names a step that the definition does not have.
    #[error("fact {seq} of the journal names a step that the definition does not have")]
    UnknownStep {
        /// Number of the fact.
        seq: u64,
    },
}

impl Saga {
    /// Folds a whole journal. The same facts give the same saga, always.
    ///
    /// # Errors
    ///
    /// [`ReplayError`].
    pub fn replay(definition: Arc<Definition>, records: &[Record]) -> Result<Self, ReplayError> {
        let (first, rest) = records.split_first().ok_or(ReplayError::NoBeginning)?;
        let Event::Accepted(accepted) = &first.event else {
            return Err(ReplayError::NoBeginning);
        };
        let mut saga = Self::from_accepted(definition, Arc::clone(accepted), first.at);
        for record in rest {
            saga.check_place(&record.event)?;
            saga.evolve(record.at, &record.event);
        }
        Ok(saga)
    }

    pub(super) fn from_accepted(
        definition: Arc<Definition>,
        accepted: Arc<super::Accepted>,
        at: Timestamp,
    ) -> Self {
        let definition = match &accepted.prepared {
            Some(check_back) => Arc::new(definition.with_check_back(check_back)),
            None => definition,
        };
        let accepted_cancel = accepted.cancelled.clone();
        Self {
            steps: vec![StepState::default(); definition.steps.len()],
            definition,
            deadline_at: accepted.deadline_at,
            accepted,
            accepted_at: at,
            branches: Vec::new(),
            started: false,
            tokens: None,
            decision: None,
            reason: None,
            cancel: accepted_cancel,
            commit_requested: false,
            lock_taken: false,
            deadline_passed: false,
            lock_wait_passed: false,
            paused: false,
            end: None,
            fact_count: 1,
            assumes_conditions: false,
            held: false,
        }
    }

    fn check_place(&self, event: &Event) -> Result<(), ReplayError> {
        let seq = self.fact_count;
        if matches!(event, Event::Accepted(_)) || self.end.is_some() {
            return Err(ReplayError::Misplaced { seq });
        }
        match event.step() {
            Some(step) if step.get() >= self.steps.len() => Err(ReplayError::UnknownStep { seq }),
            _ => Ok(()),
        }
    }

    /// Takes one fact in.
    pub(super) fn evolve(&mut self, at: Timestamp, event: &Event) {
        self.fact_count += 1;
        match event {
            Event::Accepted(_) => {}
            Event::LockGranted { tokens } => self.tokens = Some(tokens.clone()),
            Event::Started => self.started = true,
            Event::StepSkipped { step, reason } => {
                let step = &mut self.steps[step.get()];
                step.skipped = Some(*reason);
                step.forward.state = CallState::Idle;
            }
            Event::CallStarted { step, op, attempt } => {
                let call = self.steps[step.get()].call_mut(*op);
                call.state = CallState::InFlight;
                call.attempts = *attempt;
            }
            Event::CallAnswered { step, op, answer, .. } => {
                self.steps[step.get()].call_mut(*op).answered(answer);
            }
            Event::CallPending { step, op, until, location } => {
                self.steps[step.get()].call_mut(*op).state =
                    CallState::Pending { until: *until, location: location.clone() };
            }
            Event::RetryScheduled { step, op, until } => {
                self.steps[step.get()].call_mut(*op).state = CallState::Waiting { until: *until };
            }
            Event::CallGivenUp { step, op } => {
                let call = self.steps[step.get()].call_mut(*op);
                call.maybe_effect |= matches!(call.state, CallState::Pending { .. });
                call.state = CallState::GivenUp;
            }
            Event::CallStuck { step, op, until } => {
                self.steps[step.get()].call_mut(*op).state = CallState::Stuck { until: *until };
            }
            Event::Decided { decision, reason } => {
                self.decision = Some(*decision);
                self.reason.clone_from(reason);
                self.settle_client_calls(*decision);
            }
            Event::BranchEnlisted { branch } => self.enlisted(branch),
            Event::CommitRequested { .. } => {
                self.commit_requested = true;
                self.drop_question();
            }
            Event::DeadlineExtended { until, .. } => self.deadline_at = Some(*until),
            Event::LockReleased { .. } => self.lock_released(),
            Event::DeadlinePassed => self.deadline_passed = true,
            Event::LockWaitPassed => self.lock_wait_passed = true,
            Event::CancelRequested { by } => self.cancel = Some(by.clone()),
            Event::Paused { .. } => self.paused = true,
            Event::Resumed { .. } => self.paused = false,
            Event::RetryForced { step, op, .. } => {
                let call = self.steps[step.get()].call_mut(*op);
                call.attempts_forgiven = call.attempts;
                call.state = CallState::Waiting { until: at };
            }
            Event::CallResolved { step, op, succeeded, output, by } => {
                self.steps[step.get()].call_mut(*op).resolved(*succeeded, output.as_ref(), by);
            }
            Event::Recovered { .. } => self.interrupt(at),
            Event::Ended { status, output, problem } => {
                self.end = Some(End {
                    status: *status,
                    output: output.clone(),
                    problem: problem.clone(),
                    at,
                });
            }
        }
    }

    /// Attempts that the last owner made may have reached their participants, and their answers
    /// are lost.
    fn interrupt(&mut self, at: Timestamp) {
        if Mutant::CrashForgotten.is_on() {
            return;
        }
        for step in &mut self.steps {
            for call in [&mut step.forward, &mut step.confirm, &mut step.undo] {
                call.maybe_effect |= call.may_have_gone_on(at);
            }
        }
    }
}

impl Call {
    /// Whether an attempt may be on its way when an owner is lost: the one that the journal knows,
    /// or a later one, since only the first is awaited. That it was still pending is certain
    /// before its time, since what completes it is awaited too.
    pub(super) fn may_have_gone_on(&self, at: Timestamp) -> bool {
        match self.state {
            CallState::InFlight | CallState::Failed => true,
            CallState::Waiting { .. } | CallState::Stuck { until: Some(_) } => self.attempts > 0,
            CallState::Pending { until, .. } => until <= at,
            CallState::Idle
            | CallState::Succeeded
            | CallState::Refused
            | CallState::GivenUp
            | CallState::Stuck { until: None } => false,
        }
    }

    fn answered(&mut self, answer: &Answer) {
        self.problem.clone_from(&answer.problem);
        self.retry = answer.retry.or(self.retry);
        self.state = match answer.outcome {
            OutcomeKind::Succeeded => {
                self.output.clone_from(&answer.output);
                CallState::Succeeded
            }
            OutcomeKind::Refused => CallState::Refused,
            // What is pending is still to be answered.
            OutcomeKind::Pending => CallState::Failed,
            OutcomeKind::Unknown if Mutant::TimeoutIsRefusal.is_on() => CallState::Refused,
            OutcomeKind::Retryable | OutcomeKind::Unknown => {
                self.maybe_effect |= answer.sent;
                CallState::Failed
            }
        };
    }

    fn resolved(&mut self, succeeded: bool, output: Option<&crate::Json>, by: &super::Actor) {
        if succeeded {
            self.state = CallState::Succeeded;
            self.output = output.cloned();
        } else {
            self.state = CallState::Refused;
            self.maybe_effect = false;
            self.problem = Some(Problem {
                kind: AttemptFailure::Operator,
                status: None,
                detail: by.sentence("resolved as failed"),
                body: None,
            });
        }
    }
}

impl Event {
    /// The step it is about, if it is about one.
    pub const fn step(&self) -> Option<crate::StepIndex> {
        match self {
            Self::StepSkipped { step, .. }
            | Self::CallStarted { step, .. }
            | Self::CallAnswered { step, .. }
            | Self::CallPending { step, .. }
            | Self::RetryScheduled { step, .. }
            | Self::CallGivenUp { step, .. }
            | Self::CallStuck { step, .. }
            | Self::RetryForced { step, .. }
            | Self::CallResolved { step, .. } => Some(*step),
            Self::Accepted(_)
            | Self::LockGranted { .. }
            | Self::Started
            | Self::Decided { .. }
            | Self::BranchEnlisted { .. }
            | Self::CommitRequested { .. }
            | Self::DeadlineExtended { .. }
            | Self::LockReleased { .. }
            | Self::DeadlinePassed
            | Self::LockWaitPassed
            | Self::CancelRequested { .. }
            | Self::Paused { .. }
            | Self::Resumed { .. }
            | Self::Recovered { .. }
            | Self::Ended { .. } => None,
        }
    }
}

impl super::Actor {
    /// `what` with who did it and why, as one sentence.
    pub(super) fn sentence(&self, what: &str) -> String {
        let who = if self.name.is_empty() { String::new() } else { format!(" by {}", self.name) };
        if self.reason.is_empty() {
            format!("{what}{who}")
        } else {
            format!("{what}{who}: {}", self.reason)
        }
    }
}

/// Kept beside the fold, since it is what the fold leaves to the reader.
impl SkipReason {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Condition => "condition",
            Self::Operator => "operator",
            Self::Decided => "decided",
        }
    }
}

impl Decision {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Abort => "abort",
        }
    }
}
