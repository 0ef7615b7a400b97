//! Queues of lock keys: tickets, grants, releases.
//!
//! All tickets of a saga have one position, taken when it is accepted; so two sagas stand in the
//! same order in every queue that they share.

use std::collections::BTreeSet;

use amends_core::mutant::Mutant;
use amends_core::saga::Token;
use amends_core::{LockKey, SagaId, Timestamp};

use super::state::{State, Ticket};
use crate::store::{Batch, Partition, Successor, Wake};

impl State {
    /// Gives `saga_id` a ticket in the queue of each key.
    pub(super) fn take_tickets(
        &mut self,
        saga_id: &SagaId,
        keys: &[LockKey],
        now: Timestamp,
    ) -> Option<Ticket> {
        if keys.is_empty() {
            return None;
        }
        let position = self.next_number();
        for key in keys {
            self.queues.entry(key.clone()).or_default().insert(position, saga_id.clone());
        }
        Some(Ticket { position, tokens: Vec::new(), taken_at: now })
    }

    /// New tokens for the saga's keys if it is first in all its queues; it is in memory then.
    pub(super) fn grant(&mut self, saga_id: &SagaId) -> Option<Vec<Token>> {
        if !self.is_first(saga_id) {
            return None;
        }
        let keys = self.sagas.get(saga_id)?.lock_keys.len();
        let mut tokens: Vec<Token> = (0..keys).map(|_| Token(self.next_number())).collect();
        if let Some(kept) = self.kept.remove(saga_id) {
            tokens = kept;
        }
        if Mutant::SameToken.is_on() {
            tokens.fill(Token(1));
        }
        let row = self.sagas.get_mut(saga_id)?;
        row.header.wake = Wake::InMemory;
        row.ticket.as_mut()?.tokens.clone_from(&tokens);
        Some(tokens)
    }

    /// Moves the saga to the end of its queues; the keys whose first place became free. The new
    /// position comes from the counter of all tokens, so it raises those of the keys.
    pub(super) fn requeue(&mut self, saga_id: &SagaId, now: Timestamp) -> Vec<LockKey> {
        let Some(row) = self.sagas.get(saga_id).filter(|row| row.ticket.is_some()) else {
            return Vec::new();
        };
        let keys = row.lock_keys.clone();
        if let Some(ticket) = row.ticket.as_ref().filter(|_| Mutant::TokenKept.is_on()) {
            self.kept.insert(saga_id.clone(), ticket.tokens.clone());
        }
        let freed = self.give_back(saga_id);
        let ticket = self.take_tickets(saga_id, &keys, now);
        if let Some(row) = self.sagas.get_mut(saga_id) {
            row.ticket = ticket;
        }
        freed
    }

    /// Takes the saga's tickets away; the keys whose first place became free.
    pub(super) fn give_back(&mut self, saga_id: &SagaId) -> Vec<LockKey> {
        let Some(row) = self.sagas.get_mut(saga_id) else { return Vec::new() };
        let Some(Ticket { position, .. }) = row.ticket.take() else { return Vec::new() };
        let mut freed = Vec::new();
        for key in row.lock_keys.clone() {
            let Some(queue) = self.queues.get_mut(&key) else { continue };
            let was_first = queue.first_key_value().is_some_and(|(first, _)| *first == position);
            queue.remove(&position);
            if queue.is_empty() {
                self.queues.remove(&key);
            }
            if was_first {
                freed.push(key);
            }
        }
        freed
    }

    /// Of the sagas that moved up in one of `freed` and are first everywhere, grants those their keys
    /// that can be driven under a lease of the batch, and sets the wake-up of the others to now.
    pub(super) fn follow(
        &mut self,
        batch: &Batch,
        freed: &BTreeSet<LockKey>,
        now: Timestamp,
    ) -> (Vec<Successor>, Vec<(Partition, SagaId)>) {
        let heads: BTreeSet<SagaId> = freed
            .iter()
            .filter_map(|key| self.queues.get(key)?.values().next().cloned())
            .filter(|saga_id| self.is_first(saga_id))
            .collect();
        let (mut successors, mut woken) = (Vec::new(), Vec::new());
        for saga_id in heads {
            let Some(row) = self.sagas.get_mut(&saga_id) else { continue };
            let may_follow =
                batch.may_follow(row.partition, saga_id.as_str()) && !row.header.paused;
            if may_follow && row.lock_keys.iter().all(|key| freed.contains(key)) {
                let saga = row.stored(&saga_id);
                let tokens = self.grant(&saga_id).unwrap_or_default();
                successors.push(Successor { saga, tokens });
            } else {
                row.header.wake = Wake::At(now);
                woken.push((row.partition, saga_id));
            }
        }
        (successors, woken)
    }

    fn is_first(&self, saga_id: &SagaId) -> bool {
        let Some(row) = self.sagas.get(saga_id) else { return false };
        let Some(ticket) = &row.ticket else { return false };
        row.lock_keys.iter().all(|key| {
            self.queues
                .get(key)
                .and_then(|queue| {
                    let mut all = queue.keys();
                    if Mutant::TicketOrder.is_on() { all.next_back() } else { all.next() }
                })
                .is_some_and(|first| *first == ticket.position)
        })
    }
}
