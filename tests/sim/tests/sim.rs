//! The simulator holds what it promises: it finds nothing in the code as it is, and comes out the
//! same each time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use amends_sim::{Coverage, Limits, run};

/// Seeds that once found something, with what it was.
const FOUND: &[(u64, &str)] = &[
    (17, "a guard was kept for a saga that had ended under another lease"),
    (46, "the same, with many sagas waiting behind it"),
    (7_068, "changes of one saga under two leases were joined, and nobody drove it any more"),
    (23_761, "a call that waited for a guard was not made under the next grant"),
    (1_488, "after a forced release with on_lost: fence a confirm was refused for ever"),
    (6, "a branch that the owner had refused was answered as enlisted"),
    (34, "so was a commit"),
    (11, "a request was handed the saga of another one after a lost commit"),
    (27, "sagas whose claim was not answered were driven by nobody"),
    (65, "so was a transaction whose deadline had passed"),
    (1_802, "so was a saga in memory that waited for its lock keys"),
    (200_122, "what was found out of a try was taken of its confirm"),
    (61, "an abort waited ten years for a nested saga that was being started"),
];

#[test]
fn seeds_that_once_found_something_find_nothing() {
    for (seed, what) in FOUND {
        let report = run(*seed, &Limits::default(), false).unwrap();
        assert!(report.violations.is_empty(), "{what}: {:?}", report.violations);
    }
}

#[test]
fn the_same_seed_gives_the_same_events() {
    for seed in [1, 2, 3] {
        let again = || run(seed, &Limits::default(), false).unwrap();
        let (one, other) = (again(), again());
        assert_eq!((one.hash, one.events), (other.hash, other.events), "seed {seed}");
        assert!(one.events > 100);
    }
}

#[test]
fn all_that_the_simulator_is_for_is_seen() {
    let mut coverage = Coverage::default();
    for seed in 0..300 {
        let report = run(seed, &Limits::default(), false).unwrap();
        assert!(report.violations.is_empty(), "seed {seed}: {:?}", report.violations);
        coverage.add(&report.counters);
        if coverage.unseen().is_empty() {
            return;
        }
    }
    panic!("never seen: {:?}", coverage.unseen());
}
