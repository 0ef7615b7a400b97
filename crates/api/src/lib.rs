//! REST, server-sent events, OpenAPI and problem documents: the only crate that knows status codes.
//!
//! A front door: it parses, asks the engine and answers. It takes no decision about a saga.
//!
//! # Invariants
//!
//! * Every error is a problem document (RFC 9457) with a code of the closed list [`ErrorCode`];
//!   what the server itself is to blame for is logged once and never sent.
//! * Every body, wait, page, stream and number of requests has a bound ([`ApiConfig`]).
//! * What else is served beside the API is under the same bounds ([`router_with_pages`]).
//! * Wire types are this crate's own, filled from the core's by exhaustive matches.
//! * The OpenAPI document is made from the same handlers that answer.

mod begin;
mod body;
mod callbacks;
mod code;
mod commands;
mod config;
mod decide;
mod definitions;
mod digest;
mod docs;
mod edge;
mod events;
mod extract;
mod headers;
mod health;
mod host;
mod interactive;
mod journal;
mod locks;
mod metrics;
mod openapi;
mod pages;
mod participants;
mod problem;
mod reference;
mod refusal;
mod requests;
mod router;
mod sagas;
mod start;
mod state;
mod strict;
mod waiting;
pub mod wire;

pub use code::ErrorCode;
pub use config::ApiConfig;
pub use openapi::document;
pub use problem::Problem;
pub use reference::error_reference;
pub use router::{router, router_with_pages};
