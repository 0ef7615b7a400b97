//! The real engine over a simulated world: store, clock, network, lock service and participants, in
//! one thread, from one seed.

mod audit;
mod books;
mod chance;
mod client;
mod cluster;
mod gate;
mod guards;
mod network;
mod plan;
mod run;
mod store;
mod swarm;
mod world;

pub use run::{Report, run};
