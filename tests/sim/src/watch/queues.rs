//! Queues of lock keys: who stands where, who was granted what, and who holds it by its own facts.

use std::collections::HashMap;

use amends_core::saga::Token;
use amends_core::{LockKey, SagaId};

/// All queues.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    keys: HashMap<LockKey, Queue>,
    places: HashMap<SagaId, Place>,
}

#[derive(Debug, Default)]
struct Queue {
    /// First come, first.
    waiting: Vec<SagaId>,
    /// The highest token that was given.
    token: Option<Token>,
    /// Who has been told that it holds the key, and has not let go.
    holder: Option<SagaId>,
}

#[derive(Debug)]
struct Place {
    keys: Vec<LockKey>,
    /// Of its last grant.
    tokens: Vec<Token>,
}

impl Queues {
    /// A saga takes its tickets.
    pub(crate) fn enter(&mut self, id: &SagaId, keys: &[LockKey]) {
        if keys.is_empty() {
            return;
        }
        for key in keys {
            self.keys.entry(key.clone()).or_default().waiting.push(id.clone());
        }
        self.places.insert(id.clone(), Place { keys: keys.to_vec(), tokens: Vec::new() });
    }

    /// It gives them back.
    pub(crate) fn leave(&mut self, id: &SagaId) {
        self.lets_go(id);
        let Some(place) = self.places.remove(id) else { return };
        for key in &place.keys {
            if let Some(queue) = self.keys.get_mut(key) {
                queue.waiting.retain(|other| other != id);
            }
        }
    }

    /// It goes to the end of its queues, if it stands in any.
    pub(crate) fn requeue(&mut self, id: &SagaId, keys: &[LockKey]) {
        if self.stands_in(id) {
            self.leave(id);
            self.enter(id, keys);
        }
    }

    pub(crate) fn stands_in(&self, id: &SagaId) -> bool {
        self.places.contains_key(id)
    }

    /// S16 and S17: tokens grow, and whoever came first is first.
    pub(crate) fn granted(&mut self, id: &SagaId, tokens: &[Token]) -> Vec<String> {
        let Some(place) = self.places.get_mut(id) else {
            return vec![format!("S17: {id} was granted keys without tickets")];
        };
        place.tokens = tokens.to_vec();
        let mut broken = Vec::new();
        for (key, token) in place.keys.iter().zip(tokens) {
            let Some(queue) = self.keys.get_mut(key) else { continue };
            if queue.waiting.first() != Some(id) {
                let first = queue.waiting.first();
                broken.push(format!("S17: {id} was granted {key} before {first:?}"));
            }
            if queue.token.is_some_and(|before| before >= *token) {
                broken.push(format!("S16: {key} was granted {token:?} after {:?}", queue.token));
            }
            queue.token = queue.token.max(Some(*token));
        }
        broken
    }

    /// Rule 12: a saga was told that it has its keys; nobody else has one of them.
    pub(crate) fn holds(&mut self, id: &SagaId, keys: &[LockKey], tokens: &[Token]) -> Vec<String> {
        let mut broken = Vec::new();
        if self.places.get(id).is_none_or(|place| place.tokens != tokens) {
            broken.push(format!("S16: {id} goes by tokens {tokens:?} that were not its last"));
        }
        for key in keys {
            let queue = self.keys.entry(key.clone()).or_default();
            if let Some(other) = queue.holder.replace(id.clone()).filter(|other| other != id) {
                broken.push(format!("rule 12: {id} has {key}, and so has {other}"));
            }
        }
        broken
    }

    /// A saga holds none of its keys any more.
    pub(crate) fn lets_go(&mut self, id: &SagaId) {
        let Some(place) = self.places.get(id) else { return };
        for key in &place.keys {
            if let Some(queue) = self.keys.get_mut(key)
                && queue.holder.as_ref() == Some(id)
            {
                queue.holder = None;
            }
        }
    }
}
