//! Calls over real sockets: every server here stands on a port of its own that the system chose.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod answers;
mod contract;
mod faults;
mod limits;
mod polling;
mod secrets;
mod support;
mod targets;
mod transport;
