//! Everything that is drawn in a run, from its seed alone.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// A source of chance. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Chance {
    seed: u64,
    rng: Arc<Mutex<SmallRng>>,
}

impl Chance {
    /// Chance that comes out the same for the same seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, rng: Arc::new(Mutex::new(SmallRng::seed_from_u64(seed))) }
    }

    /// A source of its own for one part of a run, so that leaving another part out leaves what this
    /// one draws as it was.
    pub(crate) fn of(&self, part: u64) -> Self {
        // Steps of the golden ratio, as SplitMix64 does them.
        Self::new((self.seed ^ 0x5dee_ce66).wrapping_add(part.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// A number below `bound`, which must not be 0.
    pub(crate) fn below(&self, bound: usize) -> usize {
        self.rng.lock().random_range(0..bound)
    }

    /// True so often.
    pub(crate) fn is(&self, probability: f64) -> bool {
        probability > 0.0 && self.rng.lock().random_bool(probability.min(1.0))
    }

    /// A time between two bounds, in whole milliseconds.
    pub(crate) fn time(&self, least: Duration, most: Duration) -> Duration {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (least, most) = (millis(least), millis(most));
        Duration::from_millis(self.rng.lock().random_range(least..=most.max(least)))
    }

    /// A time of so many seconds at most.
    pub(crate) fn seconds(&self, most: u64) -> Duration {
        self.time(Duration::ZERO, Duration::from_secs(most))
    }

    /// One of some.
    pub(crate) fn one_of<'a, T>(&self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}
