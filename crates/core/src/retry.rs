//! When a call is tried again: exponential back-off with a bound and jitter.
//!
//! Jitter spreads calls that failed together. It is a hash of the call's key and attempt, not a
//! drawn number: replaying a journal gives the same times, and different calls still spread.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{CallKey, Timestamp};

/// How a delay is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// Anywhere between zero and the delay (full jitter).
    Full,
    /// Exactly the delay.
    None,
}

/// How often and how soon a call is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// Attempts in all, the first one included; at least 1.
    pub attempts_max: u32,
    /// Delay after the first failed attempt.
    pub initial: Duration,
    /// What each further delay is multiplied by; at least 1.
    pub factor: f64,
    /// Longest delay between two attempts, and the most that a `Retry-After` is honoured.
    pub max: Duration,
    /// How delays are spread.
    pub jitter: Jitter,
}

impl RetryPolicy {
    /// For forward calls before the decision: 5 attempts within about two seconds.
    pub const FORWARD: Self = Self {
        attempts_max: 5,
        initial: Duration::from_millis(100),
        factor: 2.0,
        max: Duration::from_secs(10),
        jitter: Jitter::Full,
    };

    /// For what must not give up (undo, confirm, pivot and steps after it): 20 attempts within
    /// about two minutes, then the saga is suspended.
    pub const PERSISTENT: Self = Self { attempts_max: 20, ..Self::FORWARD };

    /// When the attempt after `attempt` (from 1) is due, if that one failed at `now`.
    ///
    /// A participant's `retry_after` is a lower bound, itself bounded by 10 × [`Self::max`].
    pub fn next_at(
        &self,
        now: Timestamp,
        key: &CallKey,
        attempt: u32,
        retry_after: Option<Duration>,
    ) -> Timestamp {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let delay = (self.initial.as_secs_f64() * self.factor.max(1.0).powi(exponent))
            .min(self.max.as_secs_f64());
        let spread = match self.jitter {
            Jitter::Full => delay * fraction(key, attempt),
            Jitter::None => delay,
        };
        let own = Duration::from_secs_f64(spread);
        let asked = retry_after.map_or(Duration::ZERO, |wish| wish.min(self.max * 10));
        now.after(own.max(asked))
    }
}

/// A number in `0.0 .. 1.0` that looks random and depends on the call and its attempt alone.
fn fraction(key: &CallKey, attempt: u32) -> f64 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    key.hash(&mut hasher);
    attempt.hash(&mut hasher);
    // The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) spreads FNV's low bits.
    let mut bits = hasher.finish();
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    f64::from(u32::try_from(bits >> 32).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}

/// FNV-1a: the standard hasher is not promised to stay the same between releases, and a replay
/// must give the same times.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saga::Op;
    use crate::{SagaId, StepId};

    fn key(saga: &str) -> CallKey {
        CallKey {
            saga_id: SagaId::new(saga).unwrap(),
            step_id: StepId::new("s").unwrap(),
            op: Op::Action,
        }
    }

    #[test]
    fn delays_grow_to_the_bound_and_no_further() {
        let policy = RetryPolicy { jitter: Jitter::None, ..RetryPolicy::FORWARD };
        let delays: Vec<_> = [1, 2, 3, 7, 8, 4_000_000_000]
            .map(|attempt| policy.next_at(Timestamp(0), &key("a"), attempt, None).0 / 1000)
            .into();
        assert_eq!(delays, [100, 200, 400, 6400, 10_000, 10_000]);
    }

    #[test]
    fn jitter_spreads_calls_and_repeats_exactly() {
        let at = |saga: &str| RetryPolicy::FORWARD.next_at(Timestamp(0), &key(saga), 3, None).0;
        assert_eq!(at("a"), at("a"));
        let times: Vec<_> = (0..200).map(|n| at(&format!("saga-{n}"))).collect();
        assert!(times.iter().all(|at| (0..400_000).contains(at)));
        let low = times.iter().filter(|at| **at < 200_000).count();
        assert!((70..130).contains(&low), "{low} of 200 in the lower half");
    }

    #[test]
    fn retry_after_is_honoured_within_its_bound() {
        let at = |secs| {
            let wish = Some(Duration::from_secs(secs));
            RetryPolicy::FORWARD.next_at(Timestamp(0), &key("a"), 1, wish).0 / 1_000_000
        };
        assert_eq!(at(7), 7);
        assert_eq!(at(999_999_999), 100);
    }
}
