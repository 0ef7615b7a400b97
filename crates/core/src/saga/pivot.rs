//! The point of no return: when a saga can go neither way until more is known (rule 9).

use super::{CallState, Op, Saga};
use crate::StepIndex;
use crate::definition::Starts;
use crate::mutant::Mutant;

impl Saga {
    /// Whether a forward call must become known before the saga can go either way: it is the
    /// pivot, may have happened, and nothing can undo it (rule 9). A refusal does not make it
    /// known, since the attempt that stayed unanswered may still arrive (rule 5). Of a question that
    /// has no effect only the answer counts.
    pub(super) fn must_become_known(&self, index: StepIndex, op: Op) -> bool {
        op.is_forward()
            && self.decision.is_none()
            && self.open_pivot() == Some(index)
            && self.definition.step(index).undo.is_none()
            && (self.step(index).forward.maybe_effect || self.is_question(index, op))
    }

    /// The pivot that decides, unless it is skipped.
    pub(super) fn open_pivot(&self) -> Option<StepIndex> {
        self.definition.graph.pivot().filter(|pivot| self.step(*pivot).skipped.is_none())
    }

    /// The pivot, if it may have happened, is not known to have, and cannot be undone: until more
    /// is known the saga can go neither way (rule 9).
    pub(super) fn undecided_pivot(&self) -> Option<StepIndex> {
        self.open_pivot().filter(|pivot| {
            let is_guessed = Mutant::PivotGuessed.is_on() && !self.is_question(*pivot, Op::Action);
            let forward = &self.step(*pivot).forward;
            self.decision.is_none()
                && !is_guessed
                && self.definition.step(*pivot).undo.is_none()
                && match forward.state {
                    CallState::InFlight
                    | CallState::Pending { .. }
                    | CallState::Failed
                    | CallState::Stuck { .. } => true,
                    CallState::Waiting { .. } => {
                        forward.maybe_effect
                            || self.definition.step(*pivot).starts == Starts::WhenSilent
                    }
                    CallState::Idle
                    | CallState::Succeeded
                    | CallState::Refused
                    | CallState::GivenUp => false,
                }
        })
    }
}
