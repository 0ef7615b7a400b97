//! What can be set about the use of a PostgreSQL server.

use std::time::Duration;

use crate::Formats;

/// How a PostgreSQL database is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresOptions {
    /// Partitions of a database that is made now; one that exists keeps what it has. Default 64.
    pub partitions: u16,
    /// Most connections for writing and loading sagas. Default 8.
    pub connections_max: u32,
    /// Most connections for lists, definitions and participants. Default 4. Two more connections
    /// serve leases alone, so that no load keeps a heartbeat waiting.
    pub list_connections_max: u32,
    /// Longest time to open a connection. Default 5 s.
    pub connect_timeout: Duration,
    /// Longest wait for a free connection. Default 5 s.
    pub acquire_timeout: Duration,
    /// Longest time for one statement, on the server. Default 10 s. The client waits 2 s longer.
    pub statement_timeout: Duration,
    /// Longest wait for a row that another transaction has locked. Default 5 s.
    pub lock_timeout: Duration,
    /// Takes a server that answers commits before they are on disk. Only for tests: such a server
    /// forgets accepted sagas when its machine fails.
    pub allow_lost_commits: bool,
    /// Which journals are read and written. Other than the default only in tests.
    pub formats: Formats,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            partitions: 64,
            connections_max: 8,
            list_connections_max: 4,
            connect_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            allow_lost_commits: false,
            formats: Formats::default(),
        }
    }
}
