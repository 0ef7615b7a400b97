//! PostgreSQL servers of one's own.

mod files;
mod options;
mod server;

pub use options::PostgresOptions;
pub use server::Postgres;
