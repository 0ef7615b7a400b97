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

pub use clock::TestClock;
pub use ids::TestIds;
pub use locks::MemoryLocks;
pub use participants::{ScriptedAnswer, ScriptedParticipants};
pub use store::{Change, Commit, Fault, MemoryStore};
