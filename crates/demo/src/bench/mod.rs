//! The bench: how many sagas a second, how soon, and at what cost.
//!
//! Four kinds of process, so that each one's share of the machine can be told: the coordinator
//! (`serve`), its database, a participant that does nothing, and a load generator.

mod cases;
mod cpu;
mod latency;
mod load;
mod participant;
mod report;
mod run;
mod stage;

pub use cases::Case;
pub use load::{LoadOptions, LoadResult, bench_load};
pub use participant::{BenchParticipantOptions, bench_participant};
pub use report::{BenchReport, BenchRow, CpuShares};
pub use run::{BenchOptions, bench};
pub use stage::StoreKind;
