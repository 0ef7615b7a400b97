//! The REST client against a server that answers by a script.
#![allow(clippy::unwrap_used, reason = "test code")]

mod following;
mod interactive;
mod problems;
mod reading;
mod retries;
mod script;
mod starting;
mod tls;
