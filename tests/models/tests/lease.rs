//! Lease and decision: every rule holds, and every planted fault is found.

use amends_models::explored::{finds, holds};
use amends_models::lease::{Bounds, Fault, Lease};

fn two_steps() -> Bounds {
    Bounds { attempts: (2, 1), ..Bounds::row(&["a", "b"]) }
}

#[test]
fn two_steps_hold() {
    let bounds = Bounds { takeovers: 2, ..two_steps() };
    holds("lease: two steps", Lease::new(bounds, None));
}

#[test]
fn two_steps_with_more_attempts_hold() {
    let bounds = Bounds { attempts: (2, 2), ..two_steps() };
    holds("lease: two steps, more attempts", Lease::new(bounds, None));
}

#[test]
fn three_steps_hold() {
    let bounds = Bounds { attempts: (2, 1), ..Bounds::row(&["a", "b", "c"]) };
    holds("lease: three steps", Lease::new(bounds, None));
}

#[test]
fn three_coordinators_hold() {
    let bounds = Bounds { owners: 3, attempts: (1, 1), takeovers: 3, crashes: 0, ..two_steps() };
    holds("lease: three coordinators", Lease::new(bounds, None));
}

#[test]
fn a_pivot_holds() {
    let bounds = Bounds { attempts: (2, 1), takeovers: 2, ..Bounds::pivot() };
    holds("lease: pivot", Lease::new(bounds, None));
}

#[test]
fn parallel_steps_hold() {
    let bounds = Bounds { attempts: (1, 1), ..Bounds::parallel() };
    holds("lease: parallel steps, taken over", Lease::new(bounds, None));
}

#[test]
fn parallel_steps_that_crash_hold() {
    let bounds = Bounds { attempts: (2, 1), takeovers: 0, crashes: 2, ..Bounds::parallel() };
    holds("lease: parallel steps, crashes", Lease::new(bounds, None));
}

#[test]
fn an_operator_who_races_holds() {
    let bounds = Bounds { operator: true, ..two_steps() };
    holds("lease: operator", Lease::new(bounds, None));
}

#[test]
fn an_operator_who_races_with_a_pivot_holds() {
    let bounds = Bounds { operator: true, attempts: (2, 1), crashes: 0, ..Bounds::pivot() };
    holds("lease: operator and pivot", Lease::new(bounds, None));
}

#[test]
fn connections_that_fail_hold() {
    let bounds = Bounds { unsent: true, ..two_steps() };
    holds("lease: failed connections", Lease::new(bounds, None));
}

const ABORT: &str = "an abort undoes all, for ever";

fn plant(fault: Fault, bounds: Bounds, rules: &[&str]) {
    finds(&format!("lease with {fault:?}"), Lease::new(bounds, Some(fault)), rules);
}

#[test]
fn finds_no_epoch_check() {
    plant(Fault::NoEpochCheck, two_steps(), &["one decision", ABORT]);
}

#[test]
fn finds_a_decision_that_is_not_durable() {
    let rules = ["intent durable before the call", "decision durable before the undo"];
    plant(Fault::DecisionNotDurable, two_steps(), &rules);
}

#[test]
fn finds_a_timeout_taken_as_refused() {
    plant(Fault::TimeoutAsRefused, two_steps(), &[ABORT]);
}

#[test]
fn finds_an_empty_undo_that_is_not_remembered() {
    plant(Fault::EmptyUndoForgotten, two_steps(), &[ABORT]);
}

#[test]
fn finds_a_refusal_after_an_unknown_attempt_that_is_not_undone() {
    plant(Fault::RefusedAfterUnknownKept, two_steps(), &[ABORT]);
}

#[test]
fn finds_an_undo_before_the_forward_call_is_over() {
    plant(Fault::UndoBeforeForwardOver, two_steps(), &["undo after its forward call is over"]);
}

#[test]
fn finds_a_takeover_that_trusts_the_journal_too_much() {
    let bounds = Bounds { unsent: true, ..two_steps() };
    plant(Fault::TakeoverAsReload, bounds, &[ABORT]);
}

#[test]
fn finds_an_operator_who_guesses() {
    let bounds = Bounds { operator: true, ..two_steps() };
    plant(Fault::OperatorGuesses, bounds, &[ABORT]);
}

#[test]
fn finds_a_lost_commit_that_is_read_without_raising_the_epoch() {
    let rules = ["one decision", "intent durable before the call", "order forward", ABORT];
    plant(Fault::ReadWithoutRaise, Bounds { takeovers: 0, ..two_steps() }, &rules);
}
