//! The ports of the engine: what it needs from outside, as traits without a library's name in them.
//!
//! [`Store`] keeps sagas, [`Locks`] guards their keys, [`Participants`] makes calls, [`Clock`] and
//! [`Ids`] give time and names.
//! Each has real adapters in crates of their own and, behind the feature `testing`, an in-memory
//! one here together with the conformance suite that every adapter passes. Behind the feature
//! `failpoints`, [`failpoint!`] is a place where a test build can be killed.

mod clock;
#[doc(hidden)]
pub mod failpoint;
mod ids;
mod locks;
mod page;
mod participants;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use clock::{Clock, SystemClock};
pub use ids::{Ids, SystemIds};
pub use locks::{Guard, GuardError, GuardHolder, LockMaster, Locks, LocksHealth};
pub use page::{Cursor, CursorError, Page, SagaFilter, SagaSummary};
pub use participants::{CallContext, Health, OutgoingCall, Participants};
pub use store::Store;
