//! Counters of what became of guards, for whoever exports metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amends_ports::GuardError;

/// What became of guards since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LockCounts {
    /// Acquisitions that held.
    pub acquired: u64,
    /// Acquisitions that found another holder.
    pub busy: u64,
    /// Acquisitions and extensions without a quorum of the masters.
    pub no_quorum: u64,
    /// Guards that were found gone when they were to be extended.
    pub lost: u64,
    /// Extensions that held.
    pub extended: u64,
    /// Seconds that acquisitions took, together, whatever became of them.
    pub seconds: f64,
}

/// The counters behind [`LockCounts`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    acquired: AtomicU64,
    busy: AtomicU64,
    no_quorum: AtomicU64,
    lost: AtomicU64,
    extended: AtomicU64,
    micros: AtomicU64,
}

impl Counters {
    pub(crate) fn acquisition(&self, result: &Result<Duration, GuardError>, took: Duration) {
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(0), Ordering::Relaxed);
        self.count(result, &self.acquired);
    }

    pub(crate) fn extension(&self, result: &Result<Duration, GuardError>) {
        self.count(result, &self.extended);
    }

    fn count(&self, result: &Result<Duration, GuardError>, held: &AtomicU64) {
        let counter = match result {
            Ok(_) => held,
            Err(GuardError::Busy { .. }) => &self.busy,
            Err(GuardError::Lost { .. }) => &self.lost,
            Err(GuardError::NoQuorum(_)) => &self.no_quorum,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> LockCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LockCounts {
            acquired: get(&self.acquired),
            busy: get(&self.busy),
            no_quorum: get(&self.no_quorum),
            lost: get(&self.lost),
            extended: get(&self.extended),
            seconds: Duration::from_micros(get(&self.micros)).as_secs_f64(),
        }
    }
}
