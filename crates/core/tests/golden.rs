//! The journal's JSON is a promise: what an earlier release wrote is read, and written the same.
//!
//! Lines are added to `golden/journal.jsonl` and never changed.

use std::collections::BTreeSet;

use amends_core::saga::{AttemptFailure, Event, Op, Record};

const JOURNAL: &str = include_str!("golden/journal.jsonl");

fn records() -> Vec<Record> {
    JOURNAL.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn what_was_written_is_read_and_written_the_same() {
    assert_eq!(records().len(), JOURNAL.lines().count(), "some lines cannot be read");
    for (line, record) in JOURNAL.lines().zip(records()) {
        assert_eq!(serde_json::to_string(&record).unwrap(), line);
    }
}

#[test]
fn every_kind_of_fact_has_a_line() {
    let seen: BTreeSet<&str> = records().iter().map(|record| name(&record.event)).collect();
    // As many as `name` has arms.
    assert_eq!(seen.len(), 24, "{seen:?}");
    for (name, line) in records().iter().map(|record| name(&record.event)).zip(JOURNAL.lines()) {
        assert!(
            line.contains(&format!("\"event\":{{\"{name}\""))
                || line.contains(&format!(":\"{name}\""))
        );
    }
    for op in Op::ALL {
        assert!(JOURNAL.contains(&format!("\"op\":\"{op}\"")), "{op}");
    }
}

#[test]
fn words_for_people_and_for_journals_are_the_same() {
    let kind = AttemptFailure::NotCompleted;
    assert_eq!(serde_json::to_string(&kind).unwrap(), format!("{:?}", kind.as_str()));
}

/// The name of a fact in the journal. A new one needs an arm here, a number above and a line.
const fn name(event: &Event) -> &'static str {
    match event {
        Event::Accepted(_) => "accepted",
        Event::LockGranted { .. } => "lock_granted",
        Event::Started => "started",
        Event::StepSkipped { .. } => "step_skipped",
        Event::CallStarted { .. } => "call_started",
        Event::CallAnswered { .. } => "call_answered",
        Event::CallPending { .. } => "call_pending",
        Event::RetryScheduled { .. } => "retry_scheduled",
        Event::CallGivenUp { .. } => "call_given_up",
        Event::CallStuck { .. } => "call_stuck",
        Event::Decided { .. } => "decided",
        Event::BranchEnlisted { .. } => "branch_enlisted",
        Event::CommitRequested { .. } => "commit_requested",
        Event::DeadlineExtended { .. } => "deadline_extended",
        Event::LockReleased { .. } => "lock_released",
        Event::DeadlinePassed => "deadline_passed",
        Event::LockWaitPassed => "lock_wait_passed",
        Event::CancelRequested { .. } => "cancel_requested",
        Event::Paused { .. } => "paused",
        Event::Resumed { .. } => "resumed",
        Event::RetryForced { .. } => "retry_forced",
        Event::CallResolved { .. } => "call_resolved",
        Event::Recovered { .. } => "recovered",
        Event::Ended { .. } => "ended",
    }
}
