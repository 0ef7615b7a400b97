//! The runtime: it does what the core decides.
//!
//! A coordinator owns partitions by leases, drives their sagas, writes their journals in groups,
//! makes their calls and keeps their times. Every saga that something is due for soon is one task
//! (`driver`) that owns a [`Saga`](amends_core::saga::Saga) and talks to the journal writer; what
//! sleeps longer is in the store alone.
//!
//! # Invariants
//!
//! * Nothing leaves for a participant before the fact that it may have left is durable.
//! * Only the holder of a partition's newest epoch writes for it; who finds out that it is not
//!   stops at once.
//! * No decision is taken here, and no status code or table is known here.

mod config;
mod definitions;
mod driver;
mod engine;
mod error;
mod guards;
mod inbox;
mod interactive;
mod journal;
mod kept;
mod live;
mod locks;
mod memory;
mod message;
mod metrics;
mod nested;
mod outgoing;
mod ownership;
mod poller;
mod registry;
mod submit;
mod trace;
mod view;
mod writer;

pub use config::{ConfigError, EngineConfig};
pub use engine::{Engine, Ports, Readiness};
pub use error::{CommandError, CompleteError, RegistryError, StartError, SubmitError};
pub use interactive::{EnlistError, Enlisted};
pub use locks::ReleaseError;
pub use metrics::Metrics;
pub use submit::{Chosen, Submission, Submitted};
pub use trace::{NoTracing, Tracing};
pub use view::{Hint, SagaDetail, explain};
