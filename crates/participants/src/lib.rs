//! Outgoing calls: registered participants over HTTP/1.1 and HTTP/2.
//!
//! [`HttpParticipants`] makes one attempt of one call and says what became of it; when to make the
//! next one is for the engine. What headers a call carries and how its answer is read is written
//! down in the participant contract and in the table of [`classify`](mod@classify).
//!
//! # Invariants
//!
//! * An attempt is reported as not sent only if hyper gave the request back unwritten, or no
//!   connection was made. Everything else that breaks is *unknown*.
//! * The address that the target policy judged is the address that is dialled.
//! * No redirect is followed, no answer is decompressed, nothing is read without a bound.
//! * No secret and no resolved address stands in an answer, a log line or a `Debug` text.
//! * When an attempt's time-out has passed, its connection (HTTP/2: its stream) is closed.

mod answer;
mod breaker;
pub mod classify;
mod config;
mod credentials;
mod dial;
mod failure;
mod head_limit;
mod headers;
mod health;
mod http_participants;
mod origin;
mod participant;
mod poll;
mod pool;
mod progress;
mod rate;
mod request;
mod retry_after;
mod tls;

pub use breaker::BreakerState;
pub use config::{Config, Resolver, Roots, SystemResolver};
pub use http_participants::HttpParticipants;
pub use participant::{EndpointSnapshot, ParticipantSnapshot};
