//! The status of a saga, in the words of the semantics.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a saga stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted; waits for its lock keys or its start time.
    Queued,
    /// Its steps run.
    Running,
    /// Commit is decided; confirms and the steps after the pivot are on their way.
    Confirming,
    /// Abort is decided; what may have happened is being undone.
    Compensating,
    /// A call that must not give up needs an operator.
    Suspended,
    /// Ended: all took effect.
    Completed,
    /// Ended: all that may have happened is undone.
    Compensated,
    /// Ended: given up by an operator.
    Abandoned,
}

/// A word that is no status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no status; they are queued, running, confirming, compensating, suspended, completed, \
     compensated, abandoned"
)]
pub struct StatusFilterError(pub String);

impl Status {
    /// All statuses, live ones first.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Running,
        Self::Confirming,
        Self::Compensating,
        Self::Suspended,
        Self::Completed,
        Self::Compensated,
        Self::Abandoned,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Confirming => "confirming",
            Self::Compensating => "compensating",
            Self::Suspended => "suspended",
            Self::Completed => "completed",
            Self::Compensated => "compensated",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whether nothing changes any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Compensated | Self::Abandoned)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Status {
    type Err = StatusFilterError;

    fn from_str(text: &str) -> Result<Self, StatusFilterError> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| StatusFilterError(text.to_owned()))
    }
}
