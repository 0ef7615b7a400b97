//! Hand-over in a drain: every rule holds, and every planted fault is found.

use amends_models::explored::{finds, holds};
use amends_models::handover::{Fault, HandOver};

const NONE_LOST: &str = "no saga and no message is lost";

#[test]
fn a_drain_holds() {
    holds("handover: a drain", HandOver { fault: None, steals: false, bounded: false });
}

#[test]
fn a_drain_cut_short_holds() {
    holds("handover: cut short", HandOver { fault: None, steals: false, bounded: true });
}

#[test]
fn a_lease_that_runs_out_meanwhile_holds() {
    holds("handover: the lease runs out", HandOver { fault: None, steals: true, bounded: true });
}

fn plant(fault: Fault, rule: &str) {
    let model = HandOver { fault: Some(fault), steals: false, bounded: false };
    finds(&format!("handover with {fault:?}"), model, &[rule]);
}

#[test]
fn finds_a_release_before_the_flush() {
    plant(Fault::ReleaseBeforeFlush, "an orderly hand-over loses no fact");
}

#[test]
fn finds_a_saga_that_leaves_a_message_behind() {
    plant(Fault::LeaveWithMail, "no message is left behind");
}

#[test]
fn finds_a_release_while_sagas_are_driven() {
    plant(Fault::ReleaseBusy, "after an orderly hand-over nobody else drives");
}

#[test]
fn finds_a_claim_without_the_lease() {
    let fault = Some(Fault::ClaimUnchecked);
    let model = HandOver { fault, steals: true, bounded: false };
    finds("handover with ClaimUnchecked", model, &[NONE_LOST]);
}

#[test]
fn finds_a_command_settled_before_it_is_written() {
    plant(Fault::SettleFirst, "what is settled as done is written");
}

/// So it was in the engine until this model found it.
#[test]
fn finds_a_claim_that_a_hand_over_does_not_wait_for() {
    plant(Fault::ClaimUncounted, "an orderly hand-over loses no fact");
}
