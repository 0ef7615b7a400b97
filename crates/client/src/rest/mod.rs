//! The client of the REST API: start sagas and wait for them, follow them, command them, lead
//! interactive transactions, register participants and definitions.
//!
//! ```no_run
//! # async fn example() -> amends_client::rest::Result<()> {
//! use std::time::Duration;
//!
//! use amends_client::Client;
//!
//! let client = Client::new("http://127.0.0.1:7411")?;
//! let saga = client
//!     .start("place-order")
//!     .input(&serde_json::json!({ "sku": "book", "quantity": 2 }))
//!     .label("shop", "berlin")
//!     .key("order-4711")
//!     .wait(Duration::from_secs(10))
//!     .send()
//!     .await?;
//! println!("{}: {}", saga.status, saga.explanation);
//! # Ok(())
//! # }
//! ```
//!
//! Every request has a time-out and is repeated under the same key ([`RetryPolicy`]) if that is
//! safe; an [`Error`] says what may have happened. Views take members and words of later servers.

mod builder;
mod callback;
mod chance;
mod client;
mod command;
mod definition;
mod error;
mod follow;
mod handle;
mod interactive;
mod items;
mod journal;
mod list;
mod lock;
mod outgoing;
mod participant;
mod process;
mod retry;
mod saga;
mod sse;
mod start;
mod stream;
mod transport;
mod waiting;
mod words;

pub use builder::Builder;
pub use callback::Completion;
pub use client::Client;
pub use command::Command;
pub use definition::{
    Definition, DefinitionStored, DefinitionSummary, Definitions, Document, Exploration,
    ExploredCall, ExploredFailure, Run, Validation,
};
pub use error::{Error, Fault, Problem, Result};
pub use follow::{Change, Hint};
pub use handle::SagaHandle;
pub use interactive::{Begin, Branch, BranchDraft, Call, Nested, Transaction};
pub use items::Items;
pub use journal::{Actor, JournalPage, JournalRecord};
pub use list::{SagaPage, SagaQuery, SagaSummary};
pub use lock::{Lock, LockHolder, LockRelease, LockSummary, LockWaiter, Locks};
pub use participant::{
    EndpointHealth, Participant, ParticipantHealth, ParticipantSpec, Participants,
};
pub use process::{Check, Counts, GuardMaster, LocksReadiness, Readiness};
pub use retry::RetryPolicy;
pub use saga::{AttemptProblem, LockKey, LockStanding, Parent, Saga, SagaCall, Step};
pub use start::Start;
pub use words::{CallState, Decision, Mode, Op, Outcome, Severity, Status, StepKind, StepStatus};

/// The guide's examples, compiled.
#[cfg(all(doctest, feature = "axum", feature = "postgres"))]
#[doc = include_str!("../../../../docs/client.md")]
struct Guide;
