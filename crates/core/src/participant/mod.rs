//! Registered participants: what a registration says, how it is read and shown, and which
//! targets may be called at all.

mod address_class;
mod document;
mod endpoint;
mod fencing;
mod fields;
mod header;
mod parse;
mod parse_auth;
mod secret;
mod spec;
mod target;

pub use endpoint::{Endpoint, EndpointError};
pub use fencing::{fencing_token_header, lock_keys_header};
pub use header::is_reserved_header;
pub use secret::Secret;
pub use spec::{Auth, Breaker, ParticipantSpec, Protocol};
pub use target::{Blocked, TargetPolicy, TargetRule};
