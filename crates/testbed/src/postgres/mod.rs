//! PostgreSQL servers of one's own.

mod files;
mod options;
mod server;
mod standby;
mod written;

pub use options::{DiskLimit, PostgresOptions};
pub use server::Postgres;
pub use standby::Standby;
