//! Configuration: what can be set, where each value came from, and how it is shown.
//!
//! Four layers, later ones over earlier ones: defaults, a TOML file, environment, flags. Every
//! layer gives single keys; [`load()`] checks each against the table in [`key`] before anything is
//! deserialised, so that all faults are told at once and each names the key as its layer spells
//! it. Secrets never leave this module in readable form except inside [`Settings`].

mod error;
mod file;
mod key;
mod load;
mod locks;
mod origin;
mod print;
mod settings;

pub(crate) use error::Error;
pub(crate) use load::{Effective, Sources, load};
pub(crate) use locks::Locks;
pub(crate) use origin::Given;
pub(crate) use print::masked;
pub(crate) use settings::{LogFormat, Settings, Telemetry, browsable};
