//! Where journals end, as far as this store has written them itself.
//!
//! Chunks of a journal leave no gaps, so where one is known to end the next one begins there or is
//! not there, and the primary key refuses a second one. A chunk that begins where the last one of
//! this store's ended needs no other proof that it follows; the database is asked for the others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use amends_core::SagaId;
use amends_ports::store::{AcceptOutcome, Append, Batch, Written};

/// Sagas in either half.
const HALF_MAX: usize = 16_384;

/// How many facts each journal has that was written lately.
#[derive(Debug, Default)]
pub(super) struct Ends(Mutex<Halves>);

/// What was written lately, and before: when the first one is full it takes the other's place.
#[derive(Debug, Default)]
struct Halves {
    young: HashMap<SagaId, u64>,
    old: HashMap<SagaId, u64>,
}

impl Ends {
    /// One each: whether it begins where its saga's journal is known to end.
    pub(super) fn follow<'b>(&self, appends: impl Iterator<Item = &'b Append>) -> Vec<bool> {
        self.with(|known| {
            appends.map(|append| known.end(&append.saga_id) == Some(append.from)).collect()
        })
    }

    /// Remembers what was committed.
    pub(super) fn remember(&self, batch: &Batch, written: &Written) {
        self.with(|known| {
            for append in batch.appends.iter().filter(|append| append.record_count > 0) {
                let has_ended = append.header.as_ref().is_some_and(|row| row.ended_at.is_some());
                let end = append.from + u64::from(append.record_count);
                known.put(&append.saga_id, (!has_ended).then_some(end));
            }
            for (new, outcome) in batch.accepts.iter().zip(&written.accepts) {
                if let AcceptOutcome::Created { tokens } = outcome {
                    known.put(&new.saga_id, Some(new.fact_count(tokens.is_some())));
                }
            }
        });
    }

    /// Forgets all: the database may have gone back in time.
    pub(super) fn forget(&self) {
        self.with(|known| *known = Halves::default());
    }

    fn with<T>(&self, look: impl FnOnce(&mut Halves) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Halves {
    fn end(&self, saga_id: &SagaId) -> Option<u64> {
        self.young.get(saga_id).or_else(|| self.old.get(saga_id)).copied()
    }

    fn put(&mut self, saga_id: &SagaId, end: Option<u64>) {
        let Some(end) = end else {
            self.young.remove(saga_id);
            self.old.remove(saga_id);
            return;
        };
        if let Some(own) = self.young.get_mut(saga_id) {
            *own = end;
            return;
        }
        if self.young.len() >= HALF_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(saga_id.clone(), end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> SagaId {
        SagaId::new(format!("s{number}")).unwrap()
    }

    #[test]
    fn the_last_end_counts_and_the_oldest_are_forgotten() {
        let mut known = Halves::default();
        known.put(&id(0), Some(1));
        for number in 1..=HALF_MAX {
            known.put(&id(number), Some(5));
        }
        assert_eq!((known.end(&id(0)), known.end(&id(9))), (Some(1), Some(5)));
        known.put(&id(0), Some(3));
        assert_eq!(known.end(&id(0)), Some(3));
        known.put(&id(0), None);
        assert_eq!(known.end(&id(0)), None);
        for number in HALF_MAX..HALF_MAX * 3 {
            known.put(&id(number), Some(5));
        }
        assert_eq!(known.end(&id(9)), None);
        assert!(known.young.len() + known.old.len() <= 2 * HALF_MAX);
    }
}
