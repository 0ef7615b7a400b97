//! Throw-away servers for tests and benches, and faults for them: PostgreSQL with standbys and small
//! disks, MariaDB, Redis, free ports, child processes, networks, a proxy that makes trouble.
//!
//! Everything here ends with the value that holds it: dropping a server kills it and deletes its
//! files. Nothing is shared between two values, so tests may run beside each other. A server that
//! answers is checked to be the one that was started, never another one on the same port.

mod child;
mod clock;
mod disk;
mod family;
mod mariadb;
mod namespace;
mod port;
mod postgres;
mod privilege;
mod program;
pub mod proxy;
mod redis;

pub use child::Child;
pub use disk::SmallDisk;
pub use mariadb::MariaDb;
pub use namespace::{Direction, Namespace};
pub use port::{free_port, on_free_port};
pub use postgres::{DiskLimit, Postgres, PostgresOptions, Standby};
pub use privilege::NotPermitted;
pub use proxy::FaultProxy;
pub use redis::Redis;
