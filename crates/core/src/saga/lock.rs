//! A saga's lock keys: when it waits for them, when it has them, and when it gives them back.

use super::{Decision, Saga, Token};
use crate::definition::{LockRelease, OnLost};
use crate::mutant::Mutant;
use crate::{LockKey, StepIndex};

impl Saga {
    /// Whether nothing of it goes on until its lock keys are granted.
    pub fn waits_for_lock(&self) -> bool {
        let is_over_before_it_began = !self.started && self.decision.is_some();
        self.end.is_none()
            && self.tokens.is_none()
            && !self.accepted.lock_keys.is_empty()
            && !is_over_before_it_began
            && !self.has_given_lock_back()
    }

    /// Whether its lock keys went to the next saga when commit was decided.
    pub(super) fn has_given_lock_back(&self) -> bool {
        let release = self.definition.lock.as_ref().map(|lock| lock.release);
        (release == Some(LockRelease::Pivot) || Mutant::EarlyRelease.is_on())
            && self.decision == Some(Decision::Commit)
    }

    /// Whether its wait for the first grant has a bound. Who lost its keys again has waited already.
    pub(super) fn is_wait_bounded(&self) -> bool {
        self.waits_for_lock() && !self.started && !self.lock_taken
    }

    /// Whether a step's calls wait for its lock keys. Those on a nested saga don't: what they change
    /// is that saga's, under its own keys, and it may be the one that this saga waits for.
    pub(super) fn waits_for_lock_at(&self, step: StepIndex) -> bool {
        self.waits_for_lock() && self.definition.step(step).nested.is_none()
    }

    /// What it does if it loses its lock keys while it runs.
    pub fn on_lock_lost(&self) -> OnLost {
        self.definition.lock.as_ref().map_or_else(OnLost::default, |lock| lock.on_lost)
    }

    /// Its lock keys with the tokens under which it has them; empty while it has not.
    pub fn tokens(&self) -> Vec<(LockKey, Token)> {
        if self.has_given_lock_back() {
            return Vec::new();
        }
        let tokens = self.tokens.as_deref().unwrap_or_default();
        self.accepted.lock_keys.iter().cloned().zip(tokens.iter().copied()).collect()
    }

    /// Without its tickets it needs new tokens, whatever its definition says: under the old ones
    /// its undo could be refused for ever by participants that have seen newer ones.
    pub(super) fn lock_released(&mut self) {
        self.lock_taken = true;
        self.tokens = None;
    }
}
