//! Samples of the server's size, and the judgement whether it grows.
//!
//! The first quarter of a run is its warm-up. After it, the median of the last quarter is compared
//! with that of the second: medians, since single samples are moved by whatever is in flight.

/// What memory may grow by between the quarters: a twentieth, and this.
const GROWTH_KIB_MAX: u64 = 8 * 1024;

/// What open files may grow by between the quarters: what a few more connections make.
const FILES_GROWTH_MAX: u64 = 24;

/// One look at the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Resident memory, in KiB.
    pub(crate) memory_kib: u64,
    /// Open file descriptors.
    pub(crate) files: u64,
}

/// All looks, in order.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Sample>);

impl Samples {
    /// One more.
    pub(crate) fn push(&mut self, sample: Sample) {
        self.0.push(sample);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Medians of the second and the last quarter, in MiB.
    #[expect(clippy::cast_precision_loss, reason = "memory has far fewer than 2^52 KiB")]
    pub(crate) fn memory_mib(&self) -> (f64, f64) {
        let (before, after) = self.medians(|sample| sample.memory_kib);
        (before as f64 / 1024.0, after as f64 / 1024.0)
    }

    /// Medians of the second and the last quarter.
    pub(crate) fn files(&self) -> (u64, u64) {
        self.medians(|sample| sample.files)
    }

    /// What grows.
    pub(crate) fn judge(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let (before, after) = self.medians(|sample| sample.memory_kib);
        if after > before + before / 20 + GROWTH_KIB_MAX {
            wrong.push(format!("memory grows: from {before} KiB to {after} KiB"));
        }
        let (before, after) = self.files();
        if after > before + FILES_GROWTH_MAX {
            wrong.push(format!("open files grow: from {before} to {after}"));
        }
        wrong
    }

    fn medians(&self, of: impl Fn(&Sample) -> u64) -> (u64, u64) {
        let quarter = self.0.len() / 4;
        let median = |samples: &[Sample]| {
            let mut values: Vec<u64> = samples.iter().map(&of).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        (median(&self.0[quarter..2 * quarter]), median(&self.0[3 * quarter..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(memory_kib: impl Fn(u64) -> u64, files: impl Fn(u64) -> u64) -> Samples {
        let sample = |second| Sample { memory_kib: memory_kib(second), files: files(second) };
        Samples((0..600).map(sample).collect())
    }

    #[test]
    fn a_warm_up_and_waves_are_no_growth() {
        let warm = |second: u64| 40_000 + second.min(150) * 300 + second % 30 * 500;
        assert_eq!(samples(warm, |second| 40 + second % 100).judge(), Vec::<String>::new());
    }

    #[test]
    fn a_steady_leak_is_growth() {
        let leak = |second: u64| 60_000 + second * 50;
        let wrong = samples(leak, |second| 40 + second / 8).judge();
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }
}
