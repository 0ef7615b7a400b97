//! The real engine over a simulated world: store, clock, network, lock service and participants, in
//! one thread, from one seed.

mod audit;
mod books;
mod chance;
mod client;
mod cluster;
mod completion;
mod coverage;
mod gate;
mod guards;
mod network;
mod plan;
mod run;
mod shrink;
mod store;
mod swarm;
mod trouble;
mod watch;
mod world;

pub use coverage::{Coverage, SOMETIMES};
pub use run::{Report, run};
pub use shrink::{reproduction, shrink};
pub use swarm::{Class, Limits};
