//! Faults of real processes.
//!
//! Coordinators, PostgreSQL, Redis masters and participants as processes of their own, with
//! proxies between them and sagas under way; a fault, its end, and what must hold after it.

mod kind;
mod points;

pub use kind::{Kind, Outcome};
pub use points::kill_at_every_point;
