//! Interactive transactions: the program calls the participants itself, and decides.

mod begin;
mod branch;
mod call;
mod transaction;

pub use begin::Begin;
pub use branch::{Branch, BranchDraft, Nested};
pub use call::Call;
pub use transaction::Transaction;
