//! How states look: one tone, icon and word each, so that none is told by colour alone.

use amends_core::saga::{Op, OutcomeKind, Status};

/// Colour family, icon and word of a state. Tones are classes of the style sheet, icons are
/// symbols of the page's sprite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// `idle`, `active`, `good`, `warn`, `bad`, `undo`, `confirm` or `off`.
    pub(crate) tone: &'static str,
    /// Name of a symbol.
    pub(crate) icon: &'static str,
    /// For people.
    pub(crate) word: &'static str,
}

impl Look {
    /// `tone`, `icon` and `word` as one.
    pub(crate) const fn new(tone: &'static str, icon: &'static str, word: &'static str) -> Self {
        Self { tone, icon, word }
    }

    /// Of a saga.
    pub(crate) const fn of_status(status: Status) -> Self {
        match status {
            Status::Queued => Self::new("idle", "clock", "queued"),
            Status::Running => Self::new("active", "run", "running"),
            Status::Confirming => Self::new("confirm", "confirm", "confirming"),
            Status::Compensating => Self::new("undo", "undo", "compensating"),
            Status::Suspended => Self::new("bad", "alert", "suspended"),
            Status::Completed => Self::new("good", "check", "completed"),
            Status::Compensated => Self::new("off", "undo", "compensated"),
            Status::Abandoned => Self::new("off", "cross", "abandoned"),
        }
    }

    /// Of an answered attempt.
    pub(crate) const fn of_outcome(outcome: OutcomeKind) -> Self {
        match outcome {
            OutcomeKind::Succeeded => Self::new("good", "check", "succeeded"),
            OutcomeKind::Pending => Self::new("active", "clock", "accepted, to be completed"),
            OutcomeKind::Refused => Self::new("bad", "cross", "refused"),
            OutcomeKind::Retryable => Self::new("warn", "retry", "failed, to be tried again"),
            OutcomeKind::Unknown => Self::new("warn", "question", "outcome unknown"),
        }
    }

    /// Of an attempt that is on its way.
    pub(crate) const fn of_open_attempt(op: Op) -> Self {
        match op {
            Op::Action | Op::Try => Self::new("active", "run", "in flight"),
            Op::Confirm => Self::new("confirm", "confirm", "in flight"),
            Op::Compensation | Op::Cancel => Self::new("undo", "undo", "in flight"),
        }
    }
}
