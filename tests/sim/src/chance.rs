//! Everything that is drawn in a run, from its seed alone.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// The one source of chance of a run. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Chance(Arc<Mutex<SmallRng>>);

impl Chance {
    /// Chance that comes out the same for the same seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(SmallRng::seed_from_u64(seed))))
    }

    /// A number below `bound`, which must not be 0.
    pub(crate) fn below(&self, bound: usize) -> usize {
        self.0.lock().random_range(0..bound)
    }

    /// True so often.
    pub(crate) fn is(&self, probability: f64) -> bool {
        probability > 0.0 && self.0.lock().random_bool(probability.min(1.0))
    }

    /// A time between two bounds, in whole milliseconds.
    pub(crate) fn time(&self, least: Duration, most: Duration) -> Duration {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (least, most) = (millis(least), millis(most));
        Duration::from_millis(self.0.lock().random_range(least..=most.max(least)))
    }

    /// One of some.
    pub(crate) fn one_of<'a, T>(&self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}
