//! Guards of lock keys: Redlock over independent Redis masters.
//!
//! [`Redlock`] implements [`amends_ports::Locks`]. A guard is a key of Redis with a life, set on
//! every master at once and held when a majority has it. Which saga may run is decided elsewhere,
//! by tickets in the store: a guard only tells writers that are not sagas, so nothing here has to
//! be right for a saga to be.
//!
//! # What a master must be
//!
//! * A Redis or Valkey of its own, version 6 or later, sharing nothing with the others; not a
//!   replica. Its failover, if it has one, counts as a restart.
//! * Without a limit of memory, or with `maxmemory-policy noeviction`: others drop guards.
//! * Reached at `redis://[user[:password]@]host[:port][/database]`, `rediss://…` for TLS, or, for a
//!   Redis Cluster that counts as one master among the others, or alone,
//!   `redis+cluster://[user[:password]@]host:port,host:port` and `rediss+cluster://…`. Some of its
//!   nodes are enough. A cluster's failover may forget guards, for it copies them late; after one
//!   its new master is not trusted for one ttl.
//! * Open to a user who may do at least this (`amends:lock:` is [`Config::prefix`]):
//!
//! ```text
//! ACL SETUSER amends on >password ~amends:lock:* +eval +get +set +pexpire +del +info +time +cluster|slots
//! ```
//!
//! # When a master's vote counts
//!
//! A master that restarted may have forgotten guards that others count on. So each connection
//! begins with the question who answers: under a new `run_id`, or if it has been up for less than
//! one ttl at the first contact, the master's votes count only when one ttl has passed, for by then
//! every guard that it may have forgotten has expired. All coordinators need the same ttl.
//!
//! # Order
//!
//! One connection to a master, and on it what was asked first is done first. So the release that
//! follows a failed acquisition can't overtake it, nor the next acquisition overtake the release.

mod config;
mod counts;
mod endpoint;
mod judge;
mod keeper;
mod node;
mod open;
mod redlock;
mod script;
mod session;
mod slot;
mod trust;
mod validity;
mod vote;

pub use config::{Config, Error, Tls};
pub use counts::LockCounts;
pub use redlock::Redlock;
