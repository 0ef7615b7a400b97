//! What a participant reads from a call, and what it answers.

mod answer;
mod call;
#[cfg(feature = "axum")]
mod extract;
mod fields;
mod op;
mod signature;
#[cfg(feature = "axum")]
mod signature_layer;

pub use answer::{Answer, Kind};
pub use call::{Call, CallError, FencingToken, ForwardOutcome};
pub use op::Op;
pub use signature::{SecretError, SignatureError, Verifier};
#[cfg(feature = "axum")]
pub use signature_layer::{Signed, SignedLayer};
