//! Latencies of a run: every one is kept, so that percentiles are exact.

use std::time::Duration;

/// Most latencies kept: 40 MB; later ones are counted and not kept.
const KEPT_MAX: usize = 10_000_000;

/// Latencies in microseconds; above 71 minutes they count as that.
#[derive(Debug, Default)]
pub(super) struct Latencies(Vec<u32>);

impl Latencies {
    pub(super) fn record(&mut self, latency: Duration) {
        if self.0.len() < KEPT_MAX {
            self.0.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        }
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub(super) fn sort(&mut self) {
        self.0.sort_unstable();
    }

    /// The least latency, in milliseconds, that `per_mille` of all don't exceed; 0 without any.
    /// To be called after [`Latencies::sort`].
    pub(super) fn percentile_ms(&self, per_mille: usize) -> f64 {
        let rank = (self.0.len() * per_mille).div_ceil(1_000).max(1) - 1;
        f64::from(self.0.get(rank).copied().unwrap_or_default()) / 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(per_mille: usize, expected_ms: u32) {
        let mut latencies = Latencies::default();
        for ms in (1..=1_000).rev() {
            latencies.record(Duration::from_millis(ms));
        }
        latencies.sort();
        let found = latencies.percentile_ms(per_mille);
        assert!((found - f64::from(expected_ms)).abs() < f64::EPSILON, "{found}");
    }

    #[test]
    fn percentiles_are_exact() {
        check(500, 500);
        check(990, 990);
        check(999, 999);
        check(1_000, 1_000);
    }

    #[test]
    fn nothing_has_no_latency() {
        assert!(Latencies::default().percentile_ms(500).abs() < f64::EPSILON);
    }
}
