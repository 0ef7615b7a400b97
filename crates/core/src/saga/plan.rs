//! What a saga does next of its own accord: one fact at a time, from its state alone.
//!
//! [`Saga::next_fact`] is asked again until it has nothing to add. Order matters in two places
//! only: commit is looked for before abort (what is done is done), and the decision before
//! anything that follows from it.

use super::{CallState, Decision, EndStatus, Event, Op, Problem, Saga, SkipReason};
use crate::definition::{OnLost, Starts};
use crate::mutant::Mutant;
use crate::saga::{Answer, AttemptFailure, OutcomeKind};
use crate::{StepIndex, Timestamp};

impl Saga {
    /// The next fact, if there is one.
    pub(super) fn next_fact(&self, now: Timestamp) -> Option<Event> {
        if self.end.is_some() {
            return None;
        }
        match self.decision {
            None if !self.started => self.leave_queue(now),
            None => self.decide().or_else(|| self.start_forward()),
            Some(Decision::Commit) => self
                .hold_refused()
                .or_else(|| self.start_forward())
                .or_else(|| self.start_confirm())
                .or_else(|| self.complete()),
            Some(Decision::Abort) => {
                let forward = Mutant::ForwardAfterAbort.is_on().then(|| self.start_forward());
                forward
                    .flatten()
                    .or_else(|| self.give_up_forward())
                    .or_else(|| self.start_undo())
                    .or_else(|| {
                        self.is_undone().then(|| Self::ended(EndStatus::Compensated, None, None))
                    })
            }
        }
    }

    fn ended(status: EndStatus, output: Option<crate::Json>, problem: Option<Problem>) -> Event {
        Event::Ended { status, output, problem }
    }

    fn leave_queue(&self, now: Timestamp) -> Option<Event> {
        if let Some(reason) = self.abort_reason() {
            return Some(Event::Decided { decision: Decision::Abort, reason: Some(reason) });
        }
        let is_granted = self.accepted.lock_keys.is_empty() || self.tokens.is_some();
        let is_due =
            self.accepted.start_at.is_none_or(|at| at <= now || Mutant::StartsEarly.is_on());
        (is_granted && is_due && !self.paused).then_some(Event::Started)
    }

    /// Commit when the pivot is reached or everything is done; abort when something says so and
    /// the pivot is not in doubt.
    fn decide(&self) -> Option<Event> {
        let is_commit = match self.definition.graph.pivot() {
            _ if self.is_decided_from_outside() => self.is_commit_wanted(),
            Some(pivot) => self.is_done(pivot),
            None => self.definition.indices().all(|step| self.is_done(step)),
        };
        if is_commit {
            return Some(Event::Decided { decision: Decision::Commit, reason: None });
        }
        if self.undecided_pivot().is_some() {
            return None;
        }
        let reason = self.abort_reason()?;
        Some(Event::Decided { decision: Decision::Abort, reason: Some(reason) })
    }

    /// Why the saga must abort, if it must.
    pub(super) fn abort_reason(&self) -> Option<String> {
        if let Some(by) = &self.cancel {
            return Some(by.sentence("cancelled"));
        }
        if self.lock_wait_passed && !self.started {
            return Some("its lock keys were not granted within the longest wait".to_owned());
        }
        if self.lock_taken && self.on_lock_lost() == OnLost::Abort && !self.is_prepared() {
            return Some("its lock keys were taken away by an operator".to_owned());
        }
        if let Some((step, _)) = self.failed_step() {
            return Some(self.failure_sentence(step));
        }
        let is_prepared = self.is_prepared() && !Mutant::NestedExpires.is_on();
        let is_too_late = self.deadline_passed && !is_prepared && !self.hangs_on_client();
        is_too_late.then(|| "its deadline passed before it was decided".to_owned())
    }

    /// The step whose failure makes the saga abort.
    pub fn failed_step(&self) -> Option<(StepIndex, Op)> {
        self.definition.indices().find_map(|index| {
            let (step, state) = (self.definition.step(index), self.step(index));
            let is_failed = matches!(state.forward.state, CallState::Refused | CallState::GivenUp);
            // What the client calls is given up with the decision; that is no cause of it.
            let is_ours = step.starts != Starts::ByClient;
            (is_failed && is_ours && !step.optional && state.skipped.is_none())
                .then(|| (index, step.forward_op()))
        })
    }

    fn failure_sentence(&self, index: StepIndex) -> String {
        let (step, forward) = (self.definition.step(index), &self.step(index).forward);
        let how = if forward.state == CallState::Refused {
            "was refused"
        } else if forward.maybe_effect {
            "stayed unknown"
        } else {
            "could not be made"
        };
        let why = forward
            .problem
            .as_ref()
            .map_or(String::new(), |problem| format!(": {}", problem.detail));
        if step.starts == Starts::WhenSilent {
            return format!("its client has not committed{why}");
        }
        format!("{} of step {} {how}{why}", step.forward_op(), step.id)
    }

    /// Leaves out, or starts, the first step that may start. Conditions come before calls: one
    /// that fails may decide to abort, and nothing must be sent after that.
    fn start_forward(&self) -> Option<Event> {
        if !self.may_start_calls() {
            return None;
        }
        let mut first = None;
        for step in self.definition.indices().filter(|index| self.may_start(*index)) {
            let op = self.definition.step(step).forward_op();
            match self.condition(step) {
                Ok(true) => {
                    first.get_or_insert(Event::CallStarted { step, op, attempt: 1 });
                }
                Ok(false) => {
                    return Some(Event::StepSkipped { step, reason: SkipReason::Condition });
                }
                Err(error) => {
                    let problem = Problem {
                        kind: AttemptFailure::Expression,
                        status: None,
                        detail: format!("`when` could not be evaluated: {error}"),
                        body: None,
                    };
                    let answer = Box::new(Answer::failed(OutcomeKind::Refused, false, problem));
                    return Some(Event::CallAnswered { step, op, attempt: 0, answer });
                }
            }
        }
        first
    }

    /// After the commit decision a forward call that cannot even be made (its `when` failed) has
    /// nobody to undo it: an operator is needed.
    fn hold_refused(&self) -> Option<Event> {
        let (step, op) = self.failed_step()?;
        Some(Event::CallStuck { step, op, until: None })
    }

    /// Whether calls may start at all.
    fn may_start_calls(&self) -> bool {
        (!self.paused || Mutant::PauseIgnored.is_on()) && !self.held
    }

    /// Not only the direct predecessors count: one of them may be skipped before those that it
    /// comes after are done.
    fn may_start(&self, index: StepIndex) -> bool {
        let (state, graph) = (self.step(index), &self.definition.graph);
        if state.skipped.is_some()
            || self.waits_for_lock_at(index)
            || state.forward.state != CallState::Idle
            || !self.is_its_turn(index)
        {
            return false;
        }
        // The question after the client's own transaction waits for nothing else.
        self.definition.step(index).starts == Starts::WhenSilent
            || graph.starts_after(index).iter().all(|earlier| self.is_done(*earlier))
                && self
                    .definition
                    .indices()
                    .all(|earlier| !graph.is_before(earlier, index) || self.is_done(earlier))
    }

    fn start_confirm(&self) -> Option<Event> {
        if !self.may_start_calls() {
            return None;
        }
        self.definition
            .indices()
            .find(|index| {
                self.needs_confirm(*index)
                    && !self.waits_for_lock_at(*index)
                    && self.step(*index).confirm.state == CallState::Idle
            })
            .map(|step| Event::CallStarted { step, op: Op::Confirm, attempt: 1 })
    }

    fn complete(&self) -> Option<Event> {
        let is_complete = self.definition.indices().all(|index| {
            self.is_done(index)
                && (!self.needs_confirm(index)
                    || self.step(index).confirm.state == CallState::Succeeded)
        });
        if !is_complete {
            return None;
        }
        Some(match self.render_output() {
            Ok(output) => Self::ended(EndStatus::Completed, output, None),
            Err(error) => {
                let problem = Problem {
                    kind: AttemptFailure::Expression,
                    status: None,
                    detail: format!("every step took effect, but `output` failed: {error}"),
                    body: None,
                };
                Self::ended(EndStatus::Completed, None, Some(problem))
            }
        })
    }

    /// After an abort decision a forward call that waits for a retry is not tried again.
    fn give_up_forward(&self) -> Option<Event> {
        self.definition.indices().find_map(|step| {
            // A nested saga may be undone at any time: it decides by itself what came first.
            let is_nested = self.definition.step(step).nested.is_some();
            let is_open = match self.step(step).forward.state {
                CallState::Waiting { .. } => true,
                CallState::Pending { .. } => is_nested,
                CallState::Idle
                | CallState::InFlight
                | CallState::Failed
                | CallState::Succeeded
                | CallState::Refused
                | CallState::GivenUp
                | CallState::Stuck { .. } => false,
            };
            is_open
                .then(|| Event::CallGivenUp { step, op: self.definition.step(step).forward_op() })
        })
    }

    /// Starts the undo of the first step that needs one and may be undone (rules 6 and 7).
    fn start_undo(&self) -> Option<Event> {
        if !self.may_start_calls() {
            return None;
        }
        let may_undo = |index: &StepIndex| {
            self.step(*index).undo.state == CallState::Idle
                && !self.waits_for_lock_at(*index)
                && self.needs_undo(*index)
                && self.definition.indices().all(|later| {
                    !self.definition.graph.is_before(*index, later)
                        || self.is_step_undone(later)
                        || Mutant::UndoOrder.is_on()
                })
        };
        let step = self.definition.indices().rev().find(may_undo)?;
        Some(Event::CallStarted { step, op: self.definition.step(step).undo_op(), attempt: 1 })
    }

    /// Whether nothing of a step is open and nothing of it is left to undo.
    fn is_step_undone(&self, index: StepIndex) -> bool {
        let state = self.step(index);
        !state.forward.state.is_open()
            && (!self.needs_undo(index) || state.undo.state == CallState::Succeeded)
    }

    fn is_undone(&self) -> bool {
        self.definition.indices().all(|index| self.is_step_undone(index))
    }
}
