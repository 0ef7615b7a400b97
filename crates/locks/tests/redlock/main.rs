//! Redlock on real Redis masters.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod cluster;
mod conformance;
mod login;
mod restarts;
mod setup;
mod standing;
mod votes;
