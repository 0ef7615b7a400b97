//! What an earlier release left in its database: how it is made, and how it is read back.
//!
//! `examples/old_release.rs` writes it with the binary of that release, once; `tests/upgrade.rs`
//! restores it and goes on with the release under test.

mod participant;
mod plan;
mod record;

pub use participant::{Heard, OldHand};
pub use plan::{definitions, participants, plans, revised};
pub use record::{Expected, ExpectedSaga, INBOX, Plan, is_within};

/// What stands in the fixtures for the address of the participants.
pub const NOWHERE: &str = "http://participant.invalid";
