//! Definitions: what they say, how they are read, and every check they must pass.

mod check;
mod fault;
mod graph;
mod model;
mod parse;
mod schema;

pub use check::{ParticipantDefaults, Registry};
pub use fault::{Fault, FaultCode, Severity};
pub use graph::Graph;
pub use model::{
    Completion, Definition, Digest, Lock, OnBusy, Operation, OutcomeOverride, Step, StepKind,
};
pub use parse::{Format, Parsed, parse, parse_text};
pub use schema::{InputSchema, Violation};
