//! Throw-away servers for tests and benches: PostgreSQL, MariaDB, Redis, free ports, child processes.
//!
//! Everything here ends with the value that holds it: dropping a server kills it and deletes its
//! files. Nothing is shared between two values, so tests may run beside each other. A server that
//! answers is checked to be the one that was started, never another one on the same port.

mod child;
mod clock;
mod family;
mod mariadb;
mod port;
mod postgres;
mod program;
pub mod proxy;
mod redis;

pub use child::Child;
pub use mariadb::MariaDb;
pub use port::free_port;
pub use postgres::{Postgres, PostgresOptions, Standby};
pub use proxy::FaultProxy;
pub use redis::Redis;
