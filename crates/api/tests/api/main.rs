//! The API against its router, over an engine with in-memory ports: every answer is checked
//! against the OpenAPI document, and the answers themselves are snapshots.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "test code"
)]

mod bad_branches;
mod bad_inputs;
mod contract;
mod events;
mod interactive;
mod limits;
mod locks;
mod pages;
mod reference;
mod support;
mod tour;
