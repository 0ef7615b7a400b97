//! Queues of lock keys: every rule holds, and every planted fault is found.

use amends_models::explored::{finds, holds};
use amends_models::tickets::{Bounds, Fault, Tickets};

const TURN: &str = "every saga gets its turn";
const TOKENS: &str = "tokens grow with every grant";

/// Two sagas that name the same two keys in opposite order, and one that wants one of them.
fn crossed() -> Bounds {
    Bounds { wants: vec![vec![0, 1], vec![1, 0], vec![0]], forced: 2, crashes: 2 }
}

#[test]
fn crossed_keys_hold() {
    holds("tickets: crossed keys", Tickets { bounds: crossed(), fault: None });
}

#[test]
fn one_key_for_all_holds() {
    let bounds = Bounds { wants: vec![vec![0], vec![0], vec![0]], ..crossed() };
    holds("tickets: one key", Tickets { bounds, fault: None });
}

#[test]
fn a_chain_holds() {
    let bounds = Bounds { wants: vec![vec![0], vec![0, 1], vec![1]], ..crossed() };
    holds("tickets: a chain", Tickets { bounds, fault: None });
}

fn plant(fault: Fault, bounds: Bounds, rules: &[&str]) {
    finds(&format!("tickets with {fault:?}"), Tickets { bounds, fault: Some(fault) }, rules);
}

#[test]
fn finds_hints_without_a_sweep() {
    plant(Fault::HintsOnly, Bounds { forced: 0, crashes: 0, ..crossed() }, &[TURN]);
}

#[test]
fn finds_a_look_before_the_ticket() {
    let bounds = Bounds { forced: 0, crashes: 0, ..crossed() };
    plant(Fault::LookThenTake, bounds, &["two never hold a key", TURN]);
}

#[test]
fn finds_keys_taken_one_by_one() {
    plant(Fault::OneByOne, Bounds { forced: 0, crashes: 0, ..crossed() }, &[TURN]);
}

#[test]
fn finds_a_token_that_is_kept() {
    plant(Fault::TokenKept, crossed(), &[TOKENS]);
}

#[test]
fn finds_a_requeue_that_keeps_a_key() {
    plant(Fault::RequeueOneKey, crossed(), &["first come, first served", TURN]);
}

#[test]
fn finds_a_takeover_that_assumes_the_keys() {
    plant(Fault::TakeoverAssumes, crossed(), &["two never hold a key"]);
}

#[test]
fn finds_a_successor_that_nobody_drives() {
    plant(Fault::SuccessorForgotten, Bounds { forced: 0, crashes: 0, ..crossed() }, &[TURN]);
}
