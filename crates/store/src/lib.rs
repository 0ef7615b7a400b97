//! The [`amends_ports::Store`] port on PostgreSQL and on SQLite.
//!
//! One module a database; both pass the conformance suite of the port. Nothing outside this crate
//! knows SQL.

mod connect;
mod lead;
mod migrations;
pub mod postgres;
mod queue;
pub mod sqlite;
mod version;

pub use connect::{OpenError, open};
pub use version::Formats;
