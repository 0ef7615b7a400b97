//! Which faults a run has, and how often: each class is off in some runs, so that faults do not
//! mask one another.

use std::time::Duration;

use amends_core::saga::JournalFormat;

use crate::chance::Chance;

/// What can be left out of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Requests and answers that are lost.
    Losses,
    /// Requests that come once more.
    Doubles,
    /// Participants that refuse.
    Refusals,
    /// Participants that fail, or take too long.
    Failures,
    /// Completions that are late, lost or doubled.
    Completions,
    /// Writes of the store that fail, or whose answers are lost.
    Writes,
    /// Everything else that the store does and that fails.
    Reads,
    /// Coordinators that are killed.
    Crashes,
    /// Coordinators that stand still.
    Pauses,
    /// Coordinators that are stopped in order.
    Drains,
    /// Lock masters.
    Masters,
    /// Operators and impatient clients.
    Meddling,
    /// Sagas that leave memory early.
    Sleep,
    /// Ended sagas that are deleted.
    Retention,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Losses,
        Self::Doubles,
        Self::Refusals,
        Self::Failures,
        Self::Completions,
        Self::Writes,
        Self::Reads,
        Self::Crashes,
        Self::Pauses,
        Self::Drains,
        Self::Masters,
        Self::Meddling,
        Self::Sleep,
        Self::Retention,
    ];

    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Losses => "losses",
            Self::Doubles => "doubles",
            Self::Refusals => "refusals",
            Self::Failures => "failures",
            Self::Completions => "completions",
            Self::Writes => "writes",
            Self::Reads => "reads",
            Self::Crashes => "crashes",
            Self::Pauses => "pauses",
            Self::Drains => "drains",
            Self::Masters => "masters",
            Self::Meddling => "meddling",
            Self::Sleep => "sleep",
            Self::Retention => "retention",
        }
    }
}

impl std::str::FromStr for Class {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|class| class.as_str() == text);
        found.ok_or_else(|| format!("is none of {names}"))
    }
}

/// What a run leaves out of what its seed says: for the smallest one that still fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The clients that come, by number; all, if none are named.
    pub clients: Option<Vec<usize>>,
    /// Most coordinators.
    pub coordinators: Option<usize>,
    /// Faults that do not happen.
    pub without: Vec<Class>,
}

/// The faults of one run.
#[derive(Clone, Debug)]
pub(crate) struct Swarm {
    /// Coordinators.
    pub(crate) coordinators: usize,
    /// Sagas of the run.
    pub(crate) sagas: usize,
    /// Whether there is a lock service.
    pub(crate) has_locks: bool,
    /// Probability that a call's request is lost.
    pub(crate) request_lost: f64,
    /// Probability that a call's answer is lost.
    pub(crate) answer_lost: f64,
    /// Probability that a request comes once more, later.
    pub(crate) doubled: f64,
    /// Probability that a participant refuses a forward call for good.
    pub(crate) refuses: f64,
    /// Probability that a participant fails before it does anything.
    pub(crate) fails: f64,
    /// Probability that a participant fails after it has done its work.
    pub(crate) fails_after: f64,
    /// Probability that a participant takes longer than the call's time-out.
    pub(crate) hangs: f64,
    /// Probability that a completion is late, and that it is lost.
    pub(crate) completion_late: f64,
    /// Probability that a write of the store has a fault.
    pub(crate) store_faults: f64,
    /// Probability that anything else that the store does fails.
    pub(crate) read_faults: f64,
    /// Mean time between two crashes of a coordinator; none without.
    pub(crate) crash_every: Option<Duration>,
    /// Mean time between two pauses of a coordinator.
    pub(crate) pause_every: Option<Duration>,
    /// Mean time between two orderly stops of a coordinator.
    pub(crate) drain_every: Option<Duration>,
    /// Mean time between two troubles of the lock service.
    pub(crate) lock_trouble_every: Option<Duration>,
    /// Probability that a client or operator does something with a saga.
    pub(crate) meddling: f64,
    /// Time in which the clients begin their sagas.
    pub(crate) chaos: Duration,
    /// What nothing is due for so long leaves memory.
    pub(crate) park_after: Duration,
    /// How long ended sagas are kept.
    pub(crate) retention: Option<Duration>,
    /// What coordinators may tell one another.
    pub(crate) journal_format: JournalFormat,
}

impl Swarm {
    /// Draws the faults of a run.
    pub(crate) fn draw(chance: &Chance) -> Self {
        let rate = |most: f64| {
            if chance.is(0.4) {
                0.0
            } else {
                most * f64::from(1 + u8::try_from(chance.below(10)).unwrap_or(0)) / 10.0
            }
        };
        let every = |off: f64, least: u64, most: u64| {
            (!chance.is(off))
                .then(|| chance.time(Duration::from_secs(least), Duration::from_secs(most)))
        };
        Self {
            coordinators: 1 + chance.below(4),
            sagas: 40 + chance.below(80),
            has_locks: chance.is(0.5),
            request_lost: rate(0.2),
            answer_lost: rate(0.2),
            doubled: rate(0.2),
            refuses: rate(0.1),
            fails: rate(0.2),
            fails_after: rate(0.1),
            hangs: rate(0.1),
            completion_late: rate(0.3),
            store_faults: rate(0.1),
            read_faults: rate(0.05),
            crash_every: every(0.4, 5, 60),
            pause_every: every(0.4, 5, 60),
            drain_every: every(0.5, 5, 60),
            lock_trouble_every: every(0.4, 2, 20),
            meddling: rate(0.6),
            chaos: chance.time(Duration::from_secs(10), Duration::from_mins(1)),
            park_after: chance.time(Duration::from_millis(100), Duration::from_secs(5)),
            retention: chance.is(0.15).then(|| Duration::from_secs(30)),
            journal_format: *chance.one_of(&[JournalFormat::WRITTEN, JournalFormat::READ]),
        }
    }

    /// The same without what is left out.
    pub(crate) fn within(mut self, limits: &Limits) -> Self {
        let most = limits.coordinators.unwrap_or(usize::MAX);
        self.coordinators = self.coordinators.min(most);
        for class in &limits.without {
            match class {
                Class::Losses => (self.request_lost, self.answer_lost) = (0.0, 0.0),
                Class::Doubles => self.doubled = 0.0,
                Class::Refusals => self.refuses = 0.0,
                Class::Failures => {
                    (self.fails, self.fails_after, self.hangs) = (0.0, 0.0, 0.0);
                }
                Class::Completions => self.completion_late = 0.0,
                Class::Writes => self.store_faults = 0.0,
                Class::Reads => self.read_faults = 0.0,
                Class::Crashes => self.crash_every = None,
                Class::Pauses => self.pause_every = None,
                Class::Drains => self.drain_every = None,
                Class::Masters => self.lock_trouble_every = None,
                Class::Meddling => self.meddling = 0.0,
                Class::Sleep => self.park_after = Duration::from_secs(5),
                Class::Retention => self.retention = None,
            }
        }
        self
    }

    /// The same run without any fault: what comes after the chaos.
    pub(crate) fn calm(&self) -> Self {
        let faults = Class::ALL.into_iter();
        let without = faults.filter(|class| !matches!(class, Class::Sleep | Class::Retention));
        let without = without.collect();
        self.clone().within(&Limits { without, ..Limits::default() })
    }
}
