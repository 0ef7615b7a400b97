//! The rules of the semantics as properties: any definition, any answers, any crash.
//!
//! A [`world`] plays the engine and the participants of one saga by arbitrary [`moves`] on an
//! arbitrary [`plan`] and keeps the [`story`] of it; each rule then judges the story from what
//! really happened and from the journal, not from the machine's state.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a rule looks at the facts that it is about and passes over all others"
)]

mod answers;
mod backward;
mod calm;
mod case;
mod client;
mod decision;
mod ending;
mod forward;
mod keys;
mod moves;
mod network;
mod operator;
mod outside;
mod participant;
mod plan;
mod properties;
mod repetition;
mod sentence;
mod story;
mod table;
mod transaction;
mod world;
