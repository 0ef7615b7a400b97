//! Lock keys that are lost, and keys that are given back early.

use serde_json::json;

use super::case::{Case, part};
use super::moves::Kind;
use crate::saga::{
    Command, Decision, Effect, Event, Input, Op, OutcomeKind, Refusal, Status, Token,
};

#[test]
fn lock_keys_that_are_taken_away_stop_or_abort() {
    let document = json!({ "name": "t", "mode": "interactive" });
    for (on_lost, status) in
        [("pause", Status::Running), ("fence", Status::Running), ("abort", Status::Compensating)]
    {
        let lock = json!({ "keys": ["k"], "on_lost": on_lost });
        let mut case = Case::locked(document.clone(), &lock);
        case.enlist("a", Kind::Compensation);
        case.effects.clear();
        case.command(Command::ReleaseLock).unwrap();
        assert!(case.effects.contains(&Effect::Unlock { requeue: true }), "{on_lost}");
        assert!(case.effects.iter().any(|effect| matches!(effect, Effect::Lock { .. })));
        assert_eq!((case.saga.status(), case.saga.waits_for_lock()), (status, true));
        assert_eq!(case.command(Command::ReleaseLock), Err(Refusal::NoLock), "{on_lost}");
        assert!(case.command(Command::Commit).is_err(), "{on_lost}");
        case.effects.clear();
        if on_lost != "abort" {
            case.command(Command::Cancel).unwrap();
        }
        assert_eq!(case.calls(), [""; 0], "nothing is called without the lock");
        case.tell(Input::Granted(vec![Token(2)])).unwrap();
        assert_eq!(case.calls(), ["compensation a"]);
        assert_eq!(case.saga.tokens()[0].1, Token(2));
    }
}

/// The nested saga may be the one that the parent waits for.
#[test]
fn a_nested_saga_is_undone_although_its_parent_waits_for_lock_keys() {
    let lock = json!({ "keys": ["k"] });
    let mut case = Case::locked(json!({ "name": "t", "mode": "interactive" }), &lock);
    case.enlist("a", Kind::Compensation);
    case.enlist("n", Kind::Nested);
    case.command(Command::ReleaseLock).unwrap();
    case.succeed("n", Op::Try);
    case.effects.clear();
    case.command(Command::Cancel).unwrap();
    assert_eq!(case.calls(), ["cancel n"]);
    case.succeed("n", Op::Cancel);
    assert_eq!(case.saga.status(), Status::Compensating);
    case.effects.clear();
    case.tell(Input::Granted(vec![Token(2)])).unwrap();
    assert_eq!(case.calls(), ["compensation a"]);
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

/// The commit may be decided by whoever takes the saga over.
#[test]
fn keys_are_released_by_a_new_owner_too() {
    let steps = json!([
        { "id": "a", "participant": "p", "action": { "path": "/" }, "when": "false",
          "compensation": { "path": "/u" }, "pivot": true },
        { "id": "b", "participant": "p", "action": { "path": "/" } },
    ]);
    let lock = json!({ "keys": ["k"], "release": "pivot" });
    let mut case = Case::locked(json!({ "name": "t", "steps": steps }), &lock);
    // The last owner wrote the start, and no more.
    let started = case.records.iter().position(|record| record.event == Event::Started);
    case.records.truncate(started.unwrap() + 1);
    case.crash();
    let is_unlocked = case.effects.contains(&Effect::Unlock { requeue: false });
    assert_eq!((is_unlocked, case.calls()), (true, vec!["action b".to_owned()]));
}
