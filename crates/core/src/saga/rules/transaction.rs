//! Transactions step by step: what a reader of the documentation would try first, and what rivals
//! get wrong.

use std::sync::Arc;

use serde_json::{Value, json};

use super::client::branch;
use super::moves::Kind;
use super::network::failed;
use super::plan::Role;
use crate::definition::{Branch, Registry, parse};
use crate::saga::{
    Accepted, Actor, Answer, AttemptFailure, Command, Decision, Effect, Handled, Input, Op,
    OutcomeKind, Record, Refusal, Saga, Status, Timer, Token,
};
use crate::{Json, LockKey, SagaId, Timestamp};

/// One transaction and all that happened to it.
pub(super) struct Case {
    pub(super) saga: Saga,
    base: Arc<crate::definition::Definition>,
    records: Vec<Record>,
    effects: Vec<Effect>,
    now: Timestamp,
}

impl Case {
    fn new(document: &Value, change: impl FnOnce(&mut Accepted)) -> Self {
        let parsed = parse(document, &Registry::default());
        let base = parsed.definition.unwrap_or_else(|| panic!("{:?}", parsed.faults));
        let mut accepted = Accepted {
            saga_id: SagaId::new("s-1").unwrap(),
            definition: base.digest.clone(),
            definition_name: base.name.clone(),
            definition_version: None,
            input: Json::null(),
            labels: std::collections::BTreeMap::new(),
            lock_keys: Vec::new(),
            start_at: None,
            deadline_at: Some(Timestamp(60_000_000)),
            lock_wait_until: None,
            traceparent: None,
            prepared: None,
            cancelled: None,
            parent: None,
        };
        change(&mut accepted);
        let is_locked = !accepted.lock_keys.is_empty();
        let (saga, handled) = Saga::accept(Arc::clone(&base), accepted, Timestamp(0));
        let mut case =
            Self { saga, base, records: Vec::new(), effects: Vec::new(), now: Timestamp(0) };
        case.take(handled);
        if is_locked {
            case.tell(Input::Granted(vec![Token(1)])).unwrap();
        }
        case
    }

    pub(super) fn interactive() -> Self {
        Self::new(&json!({ "name": "t", "mode": "interactive" }), |_| {})
    }

    /// Its client can be asked.
    pub(super) fn asked() -> Self {
        let role = Role::Interactive { asks_back: true };
        let document = json!({ "name": "t", "mode": "interactive" });
        Self::new(&document, |accepted| accepted.prepared = role.check_back())
    }

    pub(super) fn locked(mut document: Value, lock: &Value) -> Self {
        document["lock"] = lock.clone();
        Self::new(&document, |accepted| accepted.lock_keys = vec![LockKey::new("k").unwrap()])
    }

    fn take(&mut self, handled: Handled) {
        self.records.extend(handled.records);
        self.effects.extend(handled.effects);
    }

    pub(super) fn tell(&mut self, input: Input) -> Result<(), Refusal> {
        let handled = self.saga.handle(self.now, input)?;
        self.take(handled);
        Ok(())
    }

    pub(super) fn command(&mut self, command: Command) -> Result<(), Refusal> {
        self.tell(Input::Command { command, by: Actor::default() })
    }

    pub(super) fn enlist(&mut self, name: &str, kind: Kind) {
        let branch = Box::new(branch(name, kind, None));
        self.command(Command::Enlist { branch }).unwrap();
    }

    /// The calls that are asked for since the last look, such as `confirm a`.
    fn calls(&mut self) -> Vec<String> {
        let definition = self.saga.definition();
        let mut calls: Vec<String> = std::mem::take(&mut self.effects)
            .iter()
            .filter_map(|effect| match effect {
                Effect::Call { call, .. } => {
                    Some(format!("{} {}", call.op, definition.step(call.step).id))
                }
                _ => None,
            })
            .collect();
        calls.sort();
        calls
    }

    pub(super) fn answer(
        &mut self,
        step: &str,
        op: Op,
        outcome: OutcomeKind,
    ) -> Result<(), Refusal> {
        let step = self.saga.definition().index_of(step).unwrap();
        let attempt = self.saga.step(step).call(op).attempts;
        let answer = Box::new(match outcome {
            OutcomeKind::Succeeded => Answer::succeeded(None),
            other => failed(other, true, AttemptFailure::Status),
        });
        self.tell(Input::Answered { step, op, attempt, answer })
    }

    pub(super) fn succeed(&mut self, step: &str, op: Op) {
        self.answer(step, op, OutcomeKind::Succeeded).unwrap();
    }

    pub(super) fn pass_deadline(&mut self) {
        self.now = self.saga.deadline_at().unwrap();
        self.tell(Input::DeadlinePassed).unwrap();
    }

    /// Another coordinator goes on from the journal.
    fn crash(&mut self) {
        self.saga = Saga::replay(Arc::clone(&self.base), &self.records).unwrap();
        self.effects.clear();
        let _ = self.tell(Input::Recovered { epoch: 2 });
    }
}

/// A known rival ends the transaction at a repeated commit, with confirms that are never sent.
#[test]
fn a_commit_that_is_repeated_at_any_moment_loses_no_confirm() {
    for repeated_at in 0..4 {
        for crashes in [false, true] {
            let mut case = Case::interactive();
            for name in ["a", "b", "c"] {
                case.enlist(name, Kind::Tcc);
            }
            case.enlist("mail", Kind::Message);
            assert_eq!(case.calls(), [""; 0], "nothing is called before the decision");
            case.command(Command::Commit).unwrap();
            assert_eq!(case.calls(), ["action mail", "confirm a", "confirm b", "confirm c"]);
            for (index, name) in ["a", "b", "c"].into_iter().enumerate() {
                if index == repeated_at {
                    case.command(Command::Commit).unwrap();
                    assert_eq!(case.command(Command::Cancel), Err(Refusal::Committed));
                    if crashes {
                        case.crash();
                    }
                }
                assert_eq!(case.saga.status(), Status::Confirming);
                case.succeed(name, Op::Confirm);
            }
            case.command(Command::Commit).unwrap();
            assert_eq!(case.saga.status(), Status::Confirming);
            case.succeed("mail", Op::Action);
            assert_eq!(case.saga.status(), Status::Completed);
            case.command(Command::Commit).unwrap();
            assert_eq!(case.command(Command::Cancel), Err(Refusal::Committed));
        }
    }
}

#[test]
fn whoever_comes_second_in_a_race_hears_the_decision() {
    let mut case = Case::interactive();
    case.enlist("a", Kind::Compensation);
    case.command(Command::Cancel).unwrap();
    for _ in 0..2 {
        let told = case.command(Command::Commit);
        assert!(matches!(told, Err(Refusal::Aborted(_))), "{told:?}");
        case.command(Command::Cancel).unwrap();
        if case.saga.status() == Status::Compensating {
            let outcome = case.saga.forward_outcome(crate::StepIndex(0));
            assert_eq!(outcome.as_str(), "unknown", "the client may have called");
            case.succeed("a", Op::Compensation);
        }
        assert_eq!(case.saga.status(), Status::Compensated);
        assert_eq!(case.saga.focus(), None, "no step of ours has failed");
    }
}

#[test]
fn a_commit_that_was_answered_is_not_cancelled_while_it_waits_for_a_nested_saga() {
    let mut case = Case::interactive();
    case.enlist("n", Kind::Nested);
    case.command(Command::Commit).unwrap();
    assert_eq!((case.saga.decision(), case.calls()), (None, vec!["try n".to_owned()]));
    assert_eq!(case.command(Command::Cancel), Err(Refusal::Committed));
    let another = Box::new(branch("x", Kind::Tcc, None));
    assert_eq!(case.command(Command::Enlist { branch: another }), Err(Refusal::Committed));
    case.succeed("n", Op::Try);
    assert_eq!(
        (case.saga.decision(), case.calls()),
        (Some(Decision::Commit), vec!["confirm n".to_owned()])
    );
}

#[test]
fn branches_are_undone_in_reverse_and_side_by_side_where_nothing_says_otherwise() {
    let mut case = Case::interactive();
    case.enlist("a", Kind::Compensation);
    case.enlist("t", Kind::Tcc);
    case.enlist("b", Kind::Compensation);
    case.enlist("mail", Kind::Message);
    case.enlist("n", Kind::Nested);
    let free = Box::new(branch("free", Kind::Compensation, Some(Vec::new())));
    case.command(Command::Enlist { branch: free }).unwrap();
    assert_eq!(case.calls(), ["try n"]);
    case.answer("n", Op::Try, OutcomeKind::Pending).unwrap();
    case.pass_deadline();
    // `b` came after `a`; a nested saga that is still busy is given up.
    assert_eq!(case.calls(), ["cancel n", "cancel t", "compensation b", "compensation free"]);
    case.succeed("b", Op::Compensation);
    assert_eq!(case.calls(), ["compensation a"]);
    for (step, op) in [("a", Op::Compensation), ("free", Op::Compensation), ("t", Op::Cancel)] {
        case.succeed(step, op);
    }
    assert_eq!(case.saga.status(), Status::Compensating);
    case.succeed("n", Op::Cancel);
    assert_eq!(case.saga.status(), Status::Compensated);
}

#[test]
fn a_deadline_that_was_put_off_does_not_pass_early() {
    let mut case = Case::interactive();
    let until = Timestamp(90_000_000);
    case.command(Command::Extend { until }).unwrap();
    assert_eq!(case.effects.last(), Some(&Effect::Arm { timer: Timer::Deadline, at: until }));
    case.now = Timestamp(60_000_000);
    assert_eq!(case.tell(Input::DeadlinePassed), Err(Refusal::Stale));
    case.crash();
    assert!(case.effects.contains(&Effect::Arm { timer: Timer::Deadline, at: until }));
    case.pass_deadline();
    assert_eq!(case.saga.status(), Status::Compensated);
}

#[test]
fn a_silent_client_is_asked_until_it_answers() {
    use OutcomeKind as O;
    let ends: [(&[O], Status); 4] = [
        (&[O::Succeeded], Status::Confirming),
        (&[O::Refused], Status::Compensating),
        (&[O::Retryable, O::Succeeded], Status::Confirming),
        (&[O::Unknown, O::Retryable], Status::Suspended),
    ];
    for with_branch in [true, false] {
        for (answers, end) in ends {
            let mut case = Case::asked();
            if with_branch {
                case.enlist("t", Kind::Tcc);
            }
            assert_eq!(case.calls(), [""; 0], "it is not asked before its deadline");
            case.pass_deadline();
            for outcome in answers {
                assert_eq!(case.calls(), ["action prepared"]);
                case.answer("prepared", Op::Action, *outcome).unwrap();
                let step = case.saga.definition().index_of("prepared").unwrap();
                case.now = Timestamp(case.now.0 + 1_000_000);
                let _ = case.tell(Input::RetryDue { step, op: Op::Action });
            }
            let expected = match end {
                Status::Confirming if !with_branch => Status::Completed,
                Status::Compensating if !with_branch => Status::Compensated,
                other => other,
            };
            assert_eq!(case.saga.status(), expected, "{answers:?}, {with_branch}");
        }
    }
}

/// A fault on the way to the client (no permission, wrong method) is no answer of the client.
#[test]
fn only_three_statuses_say_that_the_client_has_not_committed() {
    let case = Case::asked();
    let step = case.saga.definition().step(crate::StepIndex(0));
    let no: Vec<u16> = step
        .outcomes
        .iter()
        .filter(|other| other.outcome == OutcomeKind::Refused)
        .map(|other| other.status)
        .collect();
    assert_eq!((no, step.outcomes.len()), (vec![404, 409, 410], 100));
}

/// The question may overtake the commit that it asks for.
#[test]
fn a_commit_beats_the_answer_to_an_earlier_question() {
    for outcome in [OutcomeKind::Refused, OutcomeKind::Unknown, OutcomeKind::Succeeded] {
        let mut case = Case::asked();
        case.enlist("n", Kind::Nested);
        case.pass_deadline();
        assert_eq!(case.calls(), ["action prepared", "try n"]);
        let told = case.command(Command::Cancel);
        assert!(matches!(told, Err(Refusal::PivotUndecided(_))), "{told:?}");
        case.command(Command::Commit).unwrap();
        assert_eq!(case.answer("prepared", Op::Action, outcome), Err(Refusal::Stale));
        assert_eq!(case.saga.decision(), None, "the deadline does not count any more");
        case.succeed("n", Op::Try);
        assert_eq!(case.saga.decision(), Some(Decision::Commit));
    }
}

#[test]
fn a_transaction_that_waits_for_its_lock_is_not_asked_back_but_dropped() {
    let role = Role::Interactive { asks_back: true };
    let document = json!({ "name": "t", "mode": "interactive" });
    let mut case = Case::new(&document, |accepted| {
        accepted.prepared = role.check_back();
        accepted.start_at = Some(Timestamp(100_000_000));
    });
    case.pass_deadline();
    assert_eq!(case.saga.status(), Status::Compensated);
}

#[test]
fn there_is_a_bound_of_branches() {
    for mut case in [Case::interactive(), Case::asked()] {
        for number in 0..Branch::COUNT_MAX {
            case.enlist(&format!("b{number}"), Kind::Message);
        }
        let one_more = Box::new(branch("x", Kind::Message, None));
        let told = case.command(Command::Enlist { branch: one_more });
        assert_eq!(told, Err(Refusal::TooManyBranches(Branch::COUNT_MAX)));
        case.enlist("b0", Kind::Message);
        let other = Box::new(branch("b0", Kind::Tcc, None));
        let told = case.command(Command::Enlist { branch: other });
        assert!(matches!(told, Err(Refusal::BranchMismatch(_))), "{told:?}");
        case.crash();
        assert_eq!(case.saga.branches().len(), Branch::COUNT_MAX);
    }
}

const PART: &str = r#"{ "name": "t", "steps": [{ "id": "a", "participant": "p",
    "action": { "path": "/" }, "compensation": { "path": "/u" } }] }"#;

/// A nested saga that has done its part.
pub(super) fn part(lock: Option<&Value>) -> Case {
    let mut document: Value = serde_json::from_str(PART).unwrap();
    if let Some(lock) = lock {
        document["lock"] = lock.clone();
    }
    let mut case = Case::new(&document, |accepted| {
        accepted.parent = Role::Part { commits: true }.parent();
        if lock.is_some() {
            accepted.lock_keys = vec![LockKey::new("k").unwrap()];
        }
    });
    case.succeed("a", Op::Action);
    case.effects.clear();
    case
}

#[test]
fn a_part_that_is_done_waits_for_its_parent_alone() {
    let lock = json!({ "keys": ["k"], "on_lost": "abort" });
    for decision in [Decision::Commit, Decision::Abort] {
        let mut case = part(Some(&lock));
        assert!(case.saga.is_prepared());
        let told = case.command(Command::Cancel);
        assert!(matches!(told, Err(Refusal::Nested(_))), "{told:?}");
        case.pass_deadline();
        case.command(Command::ReleaseLock).unwrap();
        assert_eq!((case.saga.status(), case.saga.decision()), (Status::Running, None));
        case.tell(Input::Granted(vec![Token(2)])).unwrap();
        case.crash();
        for _ in 0..2 {
            case.command(Command::ParentDecided { decision }).unwrap();
        }
        if decision == Decision::Abort {
            assert_eq!(case.calls(), ["compensation a"]);
            case.succeed("a", Op::Compensation);
        }
        let end = case.saga.status();
        assert!(end.is_terminal() && (end == Status::Completed) == (decision == Decision::Commit));
        case.command(Command::ParentDecided { decision }).unwrap();
    }
}

#[test]
fn a_part_that_its_parent_gave_up_before_it_was_made_never_runs() {
    let document: Value = serde_json::from_str(PART).unwrap();
    let mut case = Case::new(&document, |accepted| {
        accepted.parent = Role::Part { commits: false }.parent();
        accepted.cancelled = Some(Actor::default());
    });
    assert_eq!((case.saga.status(), case.calls()), (Status::Compensated, Vec::new()));
    case.command(Command::ParentDecided { decision: Decision::Abort }).unwrap();
}

#[test]
fn lost_lock_keys_stop_fence_or_abort() {
    let document = json!({ "name": "t", "mode": "interactive" });
    for (on_lost, status, waits) in [
        ("pause", Status::Running, true),
        ("fence", Status::Running, false),
        ("abort", Status::Compensating, true),
    ] {
        let lock = json!({ "keys": ["k"], "on_lost": on_lost });
        let mut case = Case::locked(document.clone(), &lock);
        case.enlist("a", Kind::Compensation);
        case.effects.clear();
        case.command(Command::ReleaseLock).unwrap();
        assert!(case.effects.contains(&Effect::Unlock { requeue: waits }), "{on_lost}");
        let asks = case.effects.iter().any(|effect| matches!(effect, Effect::Lock { .. }));
        assert_eq!((case.saga.status(), case.saga.waits_for_lock(), asks), (status, waits, waits));
        if waits {
            let told = case.command(Command::ReleaseLock);
            assert_eq!(told, Err(Refusal::NoLock), "{on_lost}");
            assert!(case.command(Command::Commit).is_err(), "{on_lost}");
            case.effects.clear();
            if on_lost == "pause" {
                case.command(Command::Cancel).unwrap();
            }
            assert_eq!(case.calls(), [""; 0], "nothing is called without the lock");
            case.tell(Input::Granted(vec![Token(2)])).unwrap();
            assert_eq!(case.calls(), ["compensation a"]);
            assert_eq!(case.saga.tokens()[0].1, Token(2));
        } else {
            assert_eq!(case.saga.tokens()[0].1, Token(1), "participants see the old token");
            case.command(Command::Commit).unwrap();
            assert_eq!(case.saga.status(), Status::Completed);
        }
    }
}

/// While the lock is away an attempt that was on its way is heard out, not made again.
#[test]
fn nothing_is_made_again_while_the_lock_is_away() {
    let lock = json!({ "keys": ["k"] });
    let mut case = Case::locked(json!({ "name": "t", "mode": "interactive" }), &lock);
    case.enlist("a", Kind::Compensation);
    case.command(Command::Cancel).unwrap();
    case.command(Command::ReleaseLock).unwrap();
    case.crash();
    let is_drained = case.effects.iter().any(|effect| matches!(effect, Effect::Drain { .. }));
    assert!(is_drained && case.calls().is_empty(), "{:?}", case.saga.effects());
    case.answer("a", Op::Compensation, OutcomeKind::Unknown).unwrap();
    case.command(Command::RetryNow { step: None }).unwrap();
    assert_eq!(case.calls(), [""; 0]);
    case.tell(Input::Granted(vec![Token(2)])).unwrap();
    let step = crate::StepIndex(0);
    case.tell(Input::RetryDue { step, op: Op::Compensation }).unwrap();
    assert_eq!(case.calls(), ["compensation a"]);
}

#[test]
fn keys_that_are_released_at_the_pivot_go_with_the_commit() {
    for (release, is_early) in [("pivot", true), ("end", false)] {
        for is_lost in [false, true] {
            let lock = json!({ "keys": ["k"], "release": release });
            let mut case = part(Some(&lock));
            if is_lost {
                case.command(Command::ReleaseLock).unwrap();
            }
            case.effects.clear();
            case.command(Command::ParentDecided { decision: Decision::Commit }).unwrap();
            let unlocks = case.effects.contains(&Effect::Unlock { requeue: false });
            let end = case.effects.iter().find_map(|effect| match effect {
                Effect::End { tokens } => Some(tokens.len()),
                _ => None,
            });
            let held = usize::from(!is_early && !is_lost);
            assert_eq!((unlocks, end), (is_early, Some(held)), "{release}, lost: {is_lost}");
        }
    }
}

#[test]
fn only_who_still_waits_is_replaced() {
    let document = json!({ "name": "t", "mode": "interactive" });
    let mut waiting =
        Case::new(&document, |accepted| accepted.start_at = Some(Timestamp(9_000_000)));
    waiting.command(Command::Replace).unwrap();
    assert_eq!(waiting.saga.status(), Status::Compensated);
    let mut running = Case::new(&document, |_| {});
    assert!(matches!(running.command(Command::Replace), Err(Refusal::WrongStatus { .. })));
}
