//! Interactive transactions with TCC branches and a nested saga: every rule holds, and every
//! planted fault is found.

use amends_models::explored::{finds, holds};
use amends_models::tcc::{Bounds, Fault, Tcc};

fn taken_over() -> Bounds {
    Bounds { takeovers: 1, attempts: (1, 1) }
}

#[test]
fn takeovers_hold() {
    holds("tcc: a takeover", Tcc::new(taken_over(), None));
}

#[test]
fn tries_made_again_hold() {
    holds("tcc: tries made again", Tcc::new(Bounds { takeovers: 0, attempts: (2, 1) }, None));
}

#[test]
fn confirms_and_cancels_made_again_hold() {
    let bounds = Bounds { takeovers: 0, attempts: (1, 2) };
    holds("tcc: confirms and cancels made again", Tcc::new(bounds, None));
}

fn plant(fault: Fault, rules: &[&str]) {
    finds(&format!("tcc with {fault:?}"), Tcc::new(taken_over(), Some(fault)), rules);
}

#[test]
fn finds_a_confirm_that_a_repeated_commit_drops() {
    plant(Fault::ConfirmDropped, &["all end, and nothing is forgotten"]);
}

#[test]
fn finds_a_nested_saga_that_expires_prepared() {
    plant(Fault::ChildExpiresPrepared, &["a nested saga is decided as its parent"]);
}

#[test]
fn finds_a_branch_taken_in_after_the_decision() {
    let rules = ["an abort leaves nothing held, for ever", "all end, and nothing is forgotten"];
    plant(Fault::EnlistAfterDecision, &rules);
}

#[test]
fn finds_a_late_start_of_a_nested_saga_after_its_cancel() {
    plant(Fault::NoTombstone, &["an abort leaves nothing held, for ever"]);
}
