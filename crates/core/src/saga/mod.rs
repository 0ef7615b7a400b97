//! One saga: its state machine, the facts it is made of, and what it asks to have done.
//!
//! [`Saga::handle`] takes an [`Input`] and a time and answers with facts ([`Event`]s) for the
//! journal and [`Effect`]s for the engine; [`Saga::replay`] folds a journal back into the same
//! state, and [`Saga::effects`] asks again for everything that is outstanding, which is all that
//! recovery is.

mod call;
mod command;
mod effect;
mod event;
mod evolve;
mod explain;
mod handle;
mod input;
mod interactive;
mod journal;
mod lock;
mod pivot;
mod plan;
mod request;
mod state;
mod status;

#[cfg(test)]
mod rules;

pub use call::{Answer, AttemptFailure, ForwardOutcome, Op, OutcomeKind, Problem};
pub use effect::{CallId, Effect, Timer};
pub use event::{Accepted, Decision, EndStatus, Event, Parent, Record, SkipReason, Token};
pub use evolve::ReplayError;
pub use handle::Handled;
pub use input::{Actor, Command, Input, Refusal};
pub use journal::{JournalFormat, UnreadableFact};
pub use request::{Request, RequestError};
pub use state::{Call, CallState, Saga, StepState};
pub use status::{Status, StatusFilterError};
