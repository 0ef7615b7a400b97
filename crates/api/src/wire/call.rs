//! Calls and their attempts.

use amends_core::saga::{Call, CallState, ForwardOutcome, Op, OutcomeKind, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use super::Time;

/// An operation of a step.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Op)]
pub enum OpWord {
    /// Forward operation of a saga step.
    Action,
    /// Undo of a saga step.
    Compensation,
    /// Forward operation of a TCC step.
    Try,
    /// Called on a TCC step after the commit decision.
    Confirm,
    /// Undo of a TCC step.
    Cancel,
}

impl From<Op> for OpWord {
    fn from(op: Op) -> Self {
        match op {
            Op::Action => Self::Action,
            Op::Compensation => Self::Compensation,
            Op::Try => Self::Try,
            Op::Confirm => Self::Confirm,
            Op::Cancel => Self::Cancel,
        }
    }
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Outcome)]
pub enum OutcomeWord {
    /// It took effect.
    Succeeded,
    /// It was accepted and will be answered later.
    Pending,
    /// It definitely had no effect.
    Refused,
    /// It had no effect or none is known.
    Retryable,
    /// It may have had an effect.
    Unknown,
}

impl From<OutcomeKind> for OutcomeWord {
    fn from(kind: OutcomeKind) -> Self {
        match kind {
            OutcomeKind::Succeeded => Self::Succeeded,
            OutcomeKind::Pending => Self::Pending,
            OutcomeKind::Refused => Self::Refused,
            OutcomeKind::Retryable => Self::Retryable,
            OutcomeKind::Unknown => Self::Unknown,
        }
    }
}

/// What is known of a forward call when its undo is sent.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ForwardOutcome)]
pub enum ForwardWord {
    /// It was answered with success.
    Succeeded,
    /// Every attempt that left was refused, or none left.
    Refused,
    /// It may have had an effect.
    Unknown,
}

impl From<ForwardOutcome> for ForwardWord {
    fn from(outcome: ForwardOutcome) -> Self {
        match outcome {
            ForwardOutcome::Succeeded => Self::Succeeded,
            ForwardOutcome::Refused => Self::Refused,
            ForwardOutcome::Unknown => Self::Unknown,
        }
    }
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CallState)]
pub enum CallWord {
    /// An attempt may be on its way.
    InFlight,
    /// The next attempt waits until `next_attempt_at`.
    WaitingRetry,
    /// It was accepted and is awaited until `next_attempt_at`.
    Pending,
    /// It took effect.
    Succeeded,
    /// It had no effect, and that is final.
    Refused,
    /// It will not be tried again and may have had an effect.
    Unknown,
    /// Its attempts are used up; an operator is needed.
    Stuck,
}

/// Why an attempt did not succeed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AttemptProblem)]
pub struct Attempt {
    /// What kind of failure.
    #[schema(value_type = String, example = "timeout")]
    pub kind: &'static str,
    /// The HTTP status of the participant's answer, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// One sentence.
    pub detail: String,
}

impl From<&Problem> for Attempt {
    fn from(problem: &Problem) -> Self {
        Self { kind: problem.kind.as_str(), status: problem.status, detail: problem.detail.clone() }
    }
}

/// One call of a step.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Call)]
pub struct CallView {
    /// Which operation.
    pub op: OpWord,
    /// Where it stands.
    pub state: CallWord,
    /// Attempts started so far.
    pub attempts: u32,
    /// When the next attempt is due.
    pub next_attempt_at: Option<Time>,
    /// Why the last attempt did not succeed.
    pub problem: Option<Attempt>,
    /// On an undo: what is known of the forward call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward_outcome: Option<ForwardWord>,
}

impl CallView {
    /// The call, if anything of it was or will be sent.
    pub(crate) fn of(op: Op, call: &Call, forward: ForwardOutcome) -> Option<Self> {
        let (state, next) = match &call.state {
            CallState::Idle => return None,
            CallState::InFlight => (CallWord::InFlight, None),
            CallState::Pending { until, .. } => (CallWord::Pending, Some(*until)),
            CallState::Failed => (CallWord::WaitingRetry, None),
            CallState::Waiting { until } => (CallWord::WaitingRetry, Some(*until)),
            CallState::Succeeded => (CallWord::Succeeded, None),
            CallState::GivenUp if call.maybe_effect => (CallWord::Unknown, None),
            CallState::Refused | CallState::GivenUp => (CallWord::Refused, None),
            CallState::Stuck { until } => (CallWord::Stuck, *until),
        };
        Some(Self {
            op: op.into(),
            state,
            attempts: call.attempts,
            next_attempt_at: next.map(Time),
            problem: call.problem.as_ref().map(Attempt::from),
            forward_outcome: op.is_undo().then(|| forward.into()),
        })
    }
}
