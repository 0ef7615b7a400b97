//! The bench: how many sagas a second, how soon, at what cost, and how near to what is possible.
//!
//! Four kinds of process, so that each one's share of the machine can be told: the coordinator
//! (`serve`), its database, a participant that does nothing, and a load generator. A fifth stands in
//! for the coordinator when the limit is measured.

mod case;
mod case_name;
mod chart;
mod crew;
mod generator;
mod journal;
mod latency;
mod limits;
mod load;
mod metric;
mod participant;
mod process;
mod report;
mod run;
mod scenario;
mod server;
mod stage;
mod stand_in;
mod stand_ins;
mod start;
mod table;
mod wire;
mod written;

pub use case::{Case, Ending, Keys, Shape};
pub use limits::{Limit, Parts};
pub use load::{LoadOptions, LoadResult, bench_load};
pub use participant::{BenchParticipantOptions, bench_participant};
pub use report::{BenchReport, BenchRow, Cost, Costs};
pub use run::{BenchOptions, bench};
pub use scenario::{Findings, ScenarioOptions, Sheet};
pub use server::ServerOptions;
pub use stage::StoreKind;
pub use stand_in::{StandInOptions, bench_stand_in};
pub use written::Written;
