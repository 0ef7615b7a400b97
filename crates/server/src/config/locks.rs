//! The settings of the lock service in their types.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use amends_locks::Config;
use serde::{Deserialize, Serialize};

use super::settings::duration_text;

/// Guards of lock keys on Redis. Table `[locks]`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Locks {
    /// One URL a master; none: no guards.
    pub(crate) redis: Vec<String>,
    /// Life of a guard without renewal.
    #[serde(with = "duration_text")]
    pub(crate) ttl: Duration,
    /// Longest wait for one master's answer.
    #[serde(with = "duration_text")]
    pub(crate) node_timeout: Duration,
    /// Longest time to open a connection.
    #[serde(with = "duration_text")]
    pub(crate) connect_timeout: Duration,
    /// What stands before each key.
    pub(crate) prefix: String,
    /// Further certificate authorities; empty: none.
    pub(crate) tls_ca_file: PathBuf,
    /// The certificate that masters are shown; empty: none.
    pub(crate) tls_cert_file: PathBuf,
    /// Its key.
    pub(crate) tls_key_file: PathBuf,
}

impl Default for Locks {
    fn default() -> Self {
        let Config { urls, ttl, node_timeout, connect_timeout, prefix, tls: _ } =
            Config::new(Vec::<String>::new());
        let [tls_ca_file, tls_cert_file, tls_key_file] = Default::default();
        Self {
            redis: urls,
            ttl,
            node_timeout,
            connect_timeout,
            prefix,
            tls_ca_file,
            tls_cert_file,
            tls_key_file,
        }
    }
}

impl fmt::Debug for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URLs hold passwords.
        f.debug_struct("Locks").field("redis", &self.redis.len()).finish_non_exhaustive()
    }
}
