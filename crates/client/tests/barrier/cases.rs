//! The rules that hold in every store and form.

use amends_client::barrier::{Error, Forward};
use amends_client::participant::{Answer, Call, Op};
use http::StatusCode;
use serde_json::json;

use crate::bed::{Bed, Entered, answered, attempt, call, code, done, fenced, no};

pub(crate) async fn a_repetition_gets_the_first_answer(bed: &impl Bed) {
    for op in Op::ALL.into_iter().filter(|op| op.undoes().is_none()) {
        let first = attempt(bed, call("s", op)).await.unwrap();
        let again = bed.enter(call("s", op)).await.unwrap().answer();
        assert_eq!(first, done(&format!("s/charge/{op}")));
        assert_eq!(again, first);
        assert_eq!(bed.effects(&format!("s/charge/{op}")).await, 1);
    }
    let refused = answered(bed, call("t", Op::Action), no()).await.unwrap();
    let again = bed.enter(call("t", Op::Action)).await.unwrap().answer();
    assert_eq!((&refused, &again), (&no(), &no()));
}

pub(crate) async fn an_undo_without_its_forward_call_succeeds(bed: &impl Bed) {
    for op in [Op::Compensation, Op::Cancel] {
        let first = bed.enter(call("s", op)).await.unwrap().answer();
        assert_eq!(first.status, StatusCode::OK);
        let again = bed.enter(call("s", op)).await.unwrap().answer();
        assert_eq!(again, first);
    }
}

pub(crate) async fn a_forward_call_after_its_undo_is_refused(bed: &impl Bed) {
    for (forward, undo) in [(Op::Action, Op::Compensation), (Op::Try, Op::Cancel)] {
        bed.enter(call("s", undo)).await.unwrap().answer();
        for _ in 0..2 {
            let late = bed.enter(call("s", forward)).await.unwrap().answer();
            assert_eq!(late.status, StatusCode::CONFLICT);
            assert_eq!(code(&late), "undone-before");
        }
    }
}

pub(crate) async fn an_undo_runs_once_and_knows_the_forward_answer(bed: &impl Bed) {
    let paid = attempt(bed, call("s", Op::Action)).await.unwrap();
    let mut turn = bed.enter(call("s", Op::Compensation)).await.unwrap().turn();
    assert_eq!(bed.forward(&turn), Some(Forward::Succeeded(paid.clone())));
    bed.work(&mut turn, "undo").await;
    let first = bed.settle(turn, Answer::empty()).await.unwrap();
    let again = bed.enter(call("s", Op::Compensation)).await.unwrap().answer();
    assert_eq!((first, again), (Answer::empty(), Answer::empty()));
    assert_eq!(bed.effects("undo").await, 1);
    // The forward call's repetition is still answered as it was.
    assert_eq!(bed.enter(call("s", Op::Action)).await.unwrap().answer(), paid);
}

pub(crate) async fn an_undo_of_a_refused_call_has_nothing_to_do(bed: &impl Bed) {
    answered(bed, call("s", Op::Try), no()).await.unwrap();
    let undo = bed.enter(call("s", Op::Cancel)).await.unwrap().answer();
    assert_eq!(undo.status, StatusCode::OK);
    assert_eq!(bed.enter(call("s", Op::Try)).await.unwrap().answer(), no());
}

pub(crate) async fn a_refused_undo_or_confirm_is_no_end(bed: &impl Bed) {
    attempt(bed, call("s", Op::Action)).await.unwrap();
    for op in [Op::Compensation, Op::Confirm] {
        for _ in 0..2 {
            assert_eq!(answered(bed, call("s", op), no()).await.unwrap(), no());
        }
        let effect = format!("s/charge/{op}");
        assert_eq!(attempt(bed, call("s", op)).await.unwrap(), done(&effect));
        assert_eq!(bed.effects(&effect).await, 1);
    }
}

pub(crate) async fn an_answer_that_is_no_end_is_not_kept(bed: &impl Bed) {
    for status in [408, 425, 429, 302, 500, 503] {
        let answer = Answer::json(StatusCode::from_u16(status).unwrap(), &json!({}));
        let given = answered(bed, call("s", Op::Action), answer.clone()).await.unwrap();
        assert_eq!(given, answer);
    }
    attempt(bed, call("s", Op::Action)).await.unwrap();
    assert_eq!(bed.effects("s/charge/action").await, 1);
}

pub(crate) async fn a_lower_token_is_refused_and_a_repetition_is_not(bed: &impl Bed) {
    let first = attempt(bed, fenced("old", Op::Action, &[("sku:1", 7)])).await.unwrap();
    attempt(bed, fenced("new", Op::Action, &[("sku:1", 8)])).await.unwrap();
    // The same token again is no older one.
    attempt(bed, fenced("new", Op::Compensation, &[("sku:1", 8)])).await.unwrap();
    let stale = bed.enter(fenced("old", Op::Compensation, &[("sku:1", 7)])).await.unwrap().answer();
    assert_eq!((stale.status, &*code(&stale)), (StatusCode::CONFLICT, "stale-fencing-token"));
    let again = bed.enter(fenced("old", Op::Action, &[("sku:1", 7)])).await.unwrap().answer();
    assert_eq!(again, first);
    // It is no end either: with a newer token the undo runs.
    attempt(bed, fenced("old", Op::Compensation, &[("sku:1", 9)])).await.unwrap();
    assert_eq!(bed.effects("old/charge/compensation").await, 1);
}

pub(crate) async fn of_several_keys_one_stale_is_enough(bed: &impl Bed) {
    attempt(bed, fenced("a", Op::Action, &[("sku:1", 5), ("user ä", 5)])).await.unwrap();
    let call = fenced("b", Op::Action, &[("sku:1", 9), ("user ä", 4)]);
    let stale = bed.enter(call).await.unwrap().answer();
    assert_eq!(code(&stale), "stale-fencing-token");
    assert!(String::from_utf8_lossy(&stale.body).contains("user ä"), "{stale:?}");
    // The refused call has raised nothing.
    attempt(bed, fenced("c", Op::Action, &[("sku:1", 6)])).await.unwrap();
    attempt(bed, fenced("d", Op::Action, &[("sku:1", 6), ("user ä", 5)])).await.unwrap();
    // Keys differ by case and by a space at the end.
    attempt(bed, fenced("e", Op::Action, &[("SKU:1", 1), ("sku:1 ", 1)])).await.unwrap();
}

pub(crate) async fn a_stale_undo_of_nothing_succeeds(bed: &impl Bed) {
    attempt(bed, fenced("new", Op::Action, &[("sku:1", 8)])).await.unwrap();
    let undo = bed.enter(fenced("old", Op::Compensation, &[("sku:1", 7)])).await.unwrap().answer();
    assert_eq!(undo.status, StatusCode::OK);
    // An undo of nothing still tells of a newer holder.
    bed.enter(fenced("newer", Op::Compensation, &[("sku:1", 9)])).await.unwrap().answer();
    let stale = bed.enter(fenced("mid", Op::Action, &[("sku:1", 8)])).await.unwrap().answer();
    assert_eq!(code(&stale), "stale-fencing-token");
}

pub(crate) async fn a_try_is_confirmed_or_cancelled_by_itself(bed: &impl Bed) {
    attempt(bed, call("s", Op::Try)).await.unwrap();
    attempt(bed, call("s", Op::Confirm)).await.unwrap();
    attempt(bed, call("t", Op::Try)).await.unwrap();
    attempt(bed, call("t", Op::Cancel)).await.unwrap();
    for effect in ["s/charge/try", "s/charge/confirm", "t/charge/try", "t/charge/cancel"] {
        assert_eq!(bed.effects(effect).await, 1, "{effect}");
    }
}

pub(crate) async fn after_a_crash_before_the_work_the_call_comes_again(bed: &impl Bed) {
    let turn = bed.enter(call("s", Op::Action)).await.unwrap().turn();
    bed.crash(turn).await;
    bed.let_holds_pass().await;
    attempt(bed, call("s", Op::Action)).await.unwrap();
    assert_eq!(bed.effects("s/charge/action").await, 1);
}

pub(crate) async fn after_a_crash_before_the_end_the_work_is_there_once(bed: &impl Bed) {
    for op in [Op::Action, Op::Compensation] {
        let effect = format!("s/charge/{op}");
        let mut turn = bed.enter(call("s", op)).await.unwrap().turn();
        bed.work(&mut turn, &effect).await;
        bed.crash(turn).await;
        bed.let_holds_pass().await;
        attempt(bed, call("s", op)).await.unwrap();
        assert_eq!(bed.effects(&effect).await, 1, "{op}");
    }
}

pub(crate) async fn a_lost_connection_undoes_nothing_that_was_kept(bed: &impl Bed) {
    attempt(bed, call("s", Op::Action)).await.unwrap();
    let mut turn = bed.enter(call("s", Op::Compensation)).await.unwrap().turn();
    bed.work(&mut turn, "s/charge/compensation").await;
    bed.lose_connection(turn).await;
    bed.let_holds_pass().await;
    attempt(bed, call("s", Op::Compensation)).await.unwrap();
    assert_eq!(bed.effects("s/charge/action").await, 1);
    assert_eq!(bed.effects("s/charge/compensation").await, 1);
}

pub(crate) async fn sagas_and_steps_do_not_meet(bed: &impl Bed) {
    let other_step = Call { step: "ship".to_owned(), ..call("s", Op::Action) };
    for call in [call("s", Op::Action), call("S", Op::Action), other_step] {
        assert!(matches!(bed.enter(call.clone()).await.unwrap(), Entered::Run(_)), "{call:?}");
    }
}

pub(crate) async fn an_answer_is_kept_to_the_byte(bed: &impl Bed) {
    let answer = Answer {
        status: StatusCode::ACCEPTED,
        content_type: Some("application/octet-stream".to_owned()),
        body: (0..=255_u8).cycle().take(50_000).collect::<Vec<u8>>().into(),
    };
    answered(bed, call("s", Op::Action), answer.clone()).await.unwrap();
    assert_eq!(bed.enter(call("s", Op::Action)).await.unwrap().answer(), answer);
}

pub(crate) async fn an_answer_that_is_too_long_is_an_error(bed: &impl Bed) {
    let mut turn = bed.enter(call("s", Op::Action)).await.unwrap().turn();
    bed.work(&mut turn, "s/charge/action").await;
    let error = bed.settle(turn, Answer::ok("x".repeat(70_000))).await.unwrap_err();
    assert!(matches!(error, Error::AnswerTooLong { bytes: 70_002, .. }), "{error:?}");
    attempt(bed, call("s", Op::Action)).await.unwrap();
    assert_eq!(bed.effects("s/charge/action").await, 1);
}
