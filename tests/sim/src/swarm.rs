//! Which faults a run has, and how often: each class is off in some runs, so that faults do not
//! mask one another.

use std::time::Duration;

use crate::chance::Chance;

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
    /// Probability that a write of the store has a fault.
    pub(crate) store_faults: f64,
    /// Probability that a read of the store fails.
    pub(crate) read_faults: f64,
    /// Mean time between two crashes of coordinators; none without.
    pub(crate) crash_every: Option<Duration>,
    /// Mean time between two pauses of coordinators.
    pub(crate) pause_every: Option<Duration>,
    /// Mean time between two troubles of the lock service.
    pub(crate) lock_trouble_every: Option<Duration>,
    /// Probability that a client or operator does something with a saga.
    pub(crate) meddling: f64,
    /// Time in which the clients begin their sagas.
    pub(crate) chaos: Duration,
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
        let every = |least: u64, most: u64| {
            (!chance.is(0.4))
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
            store_faults: rate(0.1),
            read_faults: rate(0.05),
            crash_every: every(2, 30),
            pause_every: every(2, 30),
            lock_trouble_every: every(2, 20),
            meddling: rate(0.6),
            chaos: chance.time(Duration::from_secs(10), Duration::from_mins(1)),
        }
    }

    /// The same run without any fault: what comes after the chaos.
    pub(crate) fn calm(&self) -> Self {
        Self {
            request_lost: 0.0,
            answer_lost: 0.0,
            doubled: 0.0,
            refuses: 0.0,
            fails: 0.0,
            fails_after: 0.0,
            hangs: 0.0,
            store_faults: 0.0,
            read_faults: 0.0,
            crash_every: None,
            pause_every: None,
            lock_trouble_every: None,
            meddling: 0.0,
            ..self.clone()
        }
    }
}
