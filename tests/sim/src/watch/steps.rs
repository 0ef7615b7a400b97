//! Whether a call may start: order forward and backward, and what a decision allows.

use amends_core::StepIndex;
use amends_core::definition::{Mode, Starts};
use amends_core::saga::{Decision, Op};
use amends_ports::OutgoingCall;

use super::call::Phase;
use super::facts::Broken;
use super::saga::SagaWatch;

impl SagaWatch {
    /// Whether those that come after a step may start.
    pub(super) fn is_done(&self, index: StepIndex) -> bool {
        let (step, state) = (self.definition.step(index), &self.steps[index.get()]);
        state.skipped.is_some()
            || match state.forward.phase {
                Phase::Done => true,
                Phase::Refused | Phase::GivenUp => step.optional,
                _ => false,
            }
    }

    /// Rule 5.
    pub(crate) fn needs_undo(&self, index: StepIndex) -> bool {
        let (step, forward) = (self.definition.step(index), &self.steps[index.get()].forward);
        step.undo.is_some()
            && match forward.phase {
                Phase::Done => true,
                Phase::Refused => forward.maybe || (step.undo_refused && forward.attempts > 0),
                Phase::GivenUp => forward.maybe,
                _ => false,
            }
    }

    pub(super) fn is_undone(&self, index: StepIndex) -> bool {
        let state = &self.steps[index.get()];
        !state.forward.is_open() && (!self.needs_undo(index) || state.undo.phase == Phase::Done)
    }

    /// What no call may do.
    fn check_start(&self, index: StepIndex) -> Broken {
        if self.paused {
            return Some("S3: a call starts while the saga is paused");
        }
        let is_nested = self.definition.step(index).nested.is_some();
        (self.waits_for_lock() && !is_nested).then_some("rule 12: a call without the lock keys")
    }

    /// Rules 3 and 4.
    pub(super) fn check_forward(&self, index: StepIndex, attempt: u32) -> Broken {
        if let Some(rule) = self.check_start(index) {
            return Some(rule);
        }
        if self.decision == Some(Decision::Abort) {
            return Some("S6: a forward call starts after the abort");
        }
        if !self.started || self.steps[index.get()].skipped.is_some() {
            return Some("S3: a forward call of a step that does not run");
        }
        let graph = &self.definition.graph;
        let is_turn = match self.definition.step(index).starts {
            Starts::ByClient => false,
            Starts::AfterCommit => self.decision == Some(Decision::Commit),
            Starts::WhenSilent => {
                return (!self.deadline_passed || self.commit_requested)
                    .then_some("S20: a client was asked that is not silent");
            }
            Starts::InOrder => graph.starts_after(index).iter().all(|other| self.is_done(*other)),
        };
        let is_in_order = is_turn
            && self
                .definition
                .indices()
                .all(|earlier| !graph.is_before(earlier, index) || self.is_done(earlier));
        let is_late = self.deadline_passed
            && self.decision.is_none()
            && attempt == 1
            && self.definition.mode == Mode::Definition;
        if is_late {
            return Some("S6: a forward call starts after the deadline");
        }
        (!is_in_order).then_some("rule 3: a step starts out of order")
    }

    /// Rules 4, 6 and 7.
    pub(super) fn check_undo(&self, index: StepIndex) -> Broken {
        if let Some(rule) = self.check_start(index) {
            return Some(rule);
        }
        let state = &self.steps[index.get()];
        if self.decision != Some(Decision::Abort) {
            return Some("rule 4: an undo without an abort");
        }
        if state.confirm.attempts > 0 {
            return Some("S12: an undo after a confirm");
        }
        if state.forward.is_open() {
            return Some("rule 7: an undo overtakes its forward call");
        }
        if !self.needs_undo(index) {
            return Some("rule 5: an undo of what did not happen");
        }
        let graph = &self.definition.graph;
        let is_in_order = self
            .definition
            .indices()
            .all(|later| !graph.is_before(index, later) || self.is_undone(later));
        (!is_in_order).then_some("S10: an undo out of order")
    }

    /// Rule 4.
    pub(super) fn check_confirm(&self, index: StepIndex) -> Broken {
        if let Some(rule) = self.check_start(index) {
            return Some(rule);
        }
        if self.decision != Some(Decision::Commit) {
            return Some("rule 4: a confirm without a commit");
        }
        if self.steps[index.get()].undo.attempts > 0 {
            return Some("S12: a confirm after an undo");
        }
        (!self.needs_confirm(index)).then_some("S12: a confirm of what was not tried")
    }

    /// Judges a call that leaves.
    pub(super) fn check_call(&self, call: &OutgoingCall) -> Broken {
        let Some(step) = self.definition.index_of(call.key.step_id.as_str()) else {
            return Some("S5: a call of a step that is not written down");
        };
        let op = call.key.op;
        let own = self.steps[step.get()].call(op);
        // Only the first attempt is awaited: of later ones it is enough that there was a first.
        if own.attempts == 0 {
            return Some("S5: a call left before it was written down");
        }
        let is_decided = match op {
            Op::Action | Op::Try => true,
            Op::Confirm => self.decision == Some(Decision::Commit),
            Op::Compensation | Op::Cancel => self.decision == Some(Decision::Abort),
        };
        (!is_decided).then_some("rule 4: a call left before its decision was written down")
    }
}
