//! Probes a participant: whether it keeps what the contract asks of it.
//!
//! A [`Plan`] says which operations are called where; [`probe`] makes the calls that a coordinator
//! may make when things go wrong (repeated, reversed, overtaking, cut off, stale, unreadable) in
//! sandbox sagas of its own, and gives a [`Report`].
//!
//! It knows definitions and expressions from the core, and otherwise only the contract: headers,
//! signatures and the reading of answers are written here anew, so that a mistake in the
//! coordinator's own calls does not hide itself.

mod agenda;
mod answer;
mod case;
mod desk;
mod effect;
mod headers;
mod notes;
mod operation_line;
mod plan;
mod point;
mod probe;
mod report;
mod run;
mod spec;
mod step;
mod wire;

pub use effect::EffectSource;
pub use operation_line::{OperationLines, document};
pub use plan::{Error, Limits, Plan};
pub use point::Point;
pub use report::{OperationReport, PointReport, Report, Summary, Verdict};
pub use run::{Sandbox, probe};
pub use spec::Spec;
