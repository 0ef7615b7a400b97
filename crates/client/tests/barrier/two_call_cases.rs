//! What holds in the two-call form only.

use amends_client::barrier::{Error, Forward};
use amends_client::participant::Op;
use http::StatusCode;

use crate::bed::{Bed as _, attempt, call, code, done};
use crate::two_call::{Holding, TwoCallBed};

pub(crate) async fn while_one_is_at_work_others_wait(bed: &TwoCallBed<impl Holding>) {
    let turn = bed.enter(call("s", Op::Action)).await.unwrap().turn();
    for op in [Op::Action, Op::Compensation] {
        let error = bed.enter(call("s", op)).await.unwrap_err();
        let Error::Busy { retry_after } = error else { panic!("{error:?}") };
        assert!((1..=5).contains(&retry_after.as_secs()), "{retry_after:?}");
    }
    bed.settle(turn, done("x")).await.unwrap();
    assert_eq!(bed.enter(call("s", Op::Action)).await.unwrap().answer(), done("x"));
    let undo = bed.enter(call("s", Op::Compensation)).await.unwrap().turn();
    assert_eq!(undo.forward, Some(Forward::Succeeded(done("x"))));
}

pub(crate) async fn who_was_too_slow_cannot_settle(bed: &TwoCallBed<impl Holding>) {
    let slow = bed.enter(call("s", Op::Action)).await.unwrap().turn();
    assert!(!slow.is_resumed());
    bed.let_holds_pass().await;
    let next = bed.enter(call("s", Op::Action)).await.unwrap().turn();
    assert!(next.is_resumed());
    let late = bed.settle(slow.clone(), done("slow")).await;
    assert!(matches!(late, Err(Error::Lost)), "{late:?}");
    bed.settle(next, done("next")).await.unwrap();
    let later = bed.settle(slow, done("slow")).await;
    assert!(matches!(later, Err(Error::Lost)), "{later:?}");
    assert_eq!(bed.enter(call("s", Op::Action)).await.unwrap().answer(), done("next"));
}

pub(crate) async fn a_released_turn_goes_to_the_next_at_once(bed: &TwoCallBed<impl Holding>) {
    let failed = bed.barrier(call("s", Op::Action)).run(async |_| Err(Error::work("away"))).await;
    assert!(matches!(failed, Err(Error::Work(_))), "{failed:?}");
    let ran = bed
        .barrier(call("s", Op::Action))
        .run::<Error>(async |started| {
            assert!(started.is_resumed());
            Ok(done("x"))
        })
        .await;
    assert_eq!(ran.unwrap(), done("x"));
}

pub(crate) async fn an_undo_of_an_unsettled_call_is_told_so(bed: &TwoCallBed<impl Holding>) {
    let slow = bed.enter(call("s", Op::Try)).await.unwrap().turn();
    bed.let_holds_pass().await;
    let undo = bed.enter(call("s", Op::Cancel)).await.unwrap().turn();
    assert_eq!(undo.forward, Some(Forward::Unknown));
    // From now on the forward call is too late, and so is its end.
    let again = bed.enter(call("s", Op::Try)).await.unwrap().answer();
    assert_eq!((again.status, &*code(&again)), (StatusCode::CONFLICT, "undone-before"));
    assert!(matches!(bed.settle(slow, done("slow")).await, Err(Error::Lost)));
    bed.settle(undo, done("undo")).await.unwrap();
    assert_eq!(bed.enter(call("s", Op::Cancel)).await.unwrap().answer(), done("undo"));
}

pub(crate) async fn a_resumed_undo_is_told_the_same(bed: &TwoCallBed<impl Holding>) {
    bed.enter(call("s", Op::Action)).await.unwrap().turn();
    bed.let_holds_pass().await;
    for round in 1..=3 {
        let undo = bed.enter(call("s", Op::Compensation)).await.unwrap().turn();
        assert_eq!((undo.forward, undo.round), (Some(Forward::Unknown), round));
        bed.let_holds_pass().await;
    }
    attempt(bed, call("t", Op::Action)).await.unwrap();
    for _ in 0..2 {
        let undo = bed.enter(call("t", Op::Compensation)).await.unwrap().turn();
        let known = Forward::Succeeded(done("t/charge/action"));
        assert_eq!(undo.forward, Some(known));
        bed.let_holds_pass().await;
    }
}
