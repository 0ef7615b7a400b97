//! Tests of the whole, with the real binary and real servers; here is what they share.

mod binary;
mod client;
pub mod old_release;
mod participant;
mod server;
mod serving;
mod waiting;

pub use binary::amends;
pub use client::{Answer, Client};
pub use participant::{Attempt, Participant};
pub use server::{Server, ServerOptions};
pub use serving::Serving;
pub use waiting::until;
