//! Leaves an endpoint out for a while when no connection to it can be made.
//!
//! Closed: calls go. After a failed connection the endpoint is *avoided* for a while, so that
//! calls go to the others first. After the configured number of failures in a row it is *open*:
//! nothing goes, until one call may try; the others wait for its result or for the next period.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amends_core::participant::Breaker as Setting;
use parking_lot::Mutex;

/// Whether calls go to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go.
    Closed,
    /// Its last connection failed; other endpoints are asked first.
    Avoided,
    /// No calls go, except one now and then that tries.
    Open,
}

/// First rest of an endpoint; each trial that comes to nothing doubles it, up to the setting's
/// `open_for`. Short, since most outages are restarts, and what waits here is somebody's saga.
const REST: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(crate) struct Breaker {
    setting: Option<Setting>,
    failures: AtomicU32,
    rest: Mutex<Rest>,
}

/// A time without calls; meaningful while there are failures.
#[derive(Debug)]
struct Rest {
    until: Duration,
    period: Duration,
}

impl Breaker {
    pub(crate) fn new(setting: Option<Setting>) -> Self {
        let rest = Rest { until: Duration::ZERO, period: REST };
        Self { setting, failures: AtomicU32::new(0), rest: Mutex::new(rest) }
    }

    /// The state, without changing it.
    pub(crate) fn state(&self, now: Duration) -> BreakerState {
        let failures = self.failures.load(Ordering::Relaxed);
        if failures == 0 {
            BreakerState::Closed
        } else if self.is_open(failures) {
            BreakerState::Open
        } else if now < self.rest.lock().until {
            BreakerState::Avoided
        } else {
            BreakerState::Closed
        }
    }

    fn is_open(&self, failures: u32) -> bool {
        self.setting.is_some_and(|own| failures >= own.failures)
    }

    /// Whether a call may go although the state is open; if so, no other may for a while.
    pub(crate) fn admits_trial(&self, now: Duration) -> bool {
        let mut rest = self.rest.lock();
        if now < rest.until {
            return false;
        }
        let most = self.setting.map_or(Setting::DEFAULT.open_for, |own| own.open_for);
        rest.period = (rest.period * 2).min(most);
        rest.until = now.saturating_add(rest.period);
        true
    }

    /// Time until a call may try again.
    pub(crate) fn rests_for(&self, now: Duration) -> Duration {
        self.rest.lock().until.saturating_sub(now)
    }

    /// A connection was made, or used.
    pub(crate) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.rest.lock().period = REST;
        }
    }

    /// No connection could be made. While it is open already that says nothing new: the rest
    /// began when it opened, or when the trial left.
    pub(crate) fn failed(&self, now: Duration) {
        let mut rest = self.rest.lock();
        let before = self.failures.load(Ordering::Relaxed);
        self.failures.store(before.saturating_add(1), Ordering::Relaxed);
        if !self.is_open(before) {
            rest.until = now.saturating_add(rest.period);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn opens_after_the_failures_lets_one_try_and_closes_on_success() {
        let breaker = Breaker::new(Some(Setting { failures: 2, open_for: 800 * MS }));
        assert_eq!(breaker.state(MS), BreakerState::Closed);
        breaker.failed(MS);
        assert_eq!(breaker.state(MS), BreakerState::Avoided);
        assert_eq!(breaker.state(251 * MS), BreakerState::Closed, "one failure is forgiven");
        breaker.failed(1000 * MS);
        assert_eq!(breaker.state(9000 * MS), BreakerState::Open);
        breaker.failed(1100 * MS);
        assert_eq!(breaker.rests_for(1150 * MS), 100 * MS, "a late failure extends nothing");
        assert!(!breaker.admits_trial(1249 * MS));
        assert!(breaker.admits_trial(1250 * MS));
        assert!(!breaker.admits_trial(1250 * MS), "one at a time");
        breaker.failed(1260 * MS);
        assert!(breaker.admits_trial(1750 * MS), "twice as long as before");
        assert_eq!(breaker.rests_for(1750 * MS), 800 * MS, "up to the setting");
        breaker.succeeded();
        assert_eq!(breaker.state(1760 * MS), BreakerState::Closed);
        assert_eq!(breaker.rest.lock().period, REST);
    }

    #[test]
    fn never_opens_when_it_is_off() {
        let breaker = Breaker::new(None);
        for _ in 0..1000 {
            breaker.failed(MS);
        }
        assert_eq!(breaker.state(MS), BreakerState::Avoided);
    }
}
