//! Fuzz targets: each takes bytes as they might come from outside, and panics where a promise is
//! broken. They are run by `cargo fuzz` (`tests/fuzz/fuzz`) and by `tests/properties.rs`, and every
//! input that ever broke one stays in `corpus`.
//!
//! # Promises
//!
//! * No input makes anything panic, or answer 500.
//! * What was read and written again is read as the same.
//! * Every input is done with in time: libFuzzer and the properties watch the clock.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a panic is what these are for"
)]

mod branch;
mod definition;
mod expression;
mod journal;
mod participant;
mod request;
mod sample;
mod word;

pub use branch::branch;
pub use definition::definition;
pub use expression::expression;
pub use journal::{journal, journal_of};
pub use participant::participant;
pub use request::{ROUTES, request};
pub use sample::{definitions, documents};
pub use word::word;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All of them by name.
pub const TARGETS: [(&str, Target); 7] = [
    ("branch", branch),
    ("definition", definition),
    ("expression", expression),
    ("journal", journal),
    ("participant", participant),
    ("request", request),
    ("word", word),
];
