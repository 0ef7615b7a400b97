//! Who may drive which sagas.

use std::fmt;

/// A fixed slice of all sagas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u16);

/// Grows at every change of a partition's owner, and when an owner raises it itself; from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// The right to drive one partition under one epoch. A write under a smaller epoch than the
/// newest changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The partition.
    pub partition: Partition,
    /// The epoch it was taken with.
    pub epoch: Epoch,
}

/// Names one run of one coordinator process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoordinatorId(pub String);

impl fmt::Display for CoordinatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A coordinator that lives, by the store's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which.
    pub id: CoordinatorId,
    /// Base URL at which the others reach it; may be empty.
    pub address: String,
    /// Whether it is handing its partitions over.
    pub draining: bool,
    /// How many partitions it holds.
    pub partitions: u16,
}
