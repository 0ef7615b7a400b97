//! Who holds lock keys and who waits for them.

use std::collections::BTreeMap;
use std::ops::Bound;

use amends_core::saga::Token;
use amends_core::{LockKey, SagaId};

use super::state::{SagaRow, State};
use crate::store::{Lease, LockHolder, LockPlace, LockQueue, LockSummary, PLACES_MAX, SagaLock};

/// Tickets of one key by position.
type Queue = BTreeMap<u64, SagaId>;

impl State {
    pub(super) fn locks(
        &self,
        prefix: Option<&str>,
        after: Option<&LockKey>,
        limit: u16,
    ) -> Vec<LockSummary> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.queues
            .range::<LockKey, _>((from, Bound::Unbounded))
            .filter(|(key, _)| prefix.is_none_or(|prefix| key.as_str().starts_with(prefix)))
            .take(usize::from(limit))
            .map(|(key, queue)| {
                let held = self.held(key, queue);
                LockSummary {
                    key: key.clone(),
                    token: held.map_or(Token(self.counter), |(_, token)| token),
                    holder: held.and_then(|(saga_id, _)| self.place(saga_id)),
                    waiting: capped(queue.len() - usize::from(held.is_some())),
                }
            })
            .collect()
    }

    pub(super) fn lock(&self, key: &LockKey, limit: u16) -> Option<LockQueue> {
        let queue = self.queues.get(key)?;
        let held = self.held(key, queue);
        let first = usize::from(held.is_some());
        Some(LockQueue {
            key: key.clone(),
            token: held.map_or(Token(self.counter), |(_, token)| token),
            holder: held.and_then(|(saga_id, _)| self.place(saga_id)),
            queue: queue
                .values()
                .skip(first)
                .take(usize::from(limit))
                .filter_map(|saga_id| self.place(saga_id))
                .collect(),
            waiting: capped(queue.len() - first),
        })
    }

    pub(super) fn lock_places(&self, saga_id: &SagaId) -> Vec<SagaLock> {
        let Some(row) = self.sagas.get(saga_id) else { return Vec::new() };
        let Some(ticket) = &row.ticket else { return Vec::new() };
        let place = |(index, key): (usize, &LockKey)| {
            let queue = self.queues.get(key)?;
            Some(SagaLock {
                key: key.clone(),
                token: ticket.tokens.get(index).copied(),
                ahead: capped(queue.range(..ticket.position).count()),
                holder: self.held(key, queue).map(|(holder, _)| holder.clone()),
            })
        };
        row.lock_keys.iter().enumerate().filter_map(place).collect()
    }

    pub(super) fn lock_holders(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: u16,
    ) -> Vec<LockHolder> {
        if !self.is_newest(lease) {
            return Vec::new();
        }
        let holder = |saga_id: &SagaId, row: &SagaRow| {
            let tokens = &row.ticket.as_ref()?.tokens;
            let holds = row.partition == lease.partition && !tokens.is_empty();
            holds.then(|| LockHolder {
                saga_id: saga_id.clone(),
                keys: row.lock_keys.clone(),
                tokens: tokens.clone(),
            })
        };
        self.live
            .iter()
            .filter(|saga_id| after.is_none_or(|after| *saga_id > after))
            .filter_map(|saga_id| holder(saga_id, self.sagas.get(saga_id)?))
            .take(usize::from(limit))
            .collect()
    }

    /// The holder of a key, with its token.
    fn held<'s>(&'s self, key: &LockKey, queue: &'s Queue) -> Option<(&'s SagaId, Token)> {
        let saga_id = queue.values().next()?;
        let row = self.sagas.get(saga_id)?;
        let index = row.lock_keys.iter().position(|own| own == key)?;
        Some((saga_id, *row.ticket.as_ref()?.tokens.get(index)?))
    }

    fn place(&self, saga_id: &SagaId) -> Option<LockPlace> {
        let row = self.sagas.get(saga_id)?;
        Some(LockPlace {
            saga_id: saga_id.clone(),
            partition: row.partition,
            definition_name: row.definition_name.clone(),
            status: row.header.status,
            since: row.ticket.as_ref()?.taken_at,
        })
    }
}

fn capped(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(PLACES_MAX).min(PLACES_MAX)
}
