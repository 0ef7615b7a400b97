//! For how long a guard may be relied on (Redlock: validity).

use std::time::Duration;

/// What the one-millisecond steps of Redis' expiry may take away.
const STEPS: Duration = Duration::from_millis(2);

/// What is left of a guard's `ttl` after `elapsed` since it was asked for, less what clocks may
/// drift apart: one per cent and two milliseconds. None if nothing is.
pub(crate) fn left(ttl: Duration, elapsed: Duration) -> Option<Duration> {
    let drift = ttl / 100 + STEPS;
    ttl.checked_sub(elapsed)?.checked_sub(drift).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn drift_and_time_spent_come_off() {
        assert_eq!(left(ms(10_000), ms(0)), Some(ms(9_898)));
        assert_eq!(left(ms(10_000), ms(50)), Some(ms(9_848)));
        assert_eq!(left(ms(10_000), ms(9_897)), Some(ms(1)));
        assert_eq!(left(ms(10_000), ms(9_898)), None);
        assert_eq!(left(ms(10_000), ms(60_000)), None);
    }

    proptest! {
        #[test]
        fn it_never_outlives_the_key_on_a_clock_one_per_cent_fast(
            ttl_ms in 1_000_u64..300_000, spent_ms in 0_u64..400_000,
        ) {
            if let Some(left) = left(ms(ttl_ms), ms(spent_ms)) {
                let by_a_fast_clock = (ms(spent_ms) + left).mul_f64(1.01);
                prop_assert!(by_a_fast_clock <= ms(ttl_ms));
            }
        }
    }
}
