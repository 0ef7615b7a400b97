//! One saga, folded from its facts: what it is, beside what the engine makes of it.

use std::sync::Arc;

use amends_core::definition::{CheckBack, Definition, LockRelease, Mode, Starts, StepKind};
use amends_core::saga::{Accepted, Decision, EndStatus, Event, Op, Record, SkipReason, Status};
use amends_core::{SagaId, StepIndex, Timestamp};

use super::call::{CallWatch, Phase};

/// One saga.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact that stands or does not")]
pub(crate) struct SagaWatch {
    pub(crate) definition: Arc<Definition>,
    pub(crate) accepted: Arc<Accepted>,
    /// When its newest fact was written down.
    pub(crate) at: Timestamp,
    /// How many facts.
    pub(crate) facts: u64,
    /// The highest epoch that it was written under.
    pub(crate) epoch: u64,
    /// The highest epoch that it was read back under.
    pub(crate) taken_under: u64,
    pub(crate) started: bool,
    pub(crate) granted: bool,
    /// Its keys were taken away.
    pub(crate) was_taken: bool,
    pub(crate) cancelled: bool,
    pub(crate) commit_requested: bool,
    pub(crate) deadline_at: Option<Timestamp>,
    pub(crate) deadline_passed: bool,
    pub(crate) lock_wait_passed: bool,
    pub(crate) paused: bool,
    pub(crate) decision: Option<Decision>,
    pub(crate) end: Option<EndStatus>,
    pub(crate) steps: Vec<StepWatch>,
    pub(crate) is_deleted: bool,
}

/// The calls of one step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StepWatch {
    pub(crate) forward: CallWatch,
    pub(crate) confirm: CallWatch,
    pub(crate) undo: CallWatch,
    pub(crate) skipped: Option<SkipReason>,
}

impl StepWatch {
    pub(crate) const fn call(&self, op: Op) -> &CallWatch {
        match op {
            Op::Action | Op::Try => &self.forward,
            Op::Confirm => &self.confirm,
            Op::Compensation | Op::Cancel => &self.undo,
        }
    }

    const fn call_mut(&mut self, op: Op) -> &mut CallWatch {
        match op {
            Op::Action | Op::Try => &mut self.forward,
            Op::Confirm => &mut self.confirm,
            Op::Compensation | Op::Cancel => &mut self.undo,
        }
    }
}

impl SagaWatch {
    pub(crate) fn new(definition: Arc<Definition>, accepted: Arc<Accepted>, at: Timestamp) -> Self {
        let definition = match &accepted.prepared {
            Some(check_back) => Arc::new(definition.with_check_back(check_back)),
            None => definition,
        };
        Self {
            steps: vec![StepWatch::default(); definition.steps.len()],
            definition,
            at,
            facts: 1,
            epoch: 0,
            taken_under: 0,
            started: false,
            granted: false,
            was_taken: false,
            cancelled: accepted.cancelled.is_some(),
            commit_requested: false,
            deadline_at: accepted.deadline_at,
            deadline_passed: false,
            lock_wait_passed: false,
            paused: false,
            decision: None,
            end: None,
            is_deleted: false,
            accepted,
        }
    }

    pub(crate) fn id(&self) -> &SagaId {
        &self.accepted.saga_id
    }

    /// Where it stands.
    pub(crate) fn status(&self) -> Status {
        match (self.end, self.decision) {
            (Some(EndStatus::Completed), _) => Status::Completed,
            (Some(EndStatus::Compensated), _) => Status::Compensated,
            (Some(EndStatus::Abandoned), _) => Status::Abandoned,
            (None, _) if self.is_stuck() => Status::Suspended,
            (None, Some(Decision::Abort)) => Status::Compensating,
            (None, Some(Decision::Commit)) if self.has_confirms() => Status::Confirming,
            (None, Some(Decision::Commit)) => Status::Running,
            (None, None) if self.started => Status::Running,
            (None, None) => Status::Queued,
        }
    }

    /// Where it is taken over, for the coverage of takeovers.
    pub(crate) fn place(&self) -> &'static str {
        let is_interactive = self.definition.mode == Mode::Interactive;
        match self.status() {
            _ if self.paused && self.end.is_none() => "taken over, paused",
            Status::Queued => "taken over, queued",
            Status::Running if is_interactive && self.accepted.prepared.is_some() => {
                "taken over, prepared"
            }
            Status::Running if is_interactive => "taken over, interactive",
            Status::Running => "taken over, running",
            Status::Confirming => "taken over, confirming",
            Status::Compensating => "taken over, compensating",
            Status::Suspended => "taken over, suspended",
            Status::Completed | Status::Compensated | Status::Abandoned => "taken over, ended",
        }
    }

    fn is_stuck(&self) -> bool {
        let is_stuck = |call: &CallWatch| matches!(call.phase, Phase::Stuck(_));
        self.steps
            .iter()
            .any(|step| is_stuck(&step.forward) || is_stuck(&step.confirm) || is_stuck(&step.undo))
    }

    fn has_confirms(&self) -> bool {
        self.definition.indices().any(|index| self.needs_confirm(index))
    }

    pub(crate) fn needs_confirm(&self, index: StepIndex) -> bool {
        let state = &self.steps[index.get()];
        self.definition.step(index).kind == StepKind::Tcc
            && state.skipped.is_none()
            && state.forward.phase == Phase::Done
    }

    /// Whether its lock keys may go to others now.
    pub(crate) fn may_release(&self) -> bool {
        let release = self.definition.lock.as_ref().map(|lock| lock.release);
        self.end.is_some()
            || (self.decision == Some(Decision::Commit) && release == Some(LockRelease::Pivot))
    }

    /// Whether calls must wait for its lock keys.
    pub(super) fn waits_for_lock(&self) -> bool {
        let never_began = !self.started && self.decision.is_some();
        !self.accepted.lock_keys.is_empty() && !self.granted && !never_began && !self.may_release()
    }

    /// The step that asks a silent client.
    pub(crate) fn question(&self) -> Option<StepIndex> {
        let steps = &self.definition.steps;
        steps
            .iter()
            .position(|step| step.starts == Starts::WhenSilent)
            .and_then(|_| self.definition.index_of(CheckBack::STEP))
    }

    /// Takes a fact in; answers what it shows that must be seen now and then.
    pub(super) fn fold(&mut self, record: &Record) -> Vec<&'static str> {
        let (at, event) = (record.at, &record.event);
        let seen = self.sees(event);
        self.at = at;
        self.facts += 1;
        if let (Some(step), Some(op)) = (event.step(), op(event)) {
            self.steps[step.get()].call_mut(op).fold(at, event);
        }
        match event {
            Event::LockGranted { .. } => self.granted = true,
            Event::Started => self.started = true,
            Event::StepSkipped { step, reason } => {
                let step = &mut self.steps[step.get()];
                step.skipped = Some(*reason);
                step.forward.phase = Phase::Idle;
            }
            Event::Decided { decision, .. } => self.decided(*decision),
            Event::BranchEnlisted { branch } => {
                self.definition = Arc::new(self.definition.with_branch(branch));
                self.steps.push(StepWatch::default());
            }
            Event::CommitRequested { .. } => {
                self.commit_requested = true;
                self.drop_question();
            }
            Event::DeadlineExtended { until, .. } => self.deadline_at = Some(*until),
            Event::LockReleased { .. } => {
                self.granted = false;
                self.was_taken = true;
            }
            Event::DeadlinePassed => self.deadline_passed = true,
            Event::LockWaitPassed => self.lock_wait_passed = true,
            Event::CancelRequested { .. } => self.cancelled = true,
            Event::Paused { .. } => self.paused = true,
            Event::Resumed { .. } => self.paused = false,
            Event::Recovered { .. } => {
                for step in &mut self.steps {
                    for call in [&mut step.forward, &mut step.confirm, &mut step.undo] {
                        call.interrupt(at);
                    }
                }
            }
            Event::Ended { status, .. } => self.end = Some(*status),
            _ => {}
        }
        seen
    }

    fn decided(&mut self, decision: Decision) {
        self.decision = Some(decision);
        for (state, step) in self.steps.iter_mut().zip(&self.definition.steps) {
            if step.starts == Starts::ByClient {
                state.forward.maybe = true;
                state.forward.phase = match decision {
                    Decision::Commit => Phase::Done,
                    Decision::Abort => Phase::GivenUp,
                };
            }
        }
        self.drop_question();
    }

    fn drop_question(&mut self) {
        let Some(step) = self.question() else { return };
        let state = &mut self.steps[step.get()];
        if !matches!(state.forward.phase, Phase::Done | Phase::Refused) {
            state.forward.phase = Phase::Idle;
            state.skipped = Some(SkipReason::Decided);
        }
    }

    fn sees(&self, event: &Event) -> Vec<&'static str> {
        let asks = |step: &StepIndex| self.definition.step(*step).starts == Starts::WhenSilent;
        let what = match event {
            Event::LockReleased { .. } => "forced release",
            Event::StepSkipped { reason: SkipReason::Operator, .. } => "skipped by an operator",
            Event::StepSkipped { .. } => "skipped by its condition",
            Event::CallResolved { succeeded: true, .. } => "resolved as succeeded",
            Event::CallResolved { .. } => "resolved as failed",
            Event::CallStuck { .. } => "suspended",
            Event::CallPending { .. } => "pending",
            Event::DeadlinePassed if self.decision.is_none() => "deadline passed",
            Event::DeadlinePassed => "deadline passed after the decision",
            Event::DeadlineExtended { .. } => "deadline put off",
            Event::LockWaitPassed => "lock wait passed",
            Event::CancelRequested { by } if by.reason.starts_with("it is newer") => "replaced",
            Event::CancelRequested { .. } => "cancelled",
            Event::Paused { .. } => "paused",
            Event::RetryForced { .. } => "retry forced",
            Event::Recovered { .. } => "recovered",
            Event::CallAnswered { step, answer, .. } if asks(step) => match answer.outcome {
                amends_core::saga::OutcomeKind::Succeeded => "check-back yes",
                amends_core::saga::OutcomeKind::Refused => "check-back no",
                _ => "check-back unknown",
            },
            Event::Ended { status: EndStatus::Completed, .. } => "completed",
            Event::Ended { status: EndStatus::Compensated, .. } => "compensated",
            Event::Ended { status: EndStatus::Abandoned, .. } => "abandoned",
            _ => return Vec::new(),
        };
        vec![what]
    }
}

/// The operation that a fact about a call is about.
pub(super) const fn op(event: &Event) -> Option<Op> {
    match event {
        Event::CallStarted { op, .. }
        | Event::CallAnswered { op, .. }
        | Event::CallPending { op, .. }
        | Event::RetryScheduled { op, .. }
        | Event::CallGivenUp { op, .. }
        | Event::CallStuck { op, .. }
        | Event::RetryForced { op, .. }
        | Event::CallResolved { op, .. } => Some(*op),
        _ => None,
    }
}
