//! Whether a fact may stand where it stands: the table of legal transitions, and what the rules say
//! of the saga as a whole.

use amends_core::definition::{Mode, OnLost, Starts};
use amends_core::saga::{Decision, EndStatus, Event, OutcomeKind, Record, SkipReason};
use amends_core::{StepIndex, Timestamp};

use super::call::Phase;
use super::saga::{SagaWatch, op};

/// The rule that is broken, if one is.
pub(super) type Broken = Option<&'static str>;

impl SagaWatch {
    /// Judges the next fact.
    pub(super) fn check(&self, record: &Record, epoch: u64) -> Broken {
        let (at, event) = (record.at, &record.event);
        if self.end.is_some() {
            return Some("S3: a fact after the end");
        }
        if at < self.at {
            return Some("S3: time goes back");
        }
        if event.step().is_some_and(|step| step.get() >= self.steps.len()) {
            return Some("S3: a fact about a step that is not there");
        }
        if let (Some(step), Some(op)) = (event.step(), op(event)) {
            if self.definition.step(step).operation(op).is_none() {
                return Some("S3: a step has no such operation");
            }
            let state = &self.steps[step.get()];
            if let Some(rule) = state.call(op).check(at, event) {
                return Some(rule);
            }
        }
        self.check_saga(at, event, epoch)
    }

    fn check_saga(&self, at: Timestamp, event: &Event, epoch: u64) -> Broken {
        let is_interactive = self.definition.mode == Mode::Interactive;
        let is_open = self.decision.is_none();
        let rule = |holds: bool, rule| (!holds).then_some(rule);
        match event {
            Event::Accepted(_) => Some("S3: a second acceptance"),
            Event::LockGranted { tokens } => {
                let count = self.accepted.lock_keys.len();
                rule(count > 0 && !self.granted && tokens.len() == count, "S3: a grant")
            }
            Event::Started => self.check_started(at),
            Event::StepSkipped { step, reason } => self.check_skipped(*step, *reason),
            Event::CallStarted { step, op, attempt } if op.is_forward() => {
                self.check_forward(*step, *attempt)
            }
            Event::CallStarted { step, op, .. } if op.is_undo() => self.check_undo(*step),
            Event::CallStarted { step, .. } => self.check_confirm(*step),
            Event::RetryScheduled { step, op, .. } | Event::CallStuck { step, op, .. } => {
                let is_no = self.steps[step.get()].forward.phase == Phase::Refused;
                let asks = self.definition.step(*step).starts == Starts::WhenSilent;
                let aborts = op.is_forward() && self.decision == Some(Decision::Abort);
                rule(!aborts, "S6: a forward call goes on after the abort")
                    .or_else(|| rule(!(asks && is_no), "rule 5: a client's no is no answer"))
            }
            Event::CallGivenUp { step, op } => {
                let forward = self.steps[step.get()].forward.phase;
                let is_nested = self.definition.step(*step).nested.is_some();
                let is_free = match forward {
                    Phase::Waiting(_) => self.decision == Some(Decision::Abort),
                    Phase::Pending(_) => is_nested && self.decision == Some(Decision::Abort),
                    Phase::Answered(outcome, _) => outcome != OutcomeKind::Pending,
                    _ => true,
                };
                let asks = self.definition.step(*step).starts == Starts::WhenSilent;
                rule(op.is_forward() && is_free, "rule 8: a call was given up")
                    .or_else(|| rule(!asks, "rule 9: a client's answer was given up"))
            }
            Event::Decided { decision, .. } if is_open => match decision {
                Decision::Commit => self.check_commit(),
                Decision::Abort => self.check_abort(),
            },
            Event::Decided { .. } => Some("rule 4: a second decision"),
            Event::BranchEnlisted { .. } => {
                let is_running = self.started && !self.paused && !self.waits_for_lock();
                let is_asking = !self.commit_requested && !self.deadline_passed && is_open;
                rule(is_interactive && is_running && is_asking, "S3: a branch")
            }
            Event::CommitRequested { .. } => {
                let is_outside = is_interactive || self.accepted.parent.is_some();
                rule(is_outside && is_open && !self.commit_requested, "S3: a request to commit")
            }
            Event::DeadlineExtended { .. } => {
                rule(is_interactive && is_open && !self.deadline_passed, "S3: a deadline put off")
            }
            Event::LockReleased { .. } => rule(self.granted, "S3: a release of no keys"),
            Event::DeadlinePassed => {
                let is_past = self.deadline_at.is_some_and(|deadline| deadline <= at);
                rule(is_past, "S20: a deadline passed before its time")
                    .or_else(|| rule(!self.deadline_passed, "S20: a deadline passed twice"))
            }
            Event::LockWaitPassed => {
                let until = self.accepted.lock_wait_until;
                rule(until.is_some_and(|until| until <= at), "S20: a lock wait before its time")
                    .or_else(|| rule(!self.lock_wait_passed, "S20: a lock wait passed twice"))
            }
            Event::CancelRequested { by } => {
                let parent = self.accepted.parent.as_ref();
                let is_parents = parent.is_none_or(|parent| {
                    !self.is_prepared() || by.name == format!("saga {}", parent.saga_id)
                });
                rule(is_open && !self.cancelled, "S3: a cancellation")
                    .or_else(|| rule(is_parents, "rule 4: cancelled by another than its parent"))
            }
            Event::Paused { .. } => rule(!self.paused, "S3: a pause of what is paused"),
            Event::Resumed { .. } => rule(self.paused, "S3: a resumption of what runs"),
            Event::RetryForced { .. } => rule(!self.paused, "S3: a retry of what is paused"),
            Event::CallResolved { step, op, succeeded: false, .. } => {
                let optional = self.definition.step(*step).optional;
                let is_committed = self.decision == Some(Decision::Commit) && !optional;
                rule(op.is_forward() && !is_committed, "rule 8: resolved as failed")
            }
            Event::Recovered { epoch: own } => rule(*own == epoch, "S4: another epoch"),
            Event::Ended { status, .. } => self.check_end(*status),
            Event::CallAnswered { .. } | Event::CallPending { .. } | Event::CallResolved { .. } => {
                None
            }
        }
    }

    fn check_started(&self, at: Timestamp) -> Broken {
        if self.accepted.start_at.is_some_and(|start| start > at) {
            return Some("S20: started before its time");
        }
        if self.waits_for_lock() {
            return Some("rule 12: started without its lock keys");
        }
        let fits = !self.started && self.decision.is_none() && !self.paused && !self.cancelled;
        (!fits).then_some("S3: a start")
    }

    fn check_skipped(&self, index: StepIndex, reason: SkipReason) -> Broken {
        let (step, state) = (self.definition.step(index), &self.steps[index.get()]);
        let is_free = self.decision != Some(Decision::Abort) && state.skipped.is_none();
        let is_untouched = match (reason, state.forward.phase) {
            (_, Phase::Idle) => true,
            (SkipReason::Operator, Phase::Waiting(_) | Phase::Stuck(_)) => !state.forward.maybe,
            _ => false,
        };
        let is_mine = reason == SkipReason::Condition || !step.pivot;
        (!(is_free && is_untouched && is_mine)).then_some("S3: a step is skipped")
    }

    /// Whether a nested saga has done its part.
    pub(super) fn is_prepared(&self) -> bool {
        self.accepted.parent.is_some()
            && self.started
            && self.decision.is_none()
            && self.definition.indices().all(|index| self.is_done(index))
    }

    fn check_commit(&self) -> Broken {
        let is_outside =
            self.definition.mode == Mode::Interactive || self.accepted.parent.is_some();
        let said_yes =
            self.question().is_some_and(|step| self.steps[step.get()].forward.phase == Phase::Done);
        let is_reached = if is_outside {
            let is_own = |index: &StepIndex| self.definition.step(*index).starts == Starts::InOrder;
            (self.commit_requested || said_yes)
                && self.definition.indices().filter(is_own).all(|index| self.is_done(index))
        } else {
            match self.definition.graph.pivot() {
                Some(pivot) => self.is_done(pivot),
                None => self.definition.indices().all(|index| self.is_done(index)),
            }
        };
        (!is_reached).then_some("rule 4: commit before everything is done")
    }

    fn check_abort(&self) -> Broken {
        if let Some(pivot) = self.definition.graph.pivot() {
            let (step, state) = (self.definition.step(pivot), &self.steps[pivot.get()]);
            let forward = &state.forward;
            let asks = step.starts == Starts::WhenSilent;
            let is_unknown = match forward.phase {
                Phase::Done => return Some("S11: abort after the pivot"),
                Phase::InFlight | Phase::Pending(_) | Phase::Answered(..) | Phase::Stuck(_) => true,
                Phase::Waiting(_) => forward.maybe || asks,
                Phase::Idle | Phase::Refused | Phase::GivenUp => {
                    forward.maybe && state.skipped.is_none() && !asks && step.undo.is_none()
                }
            };
            if is_unknown && step.undo.is_none() {
                return Some("rule 9: abort while the pivot's outcome is unknown");
            }
        }
        if self.accepted.prepared.is_some() && self.commit_requested {
            return Some("rule 4: abort after a promised commit");
        }
        if self.is_prepared() && !self.cancelled {
            return Some("rule 4: a nested saga aborts that has done its part");
        }
        let on_lost = self.definition.lock.as_ref().map(|lock| lock.on_lost);
        let is_caused = self.cancelled
            || self.deadline_passed
            || self.lock_wait_passed
            || (self.was_taken && on_lost == Some(OnLost::Abort))
            || self.definition.indices().any(|index| self.has_failed(index));
        (!is_caused).then_some("rule 4: abort without a cause")
    }

    fn has_failed(&self, index: StepIndex) -> bool {
        let (step, state) = (self.definition.step(index), &self.steps[index.get()]);
        !step.optional
            && state.skipped.is_none()
            && step.starts != Starts::ByClient
            && matches!(state.forward.phase, Phase::Refused | Phase::GivenUp)
    }

    fn check_end(&self, status: EndStatus) -> Broken {
        let mut indices = self.definition.indices();
        let holds = match status {
            EndStatus::Completed => {
                self.decision == Some(Decision::Commit)
                    && indices.all(|index| {
                        let confirm = self.steps[index.get()].confirm.phase;
                        self.is_done(index)
                            && (!self.needs_confirm(index) || confirm == Phase::Done)
                    })
            }
            EndStatus::Compensated => {
                self.decision == Some(Decision::Abort) && indices.all(|index| self.is_undone(index))
            }
            EndStatus::Abandoned => self.status() == amends_core::saga::Status::Suspended,
        };
        (!holds).then_some("rule 4: an end before all is done")
    }
}
