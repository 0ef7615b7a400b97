//! Runs without and with what a scenario is about, in turn.

use super::findings::Sheet;
use super::scene::Measured;

/// So often each side is measured.
pub(super) const ROUNDS: usize = 3;

/// Both sides, as many runs of the one as of the other.
#[derive(Debug, Default)]
pub(super) struct Turns {
    pub(super) without: Vec<Measured>,
    pub(super) with: Vec<Measured>,
}

impl Turns {
    /// Sagas a second with by those without: the middle one of the rounds.
    pub(super) fn speed_ratio(&self) -> f64 {
        self.ratio(|run| run.sagas_per_second)
    }

    /// The p99 with by that without: the middle one of the rounds.
    pub(super) fn p99_ratio(&self) -> f64 {
        self.ratio(|run| run.p99_ms)
    }

    fn ratio(&self, of: fn(&Measured) -> f64) -> f64 {
        let pairs = self.with.iter().zip(&self.without);
        middle(pairs.map(|(with, without)| of(with) / of(without)))
    }

    /// Sagas a second without: the middle one of the rounds.
    pub(super) fn speed_without(&self) -> f64 {
        middle(self.without.iter().map(|run| run.sagas_per_second))
    }

    /// Sagas a second with: the middle one of the rounds.
    pub(super) fn speed_with(&self) -> f64 {
        middle(self.with.iter().map(|run| run.sagas_per_second))
    }

    /// Every run, and the ratios.
    pub(super) fn sheet(&self, without: &str, with: &str) -> Sheet {
        let mut sheet = Sheet::new(&["run", "sagas_per_second", "p50_ms", "p99_ms", "errors"]);
        for (round, (one, other)) in (1..).zip(self.without.iter().zip(&self.with)) {
            for (name, run) in [(without, one), (with, other)] {
                let values = [run.sagas_per_second, run.p50_ms, run.p99_ms, run.errors];
                sheet.add(format!("{round}: {name}"), &values.map(Some));
            }
        }
        let p50 = self.ratio(|run| run.p50_ms);
        let ratios = [Some(self.speed_ratio()), Some(p50), Some(self.p99_ratio()), None];
        sheet.add("ratio of the middle round", &ratios);
        sheet
    }
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_disturbed_round_does_not_change_the_ratio() {
        let run = |sagas_per_second| Measured {
            sagas_per_second,
            p50_ms: 1.0,
            p99_ms: sagas_per_second,
            errors: 0.0,
        };
        let without = [100.0, 10.0, 200.0].map(run).into();
        let turns = Turns { without, with: [90.0, 100.0, 180.0].map(run).into() };
        assert!((turns.speed_ratio() - 0.9).abs() < 1e-9);
        assert!((turns.p99_ratio() - 0.9).abs() < 1e-9);
        assert_eq!(turns.sheet("empty", "full").rows.len(), 7);
    }
}
