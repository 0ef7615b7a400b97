//! Redlock with fencing: who believes what, and that the resource's check of tokens saves it.

use amends_models::explored::{finds, holds};
use amends_models::redlock::{Bounds, Fault, Redlock};

const SESSIONS: &str = "sessions do not interleave at the resource";

fn ideal() -> Bounds {
    Bounds { restarts: 0, jumps: 0, delays: false, attempts: 2, writes: 2 }
}

fn delayed() -> Bounds {
    Bounds { delays: true, ..ideal() }
}

#[test]
fn nothing_goes_wrong() {
    holds("redlock: ideal", Redlock { bounds: ideal(), fault: None });
}

#[test]
fn late_writes_hold() {
    holds("redlock: late writes", Redlock { bounds: delayed(), fault: None });
}

#[test]
fn an_empty_restart_holds() {
    let bounds = Bounds { restarts: 1, ..delayed() };
    holds("redlock: late writes, a restart", Redlock { bounds, fault: None });
}

#[test]
fn a_restart_and_a_jump_hold() {
    let bounds = Bounds { restarts: 1, jumps: 1, ..delayed() };
    holds("redlock: late writes, a restart, a jump", Redlock { bounds, fault: None });
}

/// Two believe that they hold the guard; the resource is safe all the same.
#[test]
fn without_delayed_trust_the_token_still_holds() {
    let bounds = Bounds { restarts: 1, ..delayed() };
    let fault = Some(Fault::NoDelayedTrust);
    holds("redlock: two believers", Redlock { bounds, fault });
}

#[test]
fn finds_late_writes_without_a_token() {
    let fault = Some(Fault::NoToken);
    finds("redlock with NoToken, late writes", Redlock { bounds: delayed(), fault }, &[SESSIONS]);
}

#[test]
fn finds_a_jump_without_a_token() {
    let bounds = Bounds { jumps: 1, ..ideal() };
    let fault = Some(Fault::NoToken);
    finds("redlock with NoToken, a jump", Redlock { bounds, fault }, &[SESSIONS]);
}

#[test]
fn finds_a_restart_without_delayed_trust_or_token() {
    let bounds = Bounds { restarts: 1, ..ideal() };
    let fault = Some(Fault::NoDelayedTrustNoToken);
    finds("redlock with NoDelayedTrustNoToken", Redlock { bounds, fault }, &[SESSIONS]);
}

#[test]
fn finds_tokens_from_counters_on_a_quorum() {
    let rules = ["a new holder has a token above all that were seen", SESSIONS];
    let fault = Some(Fault::QuorumToken);
    finds("redlock with QuorumToken", Redlock { bounds: delayed(), fault }, &rules);
}
