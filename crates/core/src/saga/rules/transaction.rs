//! Transactions step by step: what a reader of the documentation would try first, and what rivals
//! get wrong.

use serde_json::{Value, json};

use super::case::{Case, PART, part};
use super::client::branch;
use super::moves::Kind;
use super::plan::Role;
use crate::Timestamp;
use crate::definition::Branch;
use crate::saga::{
    Actor, Command, Decision, Effect, Input, Op, OutcomeKind, Refusal, Status, Timer, Token,
};

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
    assert_eq!(case.command(Command::Cancel), Err(Refusal::CommitRequested));
    let another = Box::new(branch("x", Kind::Tcc, None));
    assert_eq!(case.command(Command::Enlist { branch: another }), Err(Refusal::CommitRequested));
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
fn only_who_still_waits_is_replaced() {
    let document = json!({ "name": "t", "mode": "interactive" });
    let mut waiting =
        Case::new(&document, |accepted| accepted.start_at = Some(Timestamp(9_000_000)));
    waiting.command(Command::Replace).unwrap();
    assert_eq!(waiting.saga.status(), Status::Compensated);
    let mut running = Case::new(&document, |_| {});
    assert!(matches!(running.command(Command::Replace), Err(Refusal::WrongStatus { .. })));
}
