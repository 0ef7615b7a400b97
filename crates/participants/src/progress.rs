//! How far an attempt has come: decides what it means when its time runs out.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use amends_core::format_duration;
use amends_core::saga::AttemptFailure;

use crate::failure::Failure;

const WAITING: u8 = 0;
const CONNECTING: u8 = 1;
const SENT: u8 = 2;
const ANSWERED: u8 = 3;

/// Written by the attempt, read by whoever gives it up.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    phase: AtomicU8,
    origin: AtomicUsize,
}

impl Progress {
    /// No connection of `origin` is there yet.
    pub(crate) fn connecting(&self, origin: usize) {
        self.origin.store(origin, Ordering::Relaxed);
        self.phase.store(CONNECTING, Ordering::Relaxed);
    }

    /// From here on something may reach the participant.
    pub(crate) fn sent(&self) {
        self.phase.store(SENT, Ordering::Relaxed);
    }

    /// The request came back unwritten.
    pub(crate) fn unsent(&self) {
        self.phase.store(CONNECTING, Ordering::Relaxed);
    }

    /// The head of the answer is there.
    pub(crate) fn answered(&self) {
        self.phase.store(ANSWERED, Ordering::Relaxed);
    }

    /// The endpoint to which a connection was being made.
    pub(crate) fn connecting_to(&self) -> Option<usize> {
        (self.phase.load(Ordering::Relaxed) == CONNECTING)
            .then(|| self.origin.load(Ordering::Relaxed))
    }

    /// What it means that `timeout` has passed.
    pub(crate) fn timed_out(&self, timeout: Duration) -> Failure {
        let time = format_duration(timeout);
        match self.phase.load(Ordering::Relaxed) {
            WAITING => Failure::unsent(
                AttemptFailure::Timeout,
                format!(
                    "no place among the participant's concurrent calls came free within {time}"
                ),
            ),
            CONNECTING => Failure::unsent(
                AttemptFailure::Connect,
                format!("no connection could be made within {time}"),
            ),
            SENT => Failure::sent(AttemptFailure::Timeout, format!("no answer within {time}")),
            _ => Failure::sent(
                AttemptFailure::Timeout,
                format!("the answer began but did not end within {time}"),
            ),
        }
    }
}
