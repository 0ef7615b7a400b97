//! The journal's JSON is a promise: what an earlier release wrote is read, and written the same.
//!
//! Lines are added to `golden/journal.jsonl` and never changed.

use std::collections::BTreeSet;

use amends_core::definition::{Branch, BranchCall, CheckBack, NestedSaga};
use amends_core::saga::{
    Accepted, Actor, Answer, AttemptFailure, Command, Event, JournalFormat, Op, Parent, Problem,
    Record,
};
use amends_core::{RetryPolicy, StepId};

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

/// The name of a fact in the journal.
///
/// Patterns here and below name every field on purpose: what does not compile any more was given
/// something that other releases do not know. It needs a new `JournalFormat`, and a line.
const fn name(event: &Event) -> &'static str {
    match event {
        Event::Accepted(_) => "accepted",
        Event::LockGranted { tokens: _ } => "lock_granted",
        Event::Started => "started",
        Event::StepSkipped { step: _, reason: _ } => "step_skipped",
        Event::CallStarted { step: _, op: _, attempt: _ } => "call_started",
        Event::CallAnswered { step: _, op: _, attempt: _, answer: _ } => "call_answered",
        Event::CallPending { step: _, op: _, until: _, location: _ } => "call_pending",
        Event::RetryScheduled { step: _, op: _, until: _ } => "retry_scheduled",
        Event::CallGivenUp { step: _, op: _ } => "call_given_up",
        Event::CallStuck { step: _, op: _, until: _ } => "call_stuck",
        Event::Decided { decision: _, reason: _ } => "decided",
        Event::BranchEnlisted { branch: _ } => "branch_enlisted",
        Event::CommitRequested { by: _ } => "commit_requested",
        Event::DeadlineExtended { until: _, by: _ } => "deadline_extended",
        Event::LockReleased { by: _ } => "lock_released",
        Event::DeadlinePassed => "deadline_passed",
        Event::LockWaitPassed => "lock_wait_passed",
        Event::CancelRequested { by: _ } => "cancel_requested",
        Event::Paused { by: _ } => "paused",
        Event::Resumed { by: _ } => "resumed",
        Event::RetryForced { step: _, op: _, by: _ } => "retry_forced",
        Event::CallResolved { step: _, op: _, succeeded: _, output: _, by: _ } => "call_resolved",
        Event::Recovered { epoch: _ } => "recovered",
        Event::Ended { status: _, output: _, problem: _ } => "ended",
    }
}

/// What facts are made of.
#[expect(clippy::too_many_arguments, reason = "one of each")]
const fn parts(
    Accepted {
        saga_id: _,
        definition: _,
        definition_name: _,
        definition_version: _,
        input: _,
        labels: _,
        lock_keys: _,
        start_at: _,
        deadline_at: _,
        lock_wait_until: _,
        traceparent: _,
        prepared: _,
        cancelled: _,
        parent: _,
    }: &Accepted,
    Answer {
        outcome: _,
        sent: _,
        output: _,
        problem: _,
        retry_after: _,
        location: _,
        retry: _,
        timeout: _,
    }: &Answer,
    Problem { kind: _, status: _, detail: _, body: _ }: &Problem,
    Actor { name: _, reason: _ }: &Actor,
    Parent { saga_id: _, branch: _ }: &Parent,
    RetryPolicy { attempts_max: _, initial: _, factor: _, max: _, jitter: _ }: &RetryPolicy,
    Branch { id: _, after: _, work: _ }: &Branch,
    BranchCall { method: _, path: _, body: _, headers: _, timeout: _, retry: _ }: &BranchCall,
    CheckBack { participant: _, call: _ }: &CheckBack,
    NestedSaga {
        saga_id: _,
        definition: _,
        definition_name: _,
        definition_version: _,
        input: _,
    }: &NestedSaga,
) {
}

/// Optional fields, each of which stands in some line.
const OPTIONAL: [&str; 23] = [
    "after",
    "body",
    "cancelled",
    "deadline_at",
    "definition_version",
    "headers",
    "labels",
    "location",
    "lock_keys",
    "lock_wait_until",
    "name",
    "output",
    "parent",
    "prepared",
    "problem",
    "reason",
    "retry",
    "retry_after",
    "start_at",
    "status",
    "timeout",
    "traceparent",
    "until",
];

const FAILURES: [AttemptFailure; 16] = [
    AttemptFailure::Status,
    AttemptFailure::Timeout,
    AttemptFailure::Reset,
    AttemptFailure::Connect,
    AttemptFailure::Dns,
    AttemptFailure::Tls,
    AttemptFailure::BlockedTarget,
    AttemptFailure::BreakerOpen,
    AttemptFailure::Redirect,
    AttemptFailure::AnswerTooLarge,
    AttemptFailure::BadAnswer,
    AttemptFailure::Expression,
    AttemptFailure::UnknownParticipant,
    AttemptFailure::Interrupted,
    AttemptFailure::NotCompleted,
    AttemptFailure::Operator,
];

#[test]
fn every_part_of_a_fact_has_a_line() {
    // Compiled, and so compared with the types.
    let _ = parts;
    for field in OPTIONAL {
        assert!(JOURNAL.contains(&format!("\"{field}\"")), "{field}");
    }
    for kind in FAILURES {
        assert!(JOURNAL.contains(&format!("\"kind\":\"{}\"", kind.as_str())), "{kind:?}");
    }
}

/// Commands, which coordinators tell one another. Every field is named here for the same reason.
const fn command_format(command: &Command) -> JournalFormat {
    match command {
        Command::ResolveSucceeded { step: _, output: _, op: Some(_) } => JournalFormat(2),
        Command::Pause
        | Command::Resume
        | Command::Cancel
        | Command::RetryNow { step: _ }
        | Command::Skip { step: _ }
        | Command::ResolveSucceeded { step: _, output: _, op: None }
        | Command::ResolveFailed { step: _ }
        | Command::ResolveUndone { step: _ }
        | Command::Abandon
        | Command::Enlist { branch: _ }
        | Command::Commit
        | Command::Extend { until: _ }
        | Command::ParentDecided { decision: _ }
        | Command::Replace
        | Command::ReleaseLock => JournalFormat(1),
    }
}

#[test]
fn a_command_says_which_format_it_needs() {
    let step = StepId::new("pay").unwrap();
    for op in [None, Some(Op::Try)] {
        let command = Command::ResolveSucceeded { step: step.clone(), output: None, op };
        assert_eq!(command.journal_format(), command_format(&command));
    }
}

/// What the first release wrote is read; what it could not read has more to it.
#[test]
fn a_command_without_an_operation_is_written_as_the_first_release_wrote_it() {
    let resolve =
        |op| Command::ResolveSucceeded { step: StepId::new("pay").unwrap(), output: None, op };
    for (op, text) in [
        (None, r#"{"resolve_succeeded":{"step":"pay","output":null}}"#),
        (Some(Op::Try), r#"{"resolve_succeeded":{"step":"pay","output":null,"op":"try"}}"#),
    ] {
        assert_eq!(serde_json::to_string(&resolve(op)).unwrap(), text);
        assert_eq!(serde_json::from_str::<Command>(text).unwrap(), resolve(op));
    }
}

/// A change of what is written shows here, together with the number that has to change.
#[test]
fn format_1_is_written_and_format_2_is_read() {
    assert_eq!(JournalFormat::READ, JournalFormat(2));
    assert_eq!(JournalFormat::WRITTEN, JournalFormat(1));
    assert!(JournalFormat::WRITTEN <= JournalFormat::READ);
}
