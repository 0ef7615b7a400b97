//! What requests say, once it is read and checked. They are read by hand (see `body`) so that every
//! fault is reported with its place; what they may hold stands in `assets/requests.json`.

use std::time::Duration;

use amends_core::saga::Op;
use amends_core::{DefinitionName, Json, StepId};
use serde_json::value::RawValue;

/// More time for an interactive transaction.
#[derive(Debug)]
pub struct ExtendBody {
    /// The new deadline, counted from now.
    pub deadline: Duration,
    /// Why, for the journal.
    pub reason: Option<String>,
}

/// Which definition a start request runs.
#[derive(Debug)]
pub enum DefinitionChoice {
    /// A stored one.
    Named(DefinitionName),
    /// One that stands in the request, not yet looked at.
    AdHoc(Box<RawValue>),
}

/// A command.
#[derive(Debug, Default)]
pub struct CommandBody {
    /// Why, for the journal.
    pub reason: Option<String>,
}

/// A command to retry.
#[derive(Debug, Default)]
pub struct RetryBody {
    /// Which step; every one that waits or is stuck, without it.
    pub step: Option<StepId>,
    /// Why, for the journal.
    pub reason: Option<String>,
}

/// What became of a call, as an operator found out.
#[derive(Debug, Default)]
pub struct ResolveBody {
    /// Why, for the journal.
    pub reason: Option<String>,
    /// The step's output.
    pub output: Option<Json>,
    /// The operation that they looked into.
    pub op: Option<Op>,
}

/// The later answer to a pending call, when it is more than a success with an output.
#[derive(Debug)]
pub struct CompletionBody {
    /// What became of the call.
    pub outcome: CompletionWord,
    /// The step's output, on success.
    pub output: Option<Json>,
    /// Why it did not succeed.
    pub detail: Option<String>,
}

/// What became of a pending call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionWord {
    /// It took effect.
    Succeeded,
    /// It had no effect, and will have none.
    Refused,
    /// It had no effect; try again.
    Retryable,
}
