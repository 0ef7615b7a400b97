//! The store on PostgreSQL.
//!
//! Each file holds one family of statements beside the code that runs them. All statements keep
//! to what databases that speak PostgreSQL's protocol have in common.

mod accept;
mod append;
mod connect;
mod definition;
mod ends;
mod failure;
mod fast;
mod generation;
mod guess;
mod idle;
mod inbox;
mod lease;
mod list;
mod load;
mod lock;
mod options;
mod page;
mod participant;
mod pool;
mod queue;
mod row;
mod saga;
mod statements;
mod store;
mod time;
mod transaction;
mod unlisted;
mod version;
mod write;

#[doc(hidden)]
pub use connect::hot_settings;
use failure::Failure;
pub use options::PostgresOptions;
#[doc(hidden)]
pub use statements::{COLD, HOT};
pub use store::PostgresStore;
use time::Time;
