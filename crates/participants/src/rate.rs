//! At most so many calls a second, with a burst of a tenth of a second.
//!
//! The generic cell rate algorithm (ITU-T I.371): one number, the time at which the next call
//! would be on time.

use std::time::Duration;

use parking_lot::Mutex;

#[derive(Debug)]
pub(crate) struct Rate {
    interval: Duration,
    burst: Duration,
    next: Mutex<Duration>,
}

impl Rate {
    /// `per_second` is above 0; it is checked at registration.
    pub(crate) fn new(per_second: f64) -> Self {
        let interval = Duration::try_from_secs_f64(per_second.recip()).unwrap_or(Duration::MAX / 4);
        let calls_at_once = (per_second / 10.0).max(1.0);
        let burst = interval.mul_f64(calls_at_once - 1.0);
        Self { interval, burst, next: Mutex::new(Duration::ZERO) }
    }

    /// Takes the next place.
    ///
    /// # Errors
    ///
    /// The time that it would take, if that is longer than `patience`; no place was taken.
    pub(crate) fn take(&self, now: Duration, patience: Duration) -> Result<Duration, Duration> {
        let mut next = self.next.lock();
        let wait = next.saturating_sub(now.saturating_add(self.burst));
        if wait > patience {
            return Err(wait);
        }
        *next = (*next).max(now).saturating_add(self.interval);
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_spread_after_the_burst_and_refused_when_the_wait_is_too_long() {
        let ms = Duration::from_millis;
        let rate = Rate::new(20.0);
        let waits: Vec<_> = (0..4).map(|_| rate.take(ms(1000), ms(120)).unwrap()).collect();
        assert_eq!(waits, [ms(0), ms(0), ms(50), ms(100)]);
        assert_eq!(rate.take(ms(1000), ms(120)), Err(ms(150)));
        assert_eq!(rate.take(ms(2000), ms(120)), Ok(ms(0)));
    }
}
