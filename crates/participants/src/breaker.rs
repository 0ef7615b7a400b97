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

#[derive(Debug)]
pub(crate) struct Breaker {
    setting: Option<Setting>,
    failures: AtomicU32,
    /// When it may be asked again; meaningful while `failures` is above 0.
    rests_until: Mutex<Duration>,
}

impl Breaker {
    pub(crate) fn new(setting: Option<Setting>) -> Self {
        Self { setting, failures: AtomicU32::new(0), rests_until: Mutex::new(Duration::ZERO) }
    }

    /// The state, without changing it.
    pub(crate) fn state(&self, now: Duration) -> BreakerState {
        let failures = self.failures.load(Ordering::Relaxed);
        if failures == 0 {
            BreakerState::Closed
        } else if self.setting.is_some_and(|own| failures >= own.failures) {
            BreakerState::Open
        } else if now < *self.rests_until.lock() {
            BreakerState::Avoided
        } else {
            BreakerState::Closed
        }
    }

    /// Whether a call may go although the state is open; if so, no other may for a while.
    pub(crate) fn admits_trial(&self, now: Duration) -> bool {
        let mut rests_until = self.rests_until.lock();
        if now < *rests_until {
            return false;
        }
        *rests_until = now.saturating_add(self.rest());
        true
    }

    /// Time until a call may try again.
    pub(crate) fn rests_for(&self, now: Duration) -> Duration {
        self.rests_until.lock().saturating_sub(now)
    }

    /// A connection was made, or used.
    pub(crate) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// No connection could be made.
    pub(crate) fn failed(&self, now: Duration) {
        let mut rests_until = self.rests_until.lock();
        let before = self.failures.load(Ordering::Relaxed);
        self.failures.store(before.saturating_add(1), Ordering::Relaxed);
        *rests_until = now.saturating_add(self.rest());
    }

    fn rest(&self) -> Duration {
        self.setting.map_or(Setting::DEFAULT.open_for, |own| own.open_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn opens_after_the_failures_lets_one_try_and_closes_on_success() {
        let breaker = Breaker::new(Some(Setting { failures: 2, open_for: 5 * S }));
        assert_eq!(breaker.state(S), BreakerState::Closed);
        breaker.failed(S);
        assert_eq!(breaker.state(S), BreakerState::Avoided);
        assert_eq!(breaker.state(6 * S), BreakerState::Closed, "one failure is forgiven");
        breaker.failed(6 * S);
        assert_eq!(breaker.state(100 * S), BreakerState::Open);
        assert!(!breaker.admits_trial(10 * S));
        assert_eq!(breaker.rests_for(10 * S), S);
        assert!(breaker.admits_trial(11 * S));
        assert!(!breaker.admits_trial(11 * S), "one at a time");
        assert!(breaker.admits_trial(16 * S), "a trial that was dropped is not waited for");
        breaker.succeeded();
        assert_eq!(breaker.state(16 * S), BreakerState::Closed);
    }

    #[test]
    fn never_opens_when_it_is_off() {
        let breaker = Breaker::new(None);
        for _ in 0..1000 {
            breaker.failed(S);
        }
        assert_eq!(breaker.state(S), BreakerState::Avoided);
    }
}
