//! A participant with the barrier: what each step really did.

use serde_json::json;

use crate::saga::Op;
use crate::{Json, StepIndex};

/// What one step really did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Truth {
    /// The forward operation took effect and is not undone.
    pub(super) effect: bool,
    /// An undo was accepted, be it of nothing.
    pub(super) undone: bool,
    /// The try was confirmed.
    pub(super) confirmed: bool,
}

impl Truth {
    /// Takes one attempt; whether it was accepted. An operation that was accepted before is
    /// accepted again and does nothing; a forward operation that comes after its undo is refused.
    pub(super) fn take(&mut self, op: Op, is_willing: bool) -> bool {
        match op {
            Op::Action | Op::Try => {
                if self.undone {
                    return false;
                }
                self.effect |= is_willing;
                self.effect
            }
            Op::Confirm => {
                self.confirmed |= is_willing && self.effect;
                self.confirmed
            }
            Op::Compensation | Op::Cancel => {
                self.undone |= is_willing;
                self.effect &= !self.undone;
                self.undone
            }
        }
    }
}

/// What an operation that took effect answers: the same each time.
pub(super) fn output(step: StepIndex) -> Option<Json> {
    // Every third step answers nothing.
    (step.0 % 3 != 2).then(|| Json::from_value(&json!({ "v": step.0 + 10 })))
}
