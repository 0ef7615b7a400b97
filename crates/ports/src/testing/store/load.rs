//! Sagas into memory, one saga, its journal, the inbox.

use amends_core::{SagaId, Timestamp};

use super::state::{SagaRow, State};
use crate::store::{InboxItem, JournalPage, Lease, StoredSaga, Wake};

impl State {
    pub(super) fn recover(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: u16,
    ) -> Vec<StoredSaga> {
        if !self.is_newest(lease) {
            return Vec::new();
        }
        self.live_rows()
            .filter(|(id, _)| after.is_none_or(|after| *id > after))
            .filter(|(_, row)| row.partition == lease.partition)
            .filter(|(_, row)| row.header.wake == Wake::InMemory)
            .take(usize::from(limit))
            .map(|(id, row)| row.stored(id))
            .collect()
    }

    pub(super) fn claim_due(
        &mut self,
        leases: &[Lease],
        limit: u16,
        now: Timestamp,
    ) -> Vec<StoredSaga> {
        let due = |row: &SagaRow| match row.header.wake {
            Wake::At(at) if at <= now => Some(at),
            Wake::At(_) | Wake::InMemory | Wake::Parked => None,
        };
        let mut ids: Vec<(Timestamp, SagaId)> = self
            .live_rows()
            .filter(|(_, row)| self.is_newest_for(leases, row.partition))
            .filter_map(|(id, row)| Some((due(row)?, id.clone())))
            .collect();
        ids.sort();
        ids.truncate(usize::from(limit));
        ids.iter().filter_map(|(_, id)| self.claim(id)).collect()
    }

    pub(super) fn claim_one(&mut self, leases: &[Lease], saga_id: &SagaId) -> Option<StoredSaga> {
        let row = self.sagas.get(saga_id)?;
        let claimable = self.live.contains(saga_id)
            && row.header.wake != Wake::InMemory
            && self.is_newest_for(leases, row.partition);
        if claimable { self.claim(saga_id) } else { None }
    }

    fn claim(&mut self, saga_id: &SagaId) -> Option<StoredSaga> {
        let row = self.sagas.get_mut(saga_id)?;
        row.header.wake = Wake::InMemory;
        Some(row.stored(saga_id))
    }

    fn live_rows(&self) -> impl Iterator<Item = (&SagaId, &SagaRow)> {
        self.live.iter().filter_map(|id| self.sagas.get_key_value(id))
    }

    pub(super) fn journal(&self, saga_id: &SagaId, from: u64, limit: u16) -> Option<JournalPage> {
        let all = &self.sagas.get(saga_id)?.records;
        let start = usize::try_from(from).unwrap_or(usize::MAX).min(all.len());
        let end = start.saturating_add(usize::from(limit)).min(all.len());
        Some(JournalPage { from, records: all[start..end].to_vec(), more: end < all.len() })
    }

    pub(super) fn inbox(&self, leases: &[Lease], limit: u16) -> Vec<InboxItem> {
        let mut items: Vec<&InboxItem> = self
            .inbox
            .iter()
            .filter(|row| row.result.is_none())
            .filter(|row| self.is_newest_for(leases, row.item.partition))
            .map(|row| &row.item)
            .collect();
        items.sort_by_key(|item| item.posted_at);
        items.into_iter().take(usize::from(limit)).cloned().collect()
    }
}
