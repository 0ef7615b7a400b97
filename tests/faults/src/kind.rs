//! What a kind of fault is, and what came of it.

use std::time::Duration;

/// One kind of fault: a row of the table in `docs/reliability.md`.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// A few words in kebab-case: what it is called on the command line and in the table.
    pub name: &'static str,
    /// What is done to whom.
    pub done: &'static str,
    /// What must hold, besides what must hold after each.
    pub holds: &'static str,
}

/// What one run of a kind led to. Each sentence in it says what fell short, and of which saga.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Sagas whose start was acknowledged.
    pub sagas: usize,
    /// How many of them another coordinator took over, or the same after a restart.
    pub takeovers: usize,
    /// Whether somebody must have taken sagas over: a run in which nobody did has shown nothing.
    pub must_take_over: bool,
    /// From the end of the fault to the end of the last saga that was under way at that time.
    pub recovered_in: Duration,
    /// Acknowledged, and not to be found after it.
    pub lost: Vec<String>,
    /// The participants' books disagree with the ends of the sagas.
    pub unbalanced: Vec<String>,
    /// Whatever else must hold and does not: a saga that has not ended within the bound, a journal
    /// against the rules, a fault that had no effect.
    pub broken: Vec<String>,
    /// Why it could not be made here, if so.
    pub not_done: Option<String>,
    /// What else is worth a word in the table, such as `212 points`.
    pub remarks: Vec<String>,
}

impl Outcome {
    /// That of a kind that cannot be made here.
    pub fn not_done(why: impl Into<String>) -> Self {
        Self { not_done: Some(why.into()), ..Self::default() }
    }

    /// That of one that came to no verdict.
    pub fn broken(why: impl Into<String>) -> Self {
        Self { broken: vec![why.into()], ..Self::default() }
    }

    /// Whether all that must hold does.
    pub fn is_good(&self) -> bool {
        self.lost.is_empty() && self.unbalanced.is_empty() && self.broken.is_empty()
    }

    /// Whether the fault met no saga that it could have harmed.
    pub fn has_shown_nothing(&self) -> bool {
        self.is_good() && self.must_take_over && self.takeovers == 0
    }

    /// Everything that fell short.
    pub fn faults(&self) -> impl Iterator<Item = &str> {
        [&self.lost, &self.unbalanced, &self.broken].into_iter().flatten().map(String::as_str)
    }
}
