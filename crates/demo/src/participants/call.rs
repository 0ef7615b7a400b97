//! The call as the coordinator describes it in its headers.

use std::fmt;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::Answer;

/// Who calls, and for what: read from the `Saga-…` headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The saga, from `Saga-Id`.
    pub saga: String,
    /// The step, from `Saga-Step`.
    pub step: String,
    /// The operation, from `Saga-Operation`.
    pub op: Op,
    /// The fencing token, from `Saga-Fencing-Token`; only sagas that hold lock keys have one.
    pub fencing_token: Option<i64>,
}

/// An operation of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The forward operation that this one undoes, if it undoes one.
    pub fn undoes(self) -> Option<Self> {
        match self {
            Self::Compensation => Some(Self::Action),
            Self::Cancel => Some(Self::Try),
            Self::Action | Self::Try | Self::Confirm => None,
        }
    }

    /// Whether it is a step's forward operation.
    pub fn is_forward(self) -> bool {
        matches!(self, Self::Action | Self::Try)
    }

    /// The word for it in headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Compensation => "compensation",
            Self::Try => "try",
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Op {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::Action, Self::Compensation, Self::Try, Self::Confirm, Self::Cancel]
            .into_iter()
            .find(|op| op.as_str() == word)
            .ok_or(())
    }
}

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = Answer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Answer> {
        Ok(Self {
            saga: required(parts, "saga-id")?,
            step: required(parts, "saga-step")?,
            op: required(parts, "saga-operation")?,
            fencing_token: optional(parts, "saga-fencing-token")?,
        })
    }
}

fn required<T: FromStr>(parts: &Parts, name: &str) -> Result<T, Answer> {
    optional(parts, name)?.ok_or_else(|| bad_header(name))
}

fn optional<T: FromStr>(parts: &Parts, name: &str) -> Result<Option<T>, Answer> {
    let Some(value) = parts.headers.get(name) else { return Ok(None) };
    let value = value.to_str().ok().and_then(|text| text.parse().ok());
    value.map(Some).ok_or_else(|| bad_header(name))
}

fn bad_header(name: &str) -> Answer {
    let detail =
        format!("the header {name} is missing or unreadable: is the caller a coordinator?");
    Answer::refused(StatusCode::BAD_REQUEST, "bad-header", &detail)
}
