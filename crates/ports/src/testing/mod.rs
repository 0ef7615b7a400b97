//! In-memory adapters of every port, and the conformance suites that every adapter passes.
//!
//! For tests of other crates and for the simulator; behind the feature `testing`. The adapters
//! keep the promises of their ports exactly and can be told to fail in every way that the ports
//! allow. None of them needs a thread: on tokio's paused clock they run in virtual time.

mod clock;
pub mod conformance;
mod ids;
mod locks;
mod participants;
mod store;

use amends_core::Timestamp;
use amends_core::saga::Status;

use crate::store::{Header, Wake};

pub use clock::TestClock;
pub use ids::TestIds;
pub use locks::MemoryLocks;
pub use participants::{ScriptedAnswer, ScriptedParticipants};
pub use store::{Change, Commit, Fault, MemoryStore};

/// What the row of a saga of this status says since `at`; live ones are in memory.
pub fn header(status: Status, at: Timestamp) -> Header {
    let ended = status.is_terminal();
    Header {
        status,
        paused: false,
        step: None,
        reason: None,
        updated_at: at,
        ended_at: ended.then_some(at),
        wake: if ended { Wake::Parked } else { Wake::InMemory },
    }
}
