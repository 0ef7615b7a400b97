//! What must be seen now and then: a batch of seeds in which it never happens proves nothing of it.

use std::collections::BTreeMap;

/// Seeds from which on everything must have been seen.
const ENOUGH: u64 = 300;

/// What a batch of 300 seeds or more must have seen.
pub const SOMETIMES: &[&str] = &[
    "completed",
    "compensated",
    "crash",
    "pause",
    "drain",
    "taken over, queued",
    "taken over, running",
    "taken over, confirming",
    "taken over, compensating",
    "taken over, suspended",
    "taken over, paused",
    "taken over, interactive",
    "taken over, prepared",
    "taken over in the calm",
    "write failed",
    "commit unknown, applied",
    "commit unknown, not applied",
    "commit unknown, still running",
    "late commit",
    "change unknown",
    "empty undo",
    "late call refused",
    "guard lost, on_lost abort",
    "guard lost, on_lost fence",
    "guard lost, on_lost pause",
    "masters lost",
    "master forgot",
    "master's clock jumped",
    "outsider has a key",
    "forced release",
    "lock wait passed",
    "keys handed on",
    "replaced",
    "resolved as succeeded",
    "resolved as failed",
    "skipped by an operator",
    "skipped by its condition",
    "suspended",
    "mended",
    "retry forced",
    "paused",
    "cancelled",
    "deadline passed",
    "deadline passed after the decision",
    "deadline put off",
    "starts later",
    "Retry-After",
    "pending",
    "callback taken",
    "callback late",
    "callback lost",
    "callback doubled",
    "polled to the end",
    "client fell silent",
    "check-back yes",
    "check-back no",
    "check-back unknown",
    "nested commit",
    "nested abort",
    "nested saga refused",
    "submitted with another body",
    "deleted",
];

/// What was seen in a batch of seeds.
#[derive(Debug, Default)]
pub struct Coverage {
    seeds: u64,
    seen: BTreeMap<&'static str, u64>,
}

impl Coverage {
    /// Adds what one seed has seen.
    pub fn add(&mut self, seen: &BTreeMap<&'static str, u64>) {
        self.seeds += 1;
        for (what, times) in seen {
            *self.seen.entry(what).or_default() += times;
        }
    }

    /// How often what was seen.
    pub const fn seen(&self) -> &BTreeMap<&'static str, u64> {
        &self.seen
    }

    /// What was not seen yet.
    pub fn unseen(&self) -> Vec<&'static str> {
        let is_unseen = |what: &&&str| !self.seen.contains_key(**what);
        SOMETIMES.iter().filter(is_unseen).copied().collect()
    }

    /// What was never seen, in a batch that is large enough to say so.
    pub fn missing(&self) -> Vec<&'static str> {
        if self.seeds >= ENOUGH { self.unseen() } else { Vec::new() }
    }
}
