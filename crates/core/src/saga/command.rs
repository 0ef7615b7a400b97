//! What clients and operators may ask, and when it makes sense.

use super::Handled;
use super::{
    Actor, CallState, Command, Decision, EndStatus, Event, Op, Refusal, Saga, SkipReason, Status,
};
use crate::definition::{Mode, Starts};
use crate::mutant::Mutant;
use crate::{StepId, StepIndex, Timestamp};

impl Saga {
    /// Carries a command out.
    pub(super) fn carry_out(
        &mut self,
        at: Timestamp,
        command: &Command,
        by: Actor,
        handled: &mut Handled,
    ) -> Result<(), Refusal> {
        self.permits(command)?;
        match command {
            Command::Pause if self.paused => {}
            Command::Resume if !self.paused => {}
            Command::Cancel if self.decision.is_some() || self.cancel.is_some() => {}
            Command::Pause => self.note(at, Event::Paused { by }, handled),
            Command::Resume => self.note(at, Event::Resumed { by }, handled),
            Command::Cancel => self.note(at, Event::CancelRequested { by }, handled),
            Command::RetryNow { step } => {
                for (step, op) in self.retryable(step.as_ref()) {
                    let attempt = self.step(step).call(op).attempts + 1;
                    self.note(at, Event::RetryForced { step, op, by: by.clone() }, handled);
                    // Where the saga is handed over, the next owner finds the retry due; where its
                    // lock keys are taken away, it is due when they are granted again.
                    if !self.held && !self.waits_for_lock_at(step) {
                        self.note(at, Event::CallStarted { step, op, attempt }, handled);
                    }
                }
            }
            Command::Skip { step } => {
                let step = self.named(step)?;
                let reason = SkipReason::Operator;
                self.note(at, Event::StepSkipped { step, reason }, handled);
            }
            Command::ResolveSucceeded { step, output, op: _ } => {
                let (step, op) = self.unsettled(self.named(step)?).ok_or(Refusal::Stale)?;
                let output = output.clone();
                let event = Event::CallResolved { step, op, succeeded: true, output, by };
                self.note(at, event, handled);
            }
            Command::ResolveFailed { step } | Command::ResolveUndone { step } => {
                let succeeded = matches!(command, Command::ResolveUndone { .. });
                let (step, op) = self.unsettled(self.named(step)?).ok_or(Refusal::Stale)?;
                let event = Event::CallResolved { step, op, succeeded, output: None, by };
                self.note(at, event, handled);
            }
            Command::Abandon => {
                let problem = super::Problem {
                    kind: super::AttemptFailure::Operator,
                    status: None,
                    detail: by.sentence("abandoned"),
                    body: None,
                };
                let status = EndStatus::Abandoned;
                let event = Event::Ended { status, output: None, problem: Some(problem) };
                self.note(at, event, handled);
            }
            Command::Enlist { branch } => self.enlist(at, branch, handled),
            Command::Commit | Command::ParentDecided { decision: Decision::Commit } => {
                if !self.commit_requested && self.decision.is_none() {
                    self.note(at, Event::CommitRequested { by }, handled);
                } else if Mutant::ConfirmDropped.is_on() {
                    let (output, problem) = (None, None);
                    let event = Event::Ended { status: EndStatus::Completed, output, problem };
                    self.note(at, event, handled);
                }
            }
            Command::Replace | Command::ParentDecided { decision: Decision::Abort } => {
                if self.cancel.is_none() && self.decision.is_none() {
                    self.note(at, Event::CancelRequested { by }, handled);
                }
            }
            Command::Extend { until } => {
                self.note(at, Event::DeadlineExtended { until: *until, by }, handled);
            }
            Command::ReleaseLock => self.note(at, Event::LockReleased { by }, handled),
        }
        Ok(())
    }

    /// Whether a command would be carried out now. Repeating one that has had its effect is
    /// permitted and changes nothing.
    ///
    /// # Errors
    ///
    /// [`Refusal`] says why not.
    pub fn permits(&self, command: &Command) -> Result<(), Refusal> {
        if self.end.is_some() {
            return self.permits_repetition(command);
        }
        match command {
            Command::Enlist { branch } => self.permits_enlist(branch),
            Command::Commit => self.permits_commit(),
            Command::Extend { .. } => self.permits_interaction(command.as_str()),
            Command::ParentDecided { decision } => self.permits_parent(*decision),
            Command::Replace if self.status() == Status::Queued => Ok(()),
            Command::Replace => Err(Refusal::WrongStatus {
                status: self.status(),
                command: command.as_str(),
                needed: "is queued",
            }),
            Command::ReleaseLock if self.tokens().is_empty() => Err(Refusal::NoLock),
            Command::ReleaseLock | Command::Pause | Command::Resume => Ok(()),
            Command::Cancel => self.permits_cancel(),
            Command::RetryNow { .. } if self.paused => Err(Refusal::WrongStatus {
                status: self.status(),
                command: command.as_str(),
                needed: "is not paused",
            }),
            Command::RetryNow { step } => {
                if let Some(step) = step {
                    self.named(step)?;
                }
                if self.retryable(step.as_ref()).is_empty() {
                    return Err(Refusal::NothingToRetry);
                }
                Ok(())
            }
            Command::Skip { step } => self.permits_skip(step, command),
            Command::ResolveSucceeded { step, op, .. } => {
                self.permits_op(step, *op)?;
                self.permits_resolve(step, command, |op| !op.is_undo())
            }
            Command::ResolveFailed { step } => self.permits_resolve(step, command, Op::is_forward),
            Command::ResolveUndone { step } => self.permits_resolve(step, command, Op::is_undo),
            Command::Abandon => self.permits_abandon(command),
        }
    }

    /// The commands on the whole saga that are permitted now.
    pub fn permitted(&self) -> Vec<Command> {
        let all = [
            if self.paused { Command::Resume } else { Command::Pause },
            Command::Commit,
            Command::Cancel,
            Command::RetryNow { step: None },
            Command::Abandon,
        ];
        let is_cancelling = self.cancel.is_some() || self.decision == Some(Decision::Abort);
        all.into_iter()
            .filter(|command| self.permits(command).is_ok())
            .filter(|command| !(is_cancelling && *command == Command::Cancel))
            .filter(|command| !(self.commit_requested && *command == Command::Commit))
            .collect()
    }

    /// The commands on one step that are permitted now.
    pub fn permitted_on(&self, step: StepIndex) -> Vec<Command> {
        let op = self.unsettled(step).map(|(_, op)| op);
        let step = &self.definition.step(step).id;
        let all = [
            Command::RetryNow { step: Some(step.clone()) },
            Command::Skip { step: step.clone() },
            Command::ResolveSucceeded { step: step.clone(), output: None, op },
            Command::ResolveFailed { step: step.clone() },
            Command::ResolveUndone { step: step.clone() },
        ];
        all.into_iter().filter(|command| self.permits(command).is_ok()).collect()
    }

    /// The command in the words of the first journal format, which cannot say which call was looked
    /// into: only where none but that one can be open by the time it is read. The other commands
    /// fit the calls of one operation only.
    ///
    /// # Errors
    ///
    /// [`Refusal`] says why not.
    pub fn in_first_format(&self, command: Command) -> Result<Command, Refusal> {
        self.permits(&command)?;
        let word = command.as_str();
        let Command::ResolveSucceeded { step, output, op } = command else { return Ok(command) };
        // A confirm may follow a try, unless the saga is paused. Nothing follows a confirm.
        if op == Some(Op::Try) && !self.paused {
            let needed = "is paused, until every coordinator reads journal format 2";
            return Err(Refusal::WrongStatus { status: self.status(), command: word, needed });
        }
        Ok(Command::ResolveSucceeded { step, output, op: None })
    }

    /// After the end only what has had its effect may be asked again.
    fn permits_repetition(&self, command: &Command) -> Result<(), Refusal> {
        let is_interactive = self.mode() == Mode::Interactive;
        match (command, self.status()) {
            (Command::Commit, Status::Completed | Status::Compensated) if is_interactive => {
                self.permits_commit()
            }
            (Command::Cancel, Status::Completed) if is_interactive => Err(Refusal::Committed),
            (Command::Commit | Command::Enlist { .. } | Command::Extend { .. }, _)
                if !is_interactive =>
            {
                Err(Refusal::NotInteractive)
            }
            (Command::ParentDecided { .. }, _) if self.accepted.parent.is_none() => {
                Err(Refusal::NotInteractive)
            }
            (
                Command::Cancel | Command::ParentDecided { decision: Decision::Abort },
                Status::Compensated,
            )
            | (Command::ParentDecided { decision: Decision::Commit }, Status::Completed) => Ok(()),
            (_, status) => Err(Refusal::Ended(status)),
        }
    }

    fn permits_parent(&self, wanted: Decision) -> Result<(), Refusal> {
        match (self.decision, wanted) {
            _ if self.accepted.parent.is_none() => Err(Refusal::NotInteractive),
            (Some(Decision::Commit), Decision::Abort) => Err(Refusal::Committed),
            (Some(Decision::Abort), Decision::Commit) => {
                Err(Refusal::Aborted(self.reason().unwrap_or_default().to_owned()))
            }
            (None | Some(Decision::Commit), Decision::Commit)
            | (None | Some(Decision::Abort), Decision::Abort) => Ok(()),
        }
    }

    fn permits_cancel(&self) -> Result<(), Refusal> {
        if let (true, Some(parent)) = (self.is_prepared(), &self.accepted.parent) {
            return Err(Refusal::Nested(parent.saga_id.clone()));
        }
        match (self.decision, self.undecided_pivot()) {
            (Some(Decision::Commit), _) => Err(Refusal::Committed),
            (None, _) if self.is_commit_promised() => Err(Refusal::CommitRequested),
            (None, Some(pivot)) => {
                Err(Refusal::PivotUndecided(self.definition.step(pivot).id.clone()))
            }
            (Some(Decision::Abort), _) | (None, None) => Ok(()),
        }
    }

    fn permits_skip(&self, step: &StepId, command: &Command) -> Result<(), Refusal> {
        let index = self.named(step)?;
        let state = self.step(index);
        let may_skip = self.decision != Some(Decision::Abort)
            && state.skipped.is_none()
            && !self.definition.step(index).pivot
            && self.definition.step(index).starts != Starts::ByClient
            && self.definition.step(index).nested.is_none()
            && match state.forward.state {
                CallState::Idle => true,
                CallState::Waiting { .. } | CallState::Stuck { .. } => {
                    !state.forward.maybe_effect || Mutant::SkipBlind.is_on()
                }
                CallState::InFlight
                | CallState::Pending { .. }
                | CallState::Failed
                | CallState::Succeeded
                | CallState::Refused
                | CallState::GivenUp => false,
            };
        if may_skip {
            return Ok(());
        }
        Err(self.wrong_state(
            index,
            command,
            "is not the pivot, of which nothing can have happened, in a saga that is not undoing",
        ))
    }

    /// What was found out of one call is not said of another.
    fn permits_op(&self, step: &StepId, named: Option<Op>) -> Result<(), Refusal> {
        let open = self.unsettled(self.named(step)?).map(|(_, op)| op);
        match (named, open) {
            (Some(named), Some(open)) if named != open => {
                Err(Refusal::OtherCall { step: step.clone(), open, named })
            }
            _ => Ok(()),
        }
    }

    fn permits_resolve(
        &self,
        step: &StepId,
        command: &Command,
        fits: fn(Op) -> bool,
    ) -> Result<(), Refusal> {
        let index = self.named(step)?;
        let needed = "has a call of that kind which waits for a retry or is stuck";
        let Some((_, op)) = self.unsettled(index).filter(|(_, op)| fits(*op)) else {
            return Err(self.wrong_state(index, command, needed));
        };
        // After the commit decision a step cannot be given up, only seen to have succeeded.
        let is_too_late =
            matches!(command, Command::ResolveFailed { .. }) && self.decision.is_some();
        if is_too_late && self.is_persistent(self.definition.step(index), op) {
            return Err(Refusal::Committed);
        }
        Ok(())
    }

    fn permits_abandon(&self, command: &Command) -> Result<(), Refusal> {
        let is_quiet = self.calls().all(|(_, _, call)| call.state != CallState::InFlight);
        if self.status() == Status::Suspended && is_quiet {
            return Ok(());
        }
        Err(Refusal::WrongStatus {
            status: self.status(),
            command: command.as_str(),
            needed: "is suspended and has no call in flight",
        })
    }

    fn wrong_state(&self, index: StepIndex, command: &Command, needed: &'static str) -> Refusal {
        let state = self.step(index);
        let words = match (state.skipped, self.unsettled(index)) {
            (Some(_), _) => "skipped".to_owned(),
            (None, Some((_, op))) => format!("{op} {}", state.call(op).state.as_str()),
            (None, None) => {
                let op = self.definition.step(index).forward_op();
                format!("{op} {}", state.forward.state.as_str())
            }
        };
        Refusal::WrongStepState {
            step: self.definition.step(index).id.clone(),
            state: words,
            command: command.as_str(),
            needed,
        }
    }

    fn named(&self, step: &StepId) -> Result<StepIndex, Refusal> {
        self.definition.index_of(step.as_str()).ok_or_else(|| Refusal::UnknownStep(step.clone()))
    }

    /// The step's call that waits for a retry or is stuck; there is at most one.
    fn unsettled(&self, step: StepIndex) -> Option<(StepIndex, Op)> {
        self.calls().find_map(|(index, op, call)| {
            let is_unsettled =
                matches!(call.state, CallState::Waiting { .. } | CallState::Stuck { .. });
            (index == step && is_unsettled && self.step(index).skipped.is_none())
                .then_some((index, op))
        })
    }

    fn retryable(&self, step: Option<&StepId>) -> Vec<(StepIndex, Op)> {
        self.definition
            .indices()
            .filter(|index| step.is_none_or(|step| self.definition.step(*index).id == *step))
            .filter_map(|index| self.unsettled(index))
            .collect()
    }
}
