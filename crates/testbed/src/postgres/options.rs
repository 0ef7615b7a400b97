//! How a PostgreSQL server is set up.

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Whether a commit is on disk before it is answered (`fsync`). Without it a crash of the
    /// server still loses nothing, a crash of the machine may.
    pub durable: bool,
    /// Most connections at once.
    pub max_connections: u16,
    /// Further settings by name, such as `default_transaction_isolation`.
    pub settings: Vec<(String, String)>,
    /// What stands on a disk of its own that may be filled.
    pub disk: Option<DiskLimit>,
}

/// What of a server stands on a small disk. A fresh server needs 40 MB for data and log of changes
/// together, 17 MB for the log alone, and more as it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskLimit {
    /// All its data, on so many bytes.
    Data(u64),
    /// Its log of changes alone (`pg_wal`), on so many bytes.
    Wal(u64),
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { durable: false, max_connections: 100, settings: Vec::new(), disk: None }
    }
}

impl PostgresOptions {
    /// With a further setting.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The arguments of a server.
    pub(super) fn arguments(&self) -> Vec<String> {
        let connections = self.max_connections.to_string();
        let durable = if self.durable { "on" } else { "off" };
        let fixed = [
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            ("max_connections", &connections),
            ("fsync", durable),
            ("full_page_writes", durable),
            ("timezone", "UTC"),
            // In the data folder, where it goes with a server that is killed.
            ("dynamic_shared_memory_type", "mmap"),
        ];
        let further = self.settings.iter().map(|(name, value)| (&**name, &**value));
        let all = fixed.into_iter().chain(further);
        all.flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]).collect()
    }
}
