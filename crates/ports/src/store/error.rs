//! How a store fails: each variant says what has happened and so what may be done.

use super::Partition;

/// A source of an error, kept for logs.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a method other than [`super::Store::write`] failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store can't be reached or is overloaded. Reads may be repeated; methods that write
    /// are idempotent and may be repeated too.
    #[error("the store is not available")]
    Unavailable(#[source] Source),
    /// What is stored can't be read: another release wrote it, or it was damaged.
    #[error("the store holds something that this release cannot read: {0}")]
    Corrupt(String),
    /// This release must not work on this store (any more): others have gone on to what it does
    /// not know. It owns nothing from now on.
    #[error("this release is too old for its store: {0}")]
    Outdated(String),
}

/// Why a batch was not, or may not have been, written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// These partitions have a newer owner or epoch. Nothing was written; stop driving them.
    #[error("{} partition(s) have a newer owner", .0.len())]
    Fenced(Vec<Partition>),
    /// Nothing was written and nothing will be; try again.
    #[error("the store is not available; nothing was written")]
    Unavailable(#[source] Source),
    /// The answer to the commit was lost: it may have been written, or may still be.
    #[error("the answer to a commit was lost; it is not known whether it was written")]
    OutcomeUnknown(#[source] Source),
}
