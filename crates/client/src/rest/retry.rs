//! When a request is repeated: exponential pauses with jitter, bounded in number and time.

use std::time::Duration;

use super::chance;

/// How requests are repeated that found no answer, or one that says *later*.
///
/// A request is repeated under the same key, and only if repeating it is safe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Most attempts of one request, the first one included. Default 10; 1 repeats nothing.
    pub attempts_max: u32,
    /// No attempt starts later than this after the first. Default 30 s.
    pub total_max: Duration,
    /// The first pause. Default 100 ms.
    pub initial: Duration,
    /// How much longer each pause is than the one before. Default 2.
    pub factor: u32,
    /// Longest pause. Default 5 s. A longer `Retry-After` is obeyed all the same.
    pub max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 10,
            total_max: Duration::from_secs(30),
            initial: Duration::from_millis(100),
            factor: 2,
            max: Duration::from_secs(5),
        }
    }
}

impl RetryPolicy {
    /// One attempt only.
    pub fn never() -> Self {
        Self { attempts_max: 1, ..Self::default() }
    }

    /// The pause before the attempt after `attempts`, each made `elapsed` after the first began;
    /// none if there is none.
    pub(crate) fn pause(
        &self,
        attempts: u32,
        elapsed: Duration,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        self.pause_with(attempts, elapsed, retry_after, chance::fraction())
    }

    /// The same with the jitter given, 0 to 1: half of a pause is fixed, half is chance, so that
    /// clients that lost the same server do not come back all at once.
    fn pause_with(
        &self,
        attempts: u32,
        elapsed: Duration,
        retry_after: Option<Duration>,
        chance: f64,
    ) -> Option<Duration> {
        if attempts >= self.attempts_max {
            return None;
        }
        let factor = self.factor.max(1).saturating_pow(attempts.saturating_sub(1));
        let longest = self.initial.saturating_mul(factor).min(self.max);
        let pause = longest.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
        let pause = pause.max(retry_after.unwrap_or_default());
        (elapsed.saturating_add(pause) <= self.total_max).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        attempts_max: 5,
        total_max: Duration::from_secs(10),
        initial: Duration::from_millis(100),
        factor: 2,
        max: Duration::from_millis(300),
    };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn pauses_grow_to_their_bound_and_end() {
        let pauses: Vec<_> =
            (1..=5).map(|attempts| POLICY.pause_with(attempts, ms(0), None, 1.0)).collect();
        assert_eq!(pauses, [Some(ms(100)), Some(ms(200)), Some(ms(300)), Some(ms(300)), None]);
    }

    #[test]
    fn half_of_a_pause_is_chance() {
        assert_eq!(POLICY.pause_with(1, ms(0), None, 0.0), Some(ms(50)));
        for _ in 0..100 {
            let pause = POLICY.pause(1, ms(0), None).unwrap();
            assert!((ms(50)..=ms(100)).contains(&pause), "{pause:?}");
        }
    }

    #[test]
    fn retry_after_is_obeyed_within_the_total() {
        assert_eq!(POLICY.pause_with(1, ms(0), Some(ms(2000)), 0.0), Some(ms(2000)));
        assert_eq!(POLICY.pause_with(1, ms(9000), Some(ms(2000)), 0.0), None);
        assert_eq!(POLICY.pause_with(1, ms(10_000), None, 0.0), None);
    }
}
