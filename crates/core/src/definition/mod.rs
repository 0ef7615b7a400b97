//! Definitions: what they say, how they are read, and every check they must pass.

mod branch;
mod check;
mod check_reference;
mod check_warning;
mod document;
mod draft;
mod fault;
mod field;
mod graph;
mod model;
mod parse;
mod read;
mod read_branch;
mod read_operation;
mod read_step;
mod schema;
mod schema_work;
mod suggest;

#[cfg(test)]
mod branch_cases;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod fuzz;

pub use branch::{Branch, BranchCall, BranchWork, CheckBack, NestedSaga};
pub use check::{ParticipantDefaults, Registry};
pub use fault::{Fault, FaultCode, Severity};
pub use graph::Graph;
pub use model::{
    Completion, Definition, Digest, Lock, LockRelease, Mode, OnBusy, OnLost, Operation,
    OutcomeOverride, Starts, Step, StepKind,
};
pub use parse::{Format, Parsed, parse, parse_text};
pub use read_branch::{BranchDocument, parse_branch, parse_check_back};
pub use schema::{InputSchema, Violation};
pub(crate) use suggest::suggestion;
