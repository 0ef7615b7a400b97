//! The [`amends_ports::Store`] port on one embedded SQLite file.
//!
//! One writer connection, whose transactions are serial by nature, and a few readers that see the
//! last commit. WAL with `synchronous = FULL`: what was answered survives a loss of power. The file
//! belongs to one process at a time.

mod accept;
mod batch;
#[cfg(test)]
mod checks;
mod connect;
mod definition;
mod failure;
mod inbox;
mod lease;
mod list;
mod load;
mod options;
mod page;
mod participant;
mod port;
mod queue;
mod retention;
mod row;
mod statement;
mod writer;

use std::fmt;
use std::fs::File;

use amends_ports::{Clock as _, SystemClock};
use sqlx::SqlitePool;

pub use options::SqliteOptions;
use writer::Writer;

use crate::version::Version;

/// Durable state of all sagas in one file.
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    options: SqliteOptions,
    clock: SystemClock,
    partitions: u16,
    secret: String,
    version: Version,
    /// Held as long as the store lives: no other process opens the file meanwhile.
    _locked: File,
}

impl SqliteStore {
    /// Now by the machine's clock, which is the store's, in microseconds.
    fn now_us(&self) -> i64 {
        self.clock.now().0
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("options", &self.options)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}
