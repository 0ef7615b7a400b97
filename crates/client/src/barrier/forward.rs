//! What an undo is told of the forward call that it undoes.

use crate::participant::Answer;

/// What the barrier knows of the forward call when an undo runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forward {
    /// It took effect, and this was its answer.
    Succeeded(Answer),
    /// It was recorded in the two-call form and never settled: it may have taken effect or not.
    /// It is refused from now on, should it come again.
    Unknown,
}
