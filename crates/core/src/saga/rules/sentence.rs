//! What people are told about interactive transactions, nested sagas and lost lock keys.

use serde_json::json;

use super::case::{Case, part};
use super::moves::Kind;
use crate::saga::{Command, Input, Op, OutcomeKind, Token};

#[test]
fn a_transaction_says_who_has_the_next_word() {
    let mut case = Case::interactive();
    assert_eq!(
        case.saga.explain(),
        "Running: its client adds branches, and says when to commit; it aborts unless it is \
         decided by 1970-01-01T00:01:00Z."
    );
    case.enlist("n", Kind::Nested);
    case.answer("n", Op::Try, OutcomeKind::Pending).unwrap();
    case.command(Command::Commit).unwrap();
    let text = case.saga.explain();
    assert!(
        text.starts_with("Running: try of step n, which is saga s-1.n, is under way"),
        "{text}"
    );
    assert!(!text.contains("says when to commit"), "{text}");
    let answer = Box::new(crate::saga::Answer::succeeded(None));
    let step = crate::StepIndex(0);
    case.tell(Input::Completed { step, op: Op::Try, answer }).unwrap();
    assert_eq!(
        case.saga.explain(),
        "Commit is decided: confirm of step n, which is saga s-1.n, is in flight, attempt 1; it can only go \
         forward now."
    );
}

#[test]
fn a_client_that_can_be_asked_is_not_threatened_with_an_abort() {
    let mut case = Case::asked();
    assert_eq!(
        case.saga.explain(),
        "Running: its client adds branches, and says when to commit; its client is asked at \
         1970-01-01T00:01:00Z unless it has said so before."
    );
    case.pass_deadline();
    assert_eq!(
        case.saga.explain(),
        "Running: action of step prepared at p is in flight, attempt 1."
    );
    case.answer("prepared", Op::Action, OutcomeKind::Refused).unwrap();
    assert_eq!(
        case.saga.explain(),
        "Undone at 1970-01-01T00:01:00Z (its client has not committed: it was refused): nothing \
         had to be undone."
    );

    let mut spoken = Case::asked();
    spoken.command(Command::Commit).unwrap();
    assert_eq!(
        spoken.saga.explain(),
        "Completed at 1970-01-01T00:00:00Z: every step took effect.",
        "a question that was not needed is not told"
    );
}

#[test]
fn a_part_names_whose_decision_it_waits_for() {
    let mut case = part(None);
    assert_eq!(
        case.saga.explain(),
        "Running: its work is done, and it waits for the decision of saga p, of which it is a part."
    );
    case.pass_deadline();
    assert!(case.saga.explain().ends_with("of which it is a part."), "{}", case.saga.explain());
}

#[test]
fn a_saga_without_its_keys_says_so_whatever_else_it_waits_for() {
    let lock = json!({ "keys": ["k"] });
    let mut case = Case::locked(json!({ "name": "t", "mode": "interactive" }), &lock);
    case.enlist("a", Kind::Compensation);
    case.command(Command::ReleaseLock).unwrap();
    assert_eq!(
        case.saga.explain(),
        "Running: its lock keys were taken away, and it waits for them again; it aborts unless it \
         is decided by 1970-01-01T00:01:00Z."
    );
    case.tell(Input::Granted(vec![Token(2)])).unwrap();
    case.command(Command::Cancel).unwrap();
    case.command(Command::ReleaseLock).unwrap();
    assert_eq!(
        case.saga.explain(),
        "Undoing (cancelled): compensation of step a at p is in flight, attempt 1; \
         its lock keys were taken away, so nothing starts until it has them again."
    );
    case.succeed("a", Op::Compensation);
    assert!(case.saga.explain().starts_with("Undone at"), "{}", case.saga.explain());
}
