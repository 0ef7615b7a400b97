//! Scenarios: the load, and what happens beside it. Each is measured against the same load without
//! it, in turn, so that what the machine does otherwise meets both.

mod coordinators;
mod fill;
mod findings;
mod finished;
mod hanging;
mod lists;
mod options;
mod run;
mod scene;
mod starter;
mod takeover;
mod turns;
mod waiting;

pub use findings::{Findings, Sheet};
pub use options::ScenarioOptions;
pub(super) use run::run;
