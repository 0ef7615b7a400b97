//! A TCP proxy that makes trouble on purpose.

mod backend;
mod commit;
mod connection;
mod faults;
mod frontend;
mod pump;
mod server;

pub use commit::{CommitFault, CommitTrap, When};
pub use faults::{Cut, End, Faults, Flow};
pub use server::{Counters, FaultProxy};
