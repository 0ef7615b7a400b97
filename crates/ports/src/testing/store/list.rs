//! Lists, counts and retention.

use std::cmp::Reverse;

use amends_core::saga::Status;
use amends_core::{SagaId, Timestamp};

use super::state::{SagaRow, State};
use crate::{Cursor, Page, SagaFilter, SagaSummary};

impl State {
    pub(super) fn list(
        &self,
        filter: &SagaFilter,
        after: Option<&Cursor>,
        limit: u16,
    ) -> Page<SagaSummary> {
        // Under a prefix of ids the order is that of ids alone.
        let has_time = filter.id_prefix.is_none();
        let place =
            |created_at: Timestamp, id: &SagaId| (has_time.then_some(created_at), id.clone());
        let is_after = |id: &SagaId, row: &SagaRow| {
            after.is_none_or(|cursor| {
                place(row.created_at, id) < place(cursor.created_at, &cursor.saga_id)
            })
        };
        let mut rows: Vec<(&SagaId, &SagaRow)> = self
            .sagas
            .iter()
            .filter(|(id, row)| matches(filter, id, row) && is_after(id, row))
            .collect();
        rows.sort_by_key(|(id, row)| Reverse(place(row.created_at, id)));
        let more = rows.len() > usize::from(limit);
        rows.truncate(usize::from(limit));
        let items: Vec<SagaSummary> = rows.iter().map(|(id, row)| row.summary(id)).collect();
        let next = items
            .last()
            .filter(|_| more)
            .map(|last| Cursor { created_at: last.created_at, saga_id: last.saga_id.clone() });
        Page { items, next }
    }

    pub(super) fn counts(&self, limit: u32) -> Vec<(Status, u32)> {
        let count = |status| {
            let stand = self.sagas.values().filter(|row| row.header.status == status).count();
            (status, u32::try_from(stand).unwrap_or(u32::MAX).min(limit))
        };
        Status::ALL.into_iter().map(count).collect()
    }

    pub(super) fn delete_ended(&mut self, before: Timestamp, limit: u16) -> u64 {
        let ended: Vec<SagaId> = self
            .sagas
            .iter()
            .filter(|(id, row)| {
                let parent = id.parent().and_then(|parent| self.sagas.get(&parent));
                row.header.ended_at.is_some_and(|at| at < before)
                    && parent.is_none_or(|parent| parent.header.ended_at.is_some())
            })
            .take(usize::from(limit))
            .map(|(id, _)| id.clone())
            .collect();
        for saga_id in &ended {
            self.show_deleted(saga_id);
            self.give_back(saga_id);
            let row = self.sagas.remove(saga_id);
            if let Some(key) = row.and_then(|row| row.idempotency_key) {
                self.idempotency.remove(&key);
            }
            self.inbox.retain(|row| row.item.saga_id != *saga_id);
        }
        ended.len() as u64
    }
}

fn matches(filter: &SagaFilter, id: &SagaId, row: &SagaRow) -> bool {
    let label = |(name, value): &(String, String)| row.labels.get(name) == Some(value);
    (filter.statuses.is_empty() || filter.statuses.contains(&row.header.status))
        && filter.definition.as_ref().is_none_or(|name| *name == row.definition_name)
        && filter.labels.iter().all(label)
        && filter.lock_key.as_ref().is_none_or(|key| row.lock_keys.contains(key))
        && filter.created_from.is_none_or(|from| row.created_at >= from)
        && filter.created_before.is_none_or(|before| row.created_at < before)
        && filter.id_prefix.as_ref().is_none_or(|prefix| id.as_str().starts_with(prefix))
}
