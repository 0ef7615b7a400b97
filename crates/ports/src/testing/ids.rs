//! Ids that are the same in every run.

use std::sync::atomic::{AtomicU64, Ordering};

use amends_core::SagaId;

use crate::Ids;

/// Ids by counting. Two of them must have different seeds to give different ids.
#[derive(Debug, Default)]
pub struct TestIds {
    seed: u16,
    given: AtomicU64,
}

impl TestIds {
    /// Ids that differ from those of any other seed.
    pub const fn new(seed: u16) -> Self {
        Self { seed, given: AtomicU64::new(0) }
    }

    fn next(&self) -> u64 {
        self.given.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Ids for TestIds {
    #[expect(clippy::expect_used, reason = "hex digits and hyphens are a valid saga id")]
    fn saga_id(&self) -> SagaId {
        let number = self.next();
        SagaId::new(format!("00000000-0000-7000-{:04x}-{number:012x}", self.seed))
            .expect("hex digits and hyphens")
    }

    fn token(&self) -> String {
        format!("{:016x}{:016x}", self.seed, self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_in_every_run_and_sort_by_age() {
        let (one, same, other) = (TestIds::new(1), TestIds::new(1), TestIds::new(2));
        let first = one.saga_id();
        assert_eq!(first, same.saga_id());
        assert_ne!(first, other.saga_id());
        assert!(first < one.saga_id());
        assert_eq!(one.token().len(), 32);
    }
}
