//! Calls and what became of them: operations, outcomes, answers.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Json, RetryPolicy};

/// An operation of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
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

impl Op {
    /// All operations.
    pub const ALL: [Self; 5] =
        [Self::Action, Self::Compensation, Self::Try, Self::Confirm, Self::Cancel];

    /// The word for it, as headers, journals and metrics write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Compensation => "compensation",
            Self::Try => "try",
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
        }
    }

    /// Whether it is `action` or `try`.
    pub const fn is_forward(self) -> bool {
        matches!(self, Self::Action | Self::Try)
    }

    /// Whether it is `compensation` or `cancel`.
    pub const fn is_undo(self) -> bool {
        matches!(self, Self::Compensation | Self::Cancel)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Op {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|op| op.as_str() == text).ok_or_else(|| {
            format!("{text:?} is no operation; they are action, compensation, try, confirm, cancel")
        })
    }
}

/// What became of one attempt, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// It took effect.
    Succeeded,
    /// It was accepted and will be answered later.
    Pending,
    /// It definitely had no effect; do not retry.
    Refused,
    /// It had no effect or none is known; try again.
    Retryable,
    /// It may have had an effect; try again.
    Unknown,
}

impl OutcomeKind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Pending => "pending",
            Self::Refused => "refused",
            Self::Retryable => "retryable",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the engine knows of a forward call when its undo is sent (`Saga-Forward-Outcome`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForwardOutcome {
    /// It was answered with success.
    Succeeded,
    /// Every attempt that left was refused, or none left.
    Refused,
    /// It may have had an effect.
    Unknown,
}

impl ForwardOutcome {
    /// The word for it, as the header writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// Why an attempt did not succeed, for people and for the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// What kind of failure.
    pub kind: AttemptFailure,
    /// The HTTP status of the answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// One sentence. Never a secret or an internal address; at most 2 KiB.
    pub detail: String,
    /// The answer's `application/problem+json`, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Json>,
}

/// Classes of failed attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptFailure {
    /// The participant answered with a status that is not success.
    Status,
    /// No answer in time.
    Timeout,
    /// The connection broke after the request was sent.
    Reset,
    /// No connection could be made; nothing was sent.
    Connect,
    /// The name could not be resolved; nothing was sent.
    Dns,
    /// TLS could not be agreed on; nothing was sent.
    Tls,
    /// The target is not allowed; nothing was sent.
    BlockedTarget,
    /// The participant's breaker is open; nothing was sent.
    BreakerOpen,
    /// The answer was a redirect, which is never followed.
    Redirect,
    /// The answer was longer than the bound.
    AnswerTooLarge,
    /// The answer could not be read.
    BadAnswer,
    /// An expression of the definition failed; nothing was sent.
    Expression,
    /// The participant is not registered any more; nothing was sent.
    UnknownParticipant,
    /// The coordinator stopped or lost its lease while the call was in flight.
    Interrupted,
    /// No callback, or no final answer to polling, came in time.
    NotCompleted,
    /// An operator said so.
    Operator,
}

impl AttemptFailure {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Connect => "connect",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::BlockedTarget => "blocked_target",
            Self::BreakerOpen => "breaker_open",
            Self::Redirect => "redirect",
            Self::AnswerTooLarge => "answer_too_large",
            Self::BadAnswer => "bad_answer",
            Self::Expression => "expression",
            Self::UnknownParticipant => "unknown_participant",
            Self::Interrupted => "interrupted",
            Self::NotCompleted => "not_completed",
            Self::Operator => "operator",
        }
    }
}

/// The answer to one attempt, as the state machine takes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What became of it.
    pub outcome: OutcomeKind,
    /// Whether anything may have reached the participant.
    pub sent: bool,
    /// The JSON of a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// Why it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// How long the participant asked to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
    /// Where to ask for the end of a pending call (`completion: poll`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The participant's retry policy, when the definition has none for this operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// The participant's time-out, when the definition has none for this operation; bounds how
    /// long a pending call is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

impl Answer {
    /// Success with `output`.
    pub const fn succeeded(output: Option<Json>) -> Self {
        Self {
            outcome: OutcomeKind::Succeeded,
            sent: true,
            output,
            problem: None,
            retry_after: None,
            location: None,
            retry: None,
            timeout: None,
        }
    }

    /// No success: `outcome` because of `problem`.
    pub const fn failed(outcome: OutcomeKind, sent: bool, problem: Problem) -> Self {
        Self {
            outcome,
            sent,
            output: None,
            problem: Some(problem),
            retry_after: None,
            location: None,
            retry: None,
            timeout: None,
        }
    }
}
