//! What amends decides, and nothing that it does.
//!
//! Definitions and their checks, expressions, the state machine of a saga, retry policy and
//! exploration. Everything here is a pure function of its arguments: no async, no I/O, no clock,
//! no randomness, no row of a database and no status code of our own API.
//!
//! # Invariants
//!
//! * The same events folded in the same order give the same [`saga::Saga`].
//! * Time is an argument ([`Timestamp`]); jitter is a hash of the call's key and attempt.
//! * No input makes anything here panic.

pub mod definition;
pub mod explore;
pub mod expression;
mod id;
mod json;
pub mod mutant;
pub mod participant;
mod retry;
pub mod saga;
mod time;

pub use id::{
    CallKey, DefinitionName, IdError, LockKey, ParticipantName, SagaId, StepId, StepIndex,
};
pub use json::{Json, JsonError};
pub use retry::{Jitter, RetryPolicy};
pub use time::{DurationError, Timestamp, format_duration, parse_duration};
