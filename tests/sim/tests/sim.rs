//! The simulator holds what it promises: it finds nothing in the code as it is, and comes out the
//! same each time.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;

use amends_sim::run;

/// Seeds that once found something, with what it was.
const FOUND: &[(u64, &str)] = &[
    (17, "a guard was kept for a saga that had ended under another lease"),
    (46, "the same, with many sagas waiting behind it"),
    (7_068, "changes of one saga under two leases were joined, and nobody drove it any more"),
    (23_761, "a call that waited for a guard was not made under the next grant"),
    (1_488, "after a forced release with on_lost: fence a confirm was refused for ever"),
];

#[test]
fn seeds_that_once_found_something_find_nothing() {
    for (seed, what) in FOUND {
        let report = run(*seed, false).unwrap();
        assert!(report.violations.is_empty(), "{what}: {:?}", report.violations);
    }
}

#[test]
fn the_same_seed_gives_the_same_events() {
    for seed in [1, 2, 3] {
        let (one, other) = (run(seed, false).unwrap(), run(seed, false).unwrap());
        assert_eq!((one.hash, one.events), (other.hash, other.events), "seed {seed}");
        assert!(one.events > 100);
    }
}

#[test]
fn what_the_simulator_is_for_is_seen() {
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        let report = run(seed, false).unwrap();
        assert!(report.violations.is_empty(), "seed {seed}: {:?}", report.violations);
        seen.extend(report.counters.into_keys());
    }
    for what in [
        "completed",
        "compensated",
        "taken over",
        "crash",
        "pause",
        "commit unknown",
        "write failed",
        "empty undo",
        "late call refused",
        "suspended",
        "client fell silent",
    ] {
        assert!(seen.contains(what), "{what} was never seen");
    }
}
