//! Whether it is worth it to take for granted that nothing stands in the way of a batch.

use std::sync::atomic::{AtomicU32, Ordering};

/// How many batches are written with care after a guess was wrong. A wrong one costs the database
/// the work of the whole batch; where many submissions are repetitions it would often be wrong.
const CARE: u32 = 32;

/// What became of the last guesses.
#[derive(Debug, Default)]
pub(super) struct Guesses(AtomicU32);

impl Guesses {
    /// Whether to guess for this batch.
    pub(super) fn may_guess(&self) -> bool {
        let less = |care: u32| care.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err()
    }

    /// Says that a guess was wrong.
    pub(super) fn wrong(&self) {
        self.0.store(CARE, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_wrong_guess_the_next_batches_are_written_with_care() {
        let guesses = Guesses::default();
        assert!(guesses.may_guess() && guesses.may_guess());
        guesses.wrong();
        assert_eq!((0..100).filter(|_| !guesses.may_guess()).count(), 32);
        assert!(guesses.may_guess());
    }
}
