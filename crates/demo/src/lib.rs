//! Demo participants, the demo and the bench.
//!
//! Everything here talks to a coordinator only over its public API, and to its participants only
//! as the coordinator does; the audit alone looks into their databases.

mod audit;
mod bench;
mod books;
mod coordinator;
mod demo;
mod fleet;
mod masters;
pub mod participants;
mod plan;
mod progress;
mod report;

pub use audit::{End, audit};
pub use bench::{
    BenchOptions, BenchParticipantOptions, BenchReport, BenchRow, Case, Cost, Costs, Ending,
    Findings, Keys, Limit, LoadOptions, LoadResult, Parts, ScenarioOptions, ServerOptions, Shape,
    Sheet, StandInOptions, StoreKind, Written, bench, bench_load, bench_participant,
    bench_stand_in,
};
pub use books::{Books, Hold, Ledger, Order, Reservation};
pub use coordinator::Coordinator;
pub use demo::{DemoOptions, DemoReport, PLACE_ORDER, run, run_watched};
pub use masters::Masters;
pub use participants::{ParticipantOptions, serve_participant};
pub use plan::{Fate, Outage, Plan, PlannedSaga, Workload};
pub use progress::{Progress, Show};
pub use report::{Row, Summary};
