//! What would happen: explorations of a definition.

use amends_core::explore::{ExploredCall, Failure, FailureKind, Run};
use serde::Serialize;
use utoipa::ToSchema;

use super::{OpWord, OutcomeWord, StatusWord};

/// How a call fails in a run.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FailureKind)]
pub enum FailureWord {
    /// Every attempt is refused.
    Refused,
    /// The first attempt's outcome is unknown; the next one succeeds.
    Unknown,
    /// Every attempt times out.
    TimedOut,
}

/// What fails in a run.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Failure)]
pub struct FailureView {
    /// Which step.
    pub step: String,
    /// Which operation.
    pub op: OpWord,
    /// How.
    pub outcome: FailureWord,
}

impl From<&Failure> for FailureView {
    fn from(failure: &Failure) -> Self {
        Self {
            step: failure.step.as_str().to_owned(),
            op: failure.op.into(),
            outcome: match failure.kind {
                FailureKind::Refused => FailureWord::Refused,
                FailureKind::Unknown => FailureWord::Unknown,
                FailureKind::TimedOut => FailureWord::TimedOut,
            },
        }
    }
}

/// One call of a run.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExploredCall)]
pub struct ExploredCallView {
    /// Which step.
    pub step: String,
    /// Which operation.
    pub op: OpWord,
    /// How often it was made.
    pub attempts: u32,
    /// What its last attempt became.
    pub outcome: OutcomeWord,
}

impl From<&ExploredCall> for ExploredCallView {
    fn from(call: &ExploredCall) -> Self {
        Self {
            step: call.step.as_str().to_owned(),
            op: call.op.into(),
            attempts: call.attempts,
            outcome: call.outcome.into(),
        }
    }
}

/// One run.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub struct RunView {
    /// What the run is about; null in the run where nothing fails.
    pub failure: Option<FailureView>,
    /// Everything that fails, the last one being `failure`.
    pub failures: Vec<FailureView>,
    /// The calls, in the order in which they are first made.
    pub calls: Vec<ExploredCallView>,
    /// Where the saga ends, or stands suspended.
    pub status: StatusWord,
    /// Why it aborts, if it does.
    pub reason: Option<String>,
}

/// Every run of a definition.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Exploration)]
pub struct ExplorationView {
    /// The definition's name.
    pub definition: String,
    /// First the one where nothing fails.
    pub runs: Vec<RunView>,
}

impl From<&Run> for RunView {
    fn from(run: &Run) -> Self {
        Self {
            failure: run.failures.last().map(FailureView::from),
            failures: run.failures.iter().map(FailureView::from).collect(),
            calls: run.calls.iter().map(ExploredCallView::from).collect(),
            status: run.status.into(),
            reason: run.reason.clone(),
        }
    }
}
