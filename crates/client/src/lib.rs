//! For services that use amends: a typed client, and the barrier for participants.

#[cfg(feature = "participant")]
pub mod barrier;
#[cfg(feature = "participant")]
pub mod participant;
#[cfg(feature = "rest")]
pub mod rest;
#[cfg(feature = "rest")]
pub use rest::Client;
