//! Three small services as participants: inventory, payment and orders.
//!
//! They are the example that the participant guide shows. Each is an HTTP service with a database
//! of its own that knows nothing of amends but `amends-client`: its barrier makes every operation
//! take effect once and in a valid order, and the handlers do the work.

mod database;
pub mod inventory;
pub mod orders;
pub mod payment;
mod serve;
#[cfg(test)]
mod tests;
mod trouble;

pub use serve::{Kind, ParticipantOptions, serve_participant};
pub(crate) use serve::{announce, end_of_input, listen};
pub use trouble::{Trouble, Troubles};
