//! The operations of a step.

use std::fmt;

/// An operation of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Forward operation of a saga step.
    Action,
    /// Undoes an action.
    Compensation,
    /// Forward operation of a TCC step.
    Try,
    /// Makes what was tried final.
    Confirm,
    /// Undoes a try.
    Cancel,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Action, Self::Compensation, Self::Try, Self::Confirm, Self::Cancel];

    /// The forward operation that this one undoes, if it undoes one.
    pub const fn undoes(self) -> Option<Self> {
        match self {
            Self::Compensation => Some(Self::Action),
            Self::Cancel => Some(Self::Try),
            Self::Action | Self::Try | Self::Confirm => None,
        }
    }

    /// Whether it is a step's forward operation.
    pub const fn is_forward(self) -> bool {
        matches!(self, Self::Action | Self::Try)
    }

    /// The word for it in headers and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Compensation => "compensation",
            Self::Try => "try",
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
        }
    }

    /// The operation that `word` names; none if it names none.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str() == word)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
