//! Models of the protocols, small enough to be looked through state by state.
//!
//! A model has a few processes, a network that loses, doubles and reorders, and things that go
//! wrong at any moment. [stateright] visits every state that can be reached within stated bounds
//! and looks at every rule in each. Where a saga decides, it is the real state machine of
//! `amends-core` that does ([`machine`]): the models share its table, they don't repeat it.
//!
//! Each model takes a fault to be planted. A model that does not find its faults proves nothing,
//! so there is a test for each.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::missing_panics_doc,
    clippy::trivially_copy_pass_by_ref,
    clippy::unused_self,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    reason = "test code: a wrong model must stop the test"
)]

pub mod explored;
pub mod handover;
pub mod lease;
pub mod machine;
pub mod redlock;
pub mod tcc;
pub mod tickets;
