//! Members and leases.

use std::time::Duration;

use amends_core::Timestamp;

use super::state::{LeaseRow, MemberRow, State};
use crate::store::{Batch, CoordinatorId, Epoch, Lease, Member, Partition};

impl State {
    pub(super) fn is_newest(&self, lease: Lease) -> bool {
        self.leases
            .get(usize::from(lease.partition.0))
            .is_some_and(|row| row.owner.is_some() && row.epoch == lease.epoch.0)
    }

    pub(super) fn is_newest_for(&self, leases: &[Lease], partition: Partition) -> bool {
        leases.iter().any(|lease| lease.partition == partition && self.is_newest(*lease))
    }

    pub(super) fn heartbeat(
        &mut self,
        me: &CoordinatorId,
        address: &str,
        draining: bool,
        ttl: Duration,
        now: Timestamp,
    ) -> (Vec<Member>, Vec<Lease>) {
        let expires_at = now.after(ttl);
        let row = MemberRow { address: address.to_owned(), draining, expires_at };
        self.members.insert(me.clone(), row);
        self.members.retain(|_, member| member.expires_at > now);
        for row in self.leases.iter_mut().filter(|row| row.owner.as_ref() == Some(me)) {
            row.expires_at = row.expires_at.max(expires_at);
        }
        (self.live_members(now), self.leases_of(me))
    }

    fn live_members(&self, now: Timestamp) -> Vec<Member> {
        let held = |id: &CoordinatorId| {
            let holds = |row: &&LeaseRow| row.owner.as_ref() == Some(id) && row.expires_at > now;
            u16::try_from(self.leases.iter().filter(holds).count()).unwrap_or(u16::MAX)
        };
        let member = |(id, row): (&CoordinatorId, &MemberRow)| Member {
            id: id.clone(),
            address: row.address.clone(),
            draining: row.draining,
            partitions: held(id),
        };
        let mut members: Vec<Member> = self.members.iter().map(member).collect();
        members.sort_by(|a, b| (a.draining, &a.id).cmp(&(b.draining, &b.id)));
        members
    }

    fn leases_of(&self, me: &CoordinatorId) -> Vec<Lease> {
        (0_u16..)
            .zip(&self.leases)
            .filter(|(_, row)| row.owner.as_ref() == Some(me))
            .map(|(partition, row)| row.lease(partition))
            .collect()
    }

    pub(super) fn acquire(
        &mut self,
        me: &CoordinatorId,
        limit: u16,
        ttl: Duration,
        now: Timestamp,
    ) -> Vec<Lease> {
        let free: Vec<u16> = (0_u16..)
            .zip(&self.leases)
            .filter(|(_, row)| row.owner.is_none() || row.expires_at <= now)
            .map(|(partition, _)| partition)
            .take(usize::from(limit))
            .collect();
        self.finish_late_writes(now, |batch| batch.relies_on(|own| free.contains(&own.0)));
        (0_u16..)
            .zip(&mut self.leases)
            .filter(|(partition, _)| free.contains(partition))
            .map(|(partition, row)| row.raise(partition, me, now.after(ttl)))
            .collect()
    }

    pub(super) fn raise_epochs(
        &mut self,
        me: &CoordinatorId,
        leases: &[Lease],
        ttl: Duration,
        now: Timestamp,
    ) -> Vec<Lease> {
        let is_raised = |own| leases.iter().any(|lease| lease.partition == own);
        self.finish_late_writes(now, |batch| batch.relies_on(is_raised));
        let mut raised = Vec::new();
        for lease in leases {
            let Some(row) = self.leases.get_mut(usize::from(lease.partition.0)) else { continue };
            if row.epoch == lease.epoch.0 && row.owner.as_ref() == Some(me) {
                raised.push(row.raise(lease.partition.0, me, now.after(ttl)));
            }
        }
        raised
    }

    pub(super) fn release(&mut self, leases: &[Lease]) {
        for lease in leases {
            if self.is_newest(*lease) {
                self.leases[usize::from(lease.partition.0)].owner = None;
            }
        }
    }
}

impl Batch {
    /// Whether it relies on the lease of such a partition: then a raise of its epoch waits for it.
    /// A batch that only holds submissions for other owners is waited for by nobody.
    fn relies_on(&self, is_meant: impl Fn(Partition) -> bool) -> bool {
        self.leases.iter().any(|lease| is_meant(lease.partition))
    }
}

impl LeaseRow {
    const fn lease(&self, partition: u16) -> Lease {
        Lease { partition: Partition(partition), epoch: Epoch(self.epoch) }
    }

    fn raise(&mut self, partition: u16, owner: &CoordinatorId, expires_at: Timestamp) -> Lease {
        self.epoch += 1;
        self.owner = Some(owner.clone());
        self.expires_at = expires_at;
        self.lease(partition)
    }
}
