//! The status of a saga.

use amends_core::saga::Status;
use serde::Serialize;
use utoipa::ToSchema;

/// Where a saga stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Status)]
pub enum StatusWord {
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

impl From<Status> for StatusWord {
    fn from(status: Status) -> Self {
        match status {
            Status::Queued => Self::Queued,
            Status::Running => Self::Running,
            Status::Confirming => Self::Confirming,
            Status::Compensating => Self::Compensating,
            Status::Suspended => Self::Suspended,
            Status::Completed => Self::Completed,
            Status::Compensated => Self::Compensated,
            Status::Abandoned => Self::Abandoned,
        }
    }
}
