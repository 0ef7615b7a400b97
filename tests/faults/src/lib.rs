//! Faults of real processes.
//!
//! Coordinators, PostgreSQL, Redis masters and participants as processes of their own, with
//! proxies between them and sagas under way; a fault, its end, and what must hold after it.

mod acts;
mod catalog;
mod fleet;
mod journal;
mod judge;
mod kind;
mod links;
mod load;
mod points;
mod run;
mod scene;
mod stage;
mod table;

pub use catalog::{CATALOG, Entry};
pub use kind::{Kind, Outcome};
pub use points::kill_at_every_point;
pub use run::{Agenda, Row, run};
pub use table::write;
