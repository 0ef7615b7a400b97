//! Who has which partition, under which epoch.

use std::collections::HashMap;

use amends_ports::store::{CoordinatorId, Epoch, Lease, Partition};

/// All leases that were ever given.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    newest: HashMap<Partition, Epoch>,
    owners: HashMap<Lease, CoordinatorId>,
    pub(crate) broken: Vec<String>,
}

impl Leases {
    /// Somebody was given partitions, whether told or not: each under an epoch of its own.
    pub(crate) fn given(&mut self, owner: &CoordinatorId, leases: &[Lease]) {
        for lease in leases {
            let newest = self.newest.insert(lease.partition, lease.epoch);
            if newest.is_some_and(|newest| newest >= lease.epoch) {
                self.broken.push(format!("S4: {lease:?} was given after {newest:?}"));
            }
            self.owners.insert(*lease, owner.clone());
        }
    }

    /// Somebody was told that they have these.
    pub(crate) fn told(&mut self, owner: &CoordinatorId, leases: &[Lease]) {
        for lease in leases.iter().filter(|lease| self.owners.get(lease) != Some(owner)) {
            self.broken.push(format!("S4: {owner} was told to have {lease:?}"));
        }
    }

    /// A batch was written that relies on these.
    pub(crate) fn check(&mut self, leases: &[Lease]) {
        let is_old = |lease: &&Lease| self.newest.get(&lease.partition) != Some(&lease.epoch);
        let old: Vec<String> =
            leases.iter().filter(is_old).map(|lease| format!("{lease:?}")).collect();
        if !old.is_empty() {
            self.broken.push(format!("S4: a write was taken under old epochs: {old:?}"));
        }
    }

    /// The newest epoch of each partition, by partition.
    pub(crate) fn newest(&self) -> Vec<(Partition, Epoch)> {
        let mut all: Vec<_> = self.newest.iter().map(|(own, epoch)| (*own, *epoch)).collect();
        all.sort();
        all
    }
}
